-- Grain: one row per DiagnosticReport that the build recomputes.
-- Generated from views/report_note.json by `lakehouse generate`; do not edit.
{{ config(meta={'resource_type': 'DiagnosticReport', 'key': 'resource_id'}) }}

with viewed as (
    with parsed as (
      select
        case when random() >= 0 then try(from_json(cast(src."resource" as varchar), '{"contained":["JSON"],"effectiveDateTime":"VARCHAR","effectivePeriod":{"start":"VARCHAR"},"encounter":{"reference":"VARCHAR"},"id":"VARCHAR","issued":"VARCHAR","presentedForm":["JSON"],"resourceType":"VARCHAR","status":"VARCHAR","subject":{"reference":"VARCHAR"}}')) end as _resource,
        cast(src."resource" as varchar) as _text,
        src."submission_id",
        src."source_file",
        src."source_position",
        src."ingested_at",
        src."contained_keys",
        src."has_unknown_modifier"
      from {{ current_resources('DiagnosticReport', ['presentedForm']) }} as src
    ),

    matching as (
      select *
      from parsed
      where coalesce(len(_resource.presentedForm) > 0, false)
    )

    select
      case when _resource.id >= '[' and (_resource.id < '\' or _resource.id >= '{') and json_valid(_resource.id) and not contains(_text, to_json(_resource.id)) and not contains(cast(json(_text) as varchar), to_json(_resource.id)) then null else _resource.id end as "resource_id",
      case when _resource.subject.reference >= '[' and (_resource.subject.reference < '\' or _resource.subject.reference >= '{') and json_valid(_resource.subject.reference) and not contains(_text, to_json(_resource.subject.reference)) and not contains(cast(json(_text) as varchar), to_json(_resource.subject.reference)) then null else _resource.subject.reference end as "patient_reference",
      case when _resource.encounter.reference >= '[' and (_resource.encounter.reference < '\' or _resource.encounter.reference >= '{') and json_valid(_resource.encounter.reference) and not contains(_text, to_json(_resource.encounter.reference)) and not contains(cast(json(_text) as varchar), to_json(_resource.encounter.reference)) then null else _resource.encounter.reference end as "encounter_reference",
      case when _resource.effectiveDateTime >= '[' and (_resource.effectiveDateTime < '\' or _resource.effectiveDateTime >= '{') and json_valid(_resource.effectiveDateTime) and not contains(_text, to_json(_resource.effectiveDateTime)) and not contains(cast(json(_text) as varchar), to_json(_resource.effectiveDateTime)) then null else _resource.effectiveDateTime end as "noted_at",
      case when _resource.effectivePeriod.start >= '[' and (_resource.effectivePeriod.start < '\' or _resource.effectivePeriod.start >= '{') and json_valid(_resource.effectivePeriod.start) and not contains(_text, to_json(_resource.effectivePeriod.start)) and not contains(cast(json(_text) as varchar), to_json(_resource.effectivePeriod.start)) then null else _resource.effectivePeriod.start end as "period_start",
      case when _resource.issued >= '[' and (_resource.issued < '\' or _resource.issued >= '{') and json_valid(_resource.issued) and not contains(_text, to_json(_resource.issued)) and not contains(cast(json(_text) as varchar), to_json(_resource.issued)) then null else _resource.issued end as "dated_at",
      case when _resource.status >= '[' and (_resource.status < '\' or _resource.status >= '{') and json_valid(_resource.status) and not contains(_text, to_json(_resource.status)) and not contains(cast(json(_text) as varchar), to_json(_resource.status)) then null else _resource.status end as "status",
      coalesce(list_transform(list_transform(list_filter(list_filter(_resource.contained, lambda e_5: e_5 is not null), lambda e_6: json_extract_string(e_6, '$.resourceType') = 'Binary'), lambda e_7: e_7), lambda e_8: try_cast(e_8 as json)), cast([] as json[])) as "contained_binaries",
      coalesce(list_transform(_resource.presentedForm, lambda e_11: try_cast(e_11 as json)), cast([] as json[])) as "attachments",
      "submission_id",
      "source_file",
      "source_position",
      "ingested_at",
      "contained_keys",
      "has_unknown_modifier"
    from matching
),

tidied as (
    select
        viewed.*,
        {{ reference_id('viewed.patient_reference', 'Patient', 'patient_reference_target', 'viewed.resource_id', 'viewed.contained_keys') }} as patient_id,
        {{ reference_id('viewed.encounter_reference', 'Encounter', 'encounter_reference_target', 'viewed.resource_id', 'viewed.contained_keys') }} as encounter_id,
        {{ fhir_date('viewed.noted_at') }} as noted_at__checked,
        {{ fhir_date('viewed.period_start') }} as period_start__checked,
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
    period_start__checked as period_start,
    dated_at__checked as dated_at,
    status,
    contained_binaries,
    attachments,
    {{ record_counts('DiagnosticReport') }} and not has_unknown_modifier as counts,
    submission_id,
    source_file,
    source_position,
    ingested_at,
    {{ issues([
        ['patient_id', reference_issue('patient_reference', 'patient_id')],
        ['encounter_id', reference_issue('encounter_reference', 'encounter_id')],
        ['noted_at', "case when noted_at is not null and noted_at__checked is null then 'not a date' end"],
        ['period_start', "case when period_start is not null and period_start__checked is null then 'not a date' end"],
        ['dated_at', "case when dated_at is not null and dated_at__checked is null then 'not a date' end"],
        ['counts', "case when has_unknown_modifier then 'modifierExtension that is not known: the record does not count' end"]
    ]) }} as issues
from tidied
