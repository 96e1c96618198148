-- Grain: one row per Procedure that the build recomputes.
-- Generated from views/procedure.json by `lakehouse views compile`; do not edit.
{{ config(meta={'resource_type': 'Procedure', 'key': 'procedure_id'}) }}

with viewed as (
    with parsed as (
      select
        case when random() >= 0 then try(from_json(cast(src."resource" as varchar), '{"code":{"coding":[{"code":"VARCHAR","display":"VARCHAR","system":"VARCHAR"}],"text":"VARCHAR"},"encounter":{"reference":"VARCHAR"},"id":"VARCHAR","performedDateTime":"VARCHAR","performedPeriod":{"end":"VARCHAR","start":"VARCHAR"},"resourceType":"VARCHAR","status":"VARCHAR","subject":{"reference":"VARCHAR"}}')) end as _resource,
        cast(src."resource" as varchar) as _text,
        src."submission_id",
        src."source_file",
        src."source_position",
        src."ingested_at"
      from {{ current_resources('Procedure') }} as src
    ),

    firsts as (
      select
        *,
        _resource.code.coding[1] as _first_code_coding
      from parsed
    )

    select
      case when _resource.id >= '[' and (_resource.id < '\' or _resource.id >= '{') and json_valid(_resource.id) and not contains(_text, to_json(_resource.id)) and not contains(cast(json(_text) as varchar), to_json(_resource.id)) then null else _resource.id end as "procedure_id",
      case when _resource.subject.reference >= '[' and (_resource.subject.reference < '\' or _resource.subject.reference >= '{') and json_valid(_resource.subject.reference) and not contains(_text, to_json(_resource.subject.reference)) and not contains(cast(json(_text) as varchar), to_json(_resource.subject.reference)) then null else _resource.subject.reference end as "patient_reference",
      case when _resource.encounter.reference >= '[' and (_resource.encounter.reference < '\' or _resource.encounter.reference >= '{') and json_valid(_resource.encounter.reference) and not contains(_text, to_json(_resource.encounter.reference)) and not contains(cast(json(_text) as varchar), to_json(_resource.encounter.reference)) then null else _resource.encounter.reference end as "encounter_reference",
      coalesce(case when _first_code_coding.code >= '[' and (_first_code_coding.code < '\' or _first_code_coding.code >= '{') and json_valid(_first_code_coding.code) and not contains(_text, to_json(_first_code_coding.code)) and not contains(cast(json(_text) as varchar), to_json(_first_code_coding.code)) then null else _first_code_coding.code end, case when len(_resource.code.coding) > 1 then list_filter(list_transform(_resource.code.coding, lambda e_3: case when e_3.code >= '[' and (e_3.code < '\' or e_3.code >= '{') and json_valid(e_3.code) and not contains(_text, to_json(e_3.code)) and not contains(cast(json(_text) as varchar), to_json(e_3.code)) then null else e_3.code end), lambda e_4: e_4 is not null)[1] end) as "code",
      coalesce(case when _first_code_coding.system >= '[' and (_first_code_coding.system < '\' or _first_code_coding.system >= '{') and json_valid(_first_code_coding.system) and not contains(_text, to_json(_first_code_coding.system)) and not contains(cast(json(_text) as varchar), to_json(_first_code_coding.system)) then null else _first_code_coding.system end, case when len(_resource.code.coding) > 1 then list_filter(list_transform(_resource.code.coding, lambda e_7: case when e_7.system >= '[' and (e_7.system < '\' or e_7.system >= '{') and json_valid(e_7.system) and not contains(_text, to_json(e_7.system)) and not contains(cast(json(_text) as varchar), to_json(e_7.system)) then null else e_7.system end), lambda e_8: e_8 is not null)[1] end) as "code_system",
      coalesce(case when _first_code_coding.display >= '[' and (_first_code_coding.display < '\' or _first_code_coding.display >= '{') and json_valid(_first_code_coding.display) and not contains(_text, to_json(_first_code_coding.display)) and not contains(cast(json(_text) as varchar), to_json(_first_code_coding.display)) then null else _first_code_coding.display end, case when len(_resource.code.coding) > 1 then list_filter(list_transform(_resource.code.coding, lambda e_11: case when e_11.display >= '[' and (e_11.display < '\' or e_11.display >= '{') and json_valid(e_11.display) and not contains(_text, to_json(e_11.display)) and not contains(cast(json(_text) as varchar), to_json(e_11.display)) then null else e_11.display end), lambda e_12: e_12 is not null)[1] end) as "display",
      case when _resource.code.text >= '[' and (_resource.code.text < '\' or _resource.code.text >= '{') and json_valid(_resource.code.text) and not contains(_text, to_json(_resource.code.text)) and not contains(cast(json(_text) as varchar), to_json(_resource.code.text)) then null else _resource.code.text end as "text",
      case when _resource.status >= '[' and (_resource.status < '\' or _resource.status >= '{') and json_valid(_resource.status) and not contains(_text, to_json(_resource.status)) and not contains(cast(json(_text) as varchar), to_json(_resource.status)) then null else _resource.status end as "status",
      case when _resource.performedDateTime >= '[' and (_resource.performedDateTime < '\' or _resource.performedDateTime >= '{') and json_valid(_resource.performedDateTime) and not contains(_text, to_json(_resource.performedDateTime)) and not contains(cast(json(_text) as varchar), to_json(_resource.performedDateTime)) then null else _resource.performedDateTime end as "started_at",
      case when _resource.performedPeriod.start >= '[' and (_resource.performedPeriod.start < '\' or _resource.performedPeriod.start >= '{') and json_valid(_resource.performedPeriod.start) and not contains(_text, to_json(_resource.performedPeriod.start)) and not contains(cast(json(_text) as varchar), to_json(_resource.performedPeriod.start)) then null else _resource.performedPeriod.start end as "period_start",
      case when _resource.performedPeriod.end >= '[' and (_resource.performedPeriod.end < '\' or _resource.performedPeriod.end >= '{') and json_valid(_resource.performedPeriod.end) and not contains(_text, to_json(_resource.performedPeriod.end)) and not contains(cast(json(_text) as varchar), to_json(_resource.performedPeriod.end)) then null else _resource.performedPeriod.end end as "ended_at",
      "submission_id",
      "source_file",
      "source_position",
      "ingested_at"
    from firsts
),

tidied as (
    select
        viewed.*,
        {{ reference_id('viewed.patient_reference', 'Patient', 'patient_reference_target', 'viewed.procedure_id') }} as patient_id,
        {{ reference_id('viewed.encounter_reference', 'Encounter', 'encounter_reference_target', 'viewed.procedure_id') }} as encounter_id,
        {{ fhir_date('viewed.started_at') }} as started_at__checked,
        {{ fhir_date('viewed.period_start') }} as period_start__checked,
        {{ fhir_date('viewed.ended_at') }} as ended_at__checked
    from viewed
    left join memory.scratch.conditional_reference as patient_reference_target
        on {{ conditional_text('viewed.patient_reference') }} = patient_reference_target.reference_text
    left join memory.scratch.conditional_reference as encounter_reference_target
        on {{ conditional_text('viewed.encounter_reference') }} = encounter_reference_target.reference_text
)

select
    procedure_id,
    patient_id,
    encounter_id,
    code,
    code_system,
    display,
    text,
    status,
    started_at__checked as started_at,
    period_start__checked as period_start,
    ended_at__checked as ended_at,
    submission_id,
    source_file,
    source_position,
    ingested_at,
    {{ issues([
        ['patient_id', reference_issue('patient_reference', 'patient_id')],
        ['encounter_id', reference_issue('encounter_reference', 'encounter_id')],
        ['started_at', "case when started_at is not null and started_at__checked is null then 'not a date' end"],
        ['period_start', "case when period_start is not null and period_start__checked is null then 'not a date' end"],
        ['ended_at', "case when ended_at is not null and ended_at__checked is null then 'not a date' end"]
    ]) }} as issues
from tidied
