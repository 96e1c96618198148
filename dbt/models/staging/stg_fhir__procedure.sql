-- Grain: one row per Procedure that the build recomputes.
-- Generated from views/procedure.json by `lakehouse generate`; do not edit.
{{ config(meta={'resource_type': 'Procedure', 'key': 'procedure_id'}) }}

with viewed as (
    with parsed as (
      select
        case when random() >= 0 then try(from_json(cast(src."resource" as varchar), '{"code":"JSON","encounter":{"reference":"VARCHAR"},"id":"VARCHAR","performedDateTime":"VARCHAR","performedPeriod":{"end":"VARCHAR","start":"VARCHAR"},"resourceType":"VARCHAR","status":"VARCHAR","subject":{"reference":"VARCHAR"}}')) end as _resource,
        cast(src."resource" as varchar) as _text,
        src."submission_id",
        src."source_file",
        src."source_position",
        src."ingested_at",
        src."contained_keys",
        src."has_unknown_modifier"
      from {{ current_resources('Procedure') }} as src
    )

    select
      case when _resource.id >= '[' and (_resource.id < '\' or _resource.id >= '{') and json_valid(_resource.id) and not contains(_text, to_json(_resource.id)) and not contains(cast(json(_text) as varchar), to_json(_resource.id)) then null else _resource.id end as "procedure_id",
      case when _resource.subject.reference >= '[' and (_resource.subject.reference < '\' or _resource.subject.reference >= '{') and json_valid(_resource.subject.reference) and not contains(_text, to_json(_resource.subject.reference)) and not contains(cast(json(_text) as varchar), to_json(_resource.subject.reference)) then null else _resource.subject.reference end as "patient_reference",
      case when _resource.encounter.reference >= '[' and (_resource.encounter.reference < '\' or _resource.encounter.reference >= '{') and json_valid(_resource.encounter.reference) and not contains(_text, to_json(_resource.encounter.reference)) and not contains(cast(json(_text) as varchar), to_json(_resource.encounter.reference)) then null else _resource.encounter.reference end as "encounter_reference",
      try_cast(_resource.code as json) as "code_concept",
      case when _resource.status >= '[' and (_resource.status < '\' or _resource.status >= '{') and json_valid(_resource.status) and not contains(_text, to_json(_resource.status)) and not contains(cast(json(_text) as varchar), to_json(_resource.status)) then null else _resource.status end as "status",
      case when _resource.performedDateTime >= '[' and (_resource.performedDateTime < '\' or _resource.performedDateTime >= '{') and json_valid(_resource.performedDateTime) and not contains(_text, to_json(_resource.performedDateTime)) and not contains(cast(json(_text) as varchar), to_json(_resource.performedDateTime)) then null else _resource.performedDateTime end as "started_at",
      case when _resource.performedPeriod.start >= '[' and (_resource.performedPeriod.start < '\' or _resource.performedPeriod.start >= '{') and json_valid(_resource.performedPeriod.start) and not contains(_text, to_json(_resource.performedPeriod.start)) and not contains(cast(json(_text) as varchar), to_json(_resource.performedPeriod.start)) then null else _resource.performedPeriod.start end as "period_start",
      case when _resource.performedPeriod.end >= '[' and (_resource.performedPeriod.end < '\' or _resource.performedPeriod.end >= '{') and json_valid(_resource.performedPeriod.end) and not contains(_text, to_json(_resource.performedPeriod.end)) and not contains(cast(json(_text) as varchar), to_json(_resource.performedPeriod.end)) then null else _resource.performedPeriod.end end as "ended_at",
      "submission_id",
      "source_file",
      "source_position",
      "ingested_at",
      "contained_keys",
      "has_unknown_modifier"
    from parsed
),

tidied as (
    select
        viewed.*,
        {{ parsed_concept('viewed.code_concept') }} as code_concept__parsed,
        {{ reference_id('viewed.patient_reference', 'Patient', 'patient_reference_target', 'viewed.procedure_id', 'viewed.contained_keys') }} as patient_id,
        {{ reference_id('viewed.encounter_reference', 'Encounter', 'encounter_reference_target', 'viewed.procedure_id', 'viewed.contained_keys') }} as encounter_id,
        {{ fhir_date('viewed.started_at') }} as started_at__checked,
        {{ fhir_date('viewed.period_start') }} as period_start__checked,
        {{ fhir_date('viewed.ended_at') }} as ended_at__checked
    from viewed
    left join memory.scratch.conditional_reference as patient_reference_target
        on {{ conditional_text('viewed.patient_reference') }} = patient_reference_target.reference_text
    left join memory.scratch.conditional_reference as encounter_reference_target
        on {{ conditional_text('viewed.encounter_reference') }} = encounter_reference_target.reference_text
),

coded as (
    select
        tidied.*,
        {{ codings('code_concept__parsed.coding') }} as code_concept__codings
    from tidied
),

preferred as (
    select
        coded.*,
        {{ preferred_coding('code_concept__codings') }} as code_concept__coding
    from coded
)

select
    procedure_id,
    patient_id,
    encounter_id,
    code_concept__coding.code as code,
    code_concept__coding."system" as code_system,
    coalesce(code_concept__coding.display, code_concept__parsed.text) as display,
    code_concept__codings as codings,
    status,
    started_at__checked as started_at,
    period_start__checked as period_start,
    ended_at__checked as ended_at,
    {{ record_counts('Procedure') }} and not has_unknown_modifier as counts,
    submission_id,
    source_file,
    source_position,
    ingested_at,
    {{ issues([
        ['patient_id', reference_issue('patient_reference', 'patient_id')],
        ['encounter_id', reference_issue('encounter_reference', 'encounter_id')],
        ['started_at', "case when started_at is not null and started_at__checked is null then 'not a date' end"],
        ['period_start', "case when period_start is not null and period_start__checked is null then 'not a date' end"],
        ['ended_at', "case when ended_at is not null and ended_at__checked is null then 'not a date' end"],
        ['counts', "case when has_unknown_modifier then 'modifierExtension that is not known: the record does not count' end"]
    ]) }} as issues
from preferred
