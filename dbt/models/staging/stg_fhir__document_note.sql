-- Grain: one row per DocumentReference that the build recomputes.
-- Generated from views/document_note.json by `lakehouse generate`; do not edit.
{{ config(meta={'resource_type': 'DocumentReference', 'key': 'resource_id'}) }}

with viewed as (
    with parsed as (
      select
        case when random() >= 0 then try(from_json(cast(src."resource" as varchar), '{"contained":["JSON"],"content":[{"attachment":"JSON"}],"context":{"encounter":[{"reference":"VARCHAR"}],"period":{"start":"VARCHAR"}},"date":"VARCHAR","docStatus":"VARCHAR","id":"VARCHAR","resourceType":"VARCHAR","status":"VARCHAR","subject":{"reference":"VARCHAR"}}')) end as _resource,
        cast(src."resource" as varchar) as _text,
        src."submission_id",
        src."source_file",
        src."source_position",
        src."ingested_at",
        src."contained_keys",
        src."has_unknown_modifier"
      from {{ current_resources('DocumentReference') }} as src
    ),

    matching as (
      select *
      from parsed
      where coalesce(len(list_filter(list_transform(_resource.content, lambda e_3: e_3.attachment), lambda e_4: e_4 is not null)) > 0, false)
    ),

    firsts as (
      select
        *,
        _resource.context.encounter[1] as _first_context_encounter
      from matching
    )

    select
      case when _resource.id >= '[' and (_resource.id < '\' or _resource.id >= '{') and json_valid(_resource.id) and not contains(_text, to_json(_resource.id)) and not contains(cast(json(_text) as varchar), to_json(_resource.id)) then null else _resource.id end as "resource_id",
      case when _resource.subject.reference >= '[' and (_resource.subject.reference < '\' or _resource.subject.reference >= '{') and json_valid(_resource.subject.reference) and not contains(_text, to_json(_resource.subject.reference)) and not contains(cast(json(_text) as varchar), to_json(_resource.subject.reference)) then null else _resource.subject.reference end as "patient_reference",
      case when _first_context_encounter.reference >= '[' and (_first_context_encounter.reference < '\' or _first_context_encounter.reference >= '{') and json_valid(_first_context_encounter.reference) and not contains(_text, to_json(_first_context_encounter.reference)) and not contains(cast(json(_text) as varchar), to_json(_first_context_encounter.reference)) then null else _first_context_encounter.reference end as "encounter_reference",
      case when _resource.context.period.start >= '[' and (_resource.context.period.start < '\' or _resource.context.period.start >= '{') and json_valid(_resource.context.period.start) and not contains(_text, to_json(_resource.context.period.start)) and not contains(cast(json(_text) as varchar), to_json(_resource.context.period.start)) then null else _resource.context.period.start end as "noted_at",
      case when _resource.date >= '[' and (_resource.date < '\' or _resource.date >= '{') and json_valid(_resource.date) and not contains(_text, to_json(_resource.date)) and not contains(cast(json(_text) as varchar), to_json(_resource.date)) then null else _resource.date end as "dated_at",
      case when _resource.status >= '[' and (_resource.status < '\' or _resource.status >= '{') and json_valid(_resource.status) and not contains(_text, to_json(_resource.status)) and not contains(cast(json(_text) as varchar), to_json(_resource.status)) then null else _resource.status end as "status",
      case when _resource.docStatus >= '[' and (_resource.docStatus < '\' or _resource.docStatus >= '{') and json_valid(_resource.docStatus) and not contains(_text, to_json(_resource.docStatus)) and not contains(cast(json(_text) as varchar), to_json(_resource.docStatus)) then null else _resource.docStatus end as "document_status",
      coalesce(list_transform(list_transform(list_filter(list_filter(_resource.contained, lambda e_9: e_9 is not null), lambda e_10: json_extract_string(e_10, '$.resourceType') = 'Binary'), lambda e_11: e_11), lambda e_12: try_cast(e_12 as json)), cast([] as json[])) as "contained_binaries",
      coalesce(list_transform(list_filter(list_transform(_resource.content, lambda e_15: e_15.attachment), lambda e_16: e_16 is not null), lambda e_17: try_cast(e_17 as json)), cast([] as json[])) as "attachments",
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
        {{ reference_id('viewed.patient_reference', 'Patient', 'patient_reference_target', 'viewed.resource_id', 'viewed.contained_keys') }} as patient_id,
        {{ reference_id('viewed.encounter_reference', 'Encounter', 'encounter_reference_target', 'viewed.resource_id', 'viewed.contained_keys') }} as encounter_id,
        {{ fhir_date('viewed.noted_at') }} as noted_at__checked,
        {{ fhir_date('viewed.dated_at') }} as dated_at__checked
    from viewed
    left join memory.scratch.conditional_reference as patient_reference_target
        on {{ conditional_text('viewed.patient_reference') }} = patient_reference_target.reference_text
    left join memory.scratch.conditional_reference as encounter_reference_target
        on {{ conditional_text('viewed.encounter_reference') }} = encounter_reference_target.reference_text
)

select
    resource_id,
    patient_id,
    encounter_id,
    noted_at__checked as noted_at,
    dated_at__checked as dated_at,
    status,
    document_status,
    contained_binaries,
    attachments,
    {{ record_counts('DocumentReference') }} and not has_unknown_modifier as counts,
    submission_id,
    source_file,
    source_position,
    ingested_at,
    {{ issues([
        ['patient_id', reference_issue('patient_reference', 'patient_id')],
        ['encounter_id', reference_issue('encounter_reference', 'encounter_id')],
        ['noted_at', "case when noted_at is not null and noted_at__checked is null then 'not a date' end"],
        ['dated_at', "case when dated_at is not null and dated_at__checked is null then 'not a date' end"],
        ['counts', "case when has_unknown_modifier then 'modifierExtension that is not known: the record does not count' end"]
    ]) }} as issues
from tidied
