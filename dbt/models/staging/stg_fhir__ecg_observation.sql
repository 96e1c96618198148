-- Grain: one row per Observation that the build recomputes.
-- Generated from views/ecg_observation.json by `lakehouse generate`; do not edit.
{{ config(meta={'resource_type': 'Observation', 'key': 'observation_id'}) }}

with viewed as (
    with parsed as (
      select
        case when random() >= 0 then try(from_json(cast(src."resource" as varchar), '{"code":{"coding":[{"code":"VARCHAR"}]},"dataAbsentReason":{"id":"VARCHAR"},"effectiveDateTime":"VARCHAR","encounter":{"reference":"VARCHAR"},"id":"VARCHAR","interpretation":["JSON"],"issued":"VARCHAR","note":[{"text":"VARCHAR"}],"resourceType":"VARCHAR","status":"VARCHAR","subject":{"reference":"VARCHAR"}}')) end as _resource,
        cast(src."resource" as varchar) as _text,
        src."submission_id",
        src."source_file",
        src."source_position",
        src."ingested_at",
        src."contained_keys",
        src."has_unknown_modifier"
      from {{ current_resources('Observation', ['11524-6', '34534-8', '28010-7', '18844-1', '29303009']) }} as src
    ),

    matching as (
      select *
      from parsed
      where coalesce(len(list_filter(_resource.code.coding, lambda x_1: (((((x_1.code = '11524-6') or (x_1.code = '34534-8')) or (x_1.code = '28010-7')) or (x_1.code = '18844-1')) or (x_1.code = '29303009')))) > 0, false)
        and coalesce((not (_resource.dataAbsentReason is not null)), false)
    ),

    firsts as (
      select
        *,
        _resource.note[1] as _first_note
      from matching
    )

    select
      case when _resource.id >= '[' and (_resource.id < '\' or _resource.id >= '{') and json_valid(_resource.id) and not contains(_text, to_json(_resource.id)) and not contains(cast(json(_text) as varchar), to_json(_resource.id)) then null else _resource.id end as "observation_id",
      case when _resource.subject.reference >= '[' and (_resource.subject.reference < '\' or _resource.subject.reference >= '{') and json_valid(_resource.subject.reference) and not contains(_text, to_json(_resource.subject.reference)) and not contains(cast(json(_text) as varchar), to_json(_resource.subject.reference)) then null else _resource.subject.reference end as "patient_reference",
      case when _resource.encounter.reference >= '[' and (_resource.encounter.reference < '\' or _resource.encounter.reference >= '{') and json_valid(_resource.encounter.reference) and not contains(_text, to_json(_resource.encounter.reference)) and not contains(cast(json(_text) as varchar), to_json(_resource.encounter.reference)) then null else _resource.encounter.reference end as "encounter_reference",
      case when _resource.effectiveDateTime >= '[' and (_resource.effectiveDateTime < '\' or _resource.effectiveDateTime >= '{') and json_valid(_resource.effectiveDateTime) and not contains(_text, to_json(_resource.effectiveDateTime)) and not contains(cast(json(_text) as varchar), to_json(_resource.effectiveDateTime)) then null else _resource.effectiveDateTime end as "effective_at",
      case when _resource.issued >= '[' and (_resource.issued < '\' or _resource.issued >= '{') and json_valid(_resource.issued) and not contains(_text, to_json(_resource.issued)) and not contains(cast(json(_text) as varchar), to_json(_resource.issued)) then null else _resource.issued end as "issued_at",
      case when _resource.status >= '[' and (_resource.status < '\' or _resource.status >= '{') and json_valid(_resource.status) and not contains(_text, to_json(_resource.status)) and not contains(cast(json(_text) as varchar), to_json(_resource.status)) then null else _resource.status end as "status",
      coalesce(list_transform(_resource.interpretation, lambda e_7: try_cast(e_7 as json)), cast([] as json[])) as "interpretation_concepts",
      coalesce(case when _first_note.text >= '[' and (_first_note.text < '\' or _first_note.text >= '{') and json_valid(_first_note.text) and not contains(_text, to_json(_first_note.text)) and not contains(cast(json(_text) as varchar), to_json(_first_note.text)) then null else _first_note.text end, case when len(_resource.note) > 1 then list_filter(list_transform(_resource.note, lambda e_10: case when e_10.text >= '[' and (e_10.text < '\' or e_10.text >= '{') and json_valid(e_10.text) and not contains(_text, to_json(e_10.text)) and not contains(cast(json(_text) as varchar), to_json(e_10.text)) then null else e_10.text end), lambda e_11: e_11 is not null)[1] end) as "note_text",
      "submission_id",
      "source_file",
      "source_position",
      "ingested_at",
      "contained_keys",
      "has_unknown_modifier"
    from firsts
),

tidied as (
    select
        viewed.*,
        {{ parsed_concepts('viewed.interpretation_concepts') }} as interpretation_concepts__parsed,
        {{ reference_id('viewed.patient_reference', 'Patient', 'patient_reference_target', 'viewed.observation_id', 'viewed.contained_keys') }} as patient_id,
        {{ reference_id('viewed.encounter_reference', 'Encounter', 'encounter_reference_target', 'viewed.observation_id', 'viewed.contained_keys') }} as encounter_id,
        {{ fhir_date('viewed.effective_at') }} as effective_at__checked,
        {{ fhir_date('viewed.issued_at') }} as issued_at__checked
    from viewed
    left join memory.scratch.conditional_reference as patient_reference_target
        on {{ conditional_text('viewed.patient_reference') }} = patient_reference_target.reference_text
    left join memory.scratch.conditional_reference as encounter_reference_target
        on {{ conditional_text('viewed.encounter_reference') }} = encounter_reference_target.reference_text
),

coded as (
    select
        tidied.*,
        {{ all_codings('interpretation_concepts__parsed') }} as interpretation_concepts__codings,
        {{ first_concept('interpretation_concepts__parsed') }} as interpretation_concepts__concept
    from tidied
),

preferred as (
    select
        coded.*,
        {{ preferred_coding(codings('interpretation_concepts__concept.coding')) }} as interpretation_concepts__coding
    from coded
)

select
    observation_id,
    patient_id,
    encounter_id,
    effective_at__checked as effective_at,
    issued_at__checked as issued_at,
    status,
    coalesce(interpretation_concepts__coding.display, interpretation_concepts__concept.text) as interpretation,
    note_text,
    {{ record_counts('Observation') }} and not has_unknown_modifier as counts,
    submission_id,
    source_file,
    source_position,
    ingested_at,
    {{ issues([
        ['patient_id', reference_issue('patient_reference', 'patient_id')],
        ['encounter_id', reference_issue('encounter_reference', 'encounter_id')],
        ['effective_at', "case when effective_at is not null and effective_at__checked is null then 'not a date' end"],
        ['issued_at', "case when issued_at is not null and issued_at__checked is null then 'not a date' end"],
        ['counts', "case when has_unknown_modifier then 'modifierExtension that is not known: the record does not count' end"]
    ]) }} as issues
from preferred
