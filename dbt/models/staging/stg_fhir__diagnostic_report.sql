-- Grain: one row per DiagnosticReport that the build recomputes.
-- Generated from views/diagnostic_report.json by `lakehouse views compile`; do not edit.
{{ config(meta={'resource_type': 'DiagnosticReport', 'key': 'diagnostic_report_id'}) }}

with viewed as (
    with parsed as (
      select
        case when random() >= 0 then try(from_json(cast(src."resource" as varchar), '{"category":[{"coding":[{"code":"VARCHAR"}]}],"code":{"coding":[{"code":"VARCHAR","display":"VARCHAR","system":"VARCHAR"}],"text":"VARCHAR"},"conclusion":"VARCHAR","effectiveDateTime":"VARCHAR","encounter":{"reference":"VARCHAR"},"id":"VARCHAR","issued":"VARCHAR","resourceType":"VARCHAR","result":[{"id":"VARCHAR"}],"status":"VARCHAR","subject":{"reference":"VARCHAR"}}')) end as _resource,
        cast(src."resource" as varchar) as _text,
        src."submission_id",
        src."source_file",
        src."source_position",
        src."ingested_at"
      from {{ current_resources('DiagnosticReport') }} as src
    ),

    firsts as (
      select
        *,
        _resource.category[1] as _first_category,
        _resource.category[1].coding[1] as _first_category_coding,
        _resource.code.coding[1] as _first_code_coding
      from parsed
    )

    select
      case when _resource.id >= '[' and (_resource.id < '\' or _resource.id >= '{') and json_valid(_resource.id) and not contains(_text, to_json(_resource.id)) and not contains(cast(json(_text) as varchar), to_json(_resource.id)) then null else _resource.id end as "diagnostic_report_id",
      case when _resource.subject.reference >= '[' and (_resource.subject.reference < '\' or _resource.subject.reference >= '{') and json_valid(_resource.subject.reference) and not contains(_text, to_json(_resource.subject.reference)) and not contains(cast(json(_text) as varchar), to_json(_resource.subject.reference)) then null else _resource.subject.reference end as "patient_reference",
      case when _resource.encounter.reference >= '[' and (_resource.encounter.reference < '\' or _resource.encounter.reference >= '{') and json_valid(_resource.encounter.reference) and not contains(_text, to_json(_resource.encounter.reference)) and not contains(cast(json(_text) as varchar), to_json(_resource.encounter.reference)) then null else _resource.encounter.reference end as "encounter_reference",
      coalesce(case when _first_category_coding.code >= '[' and (_first_category_coding.code < '\' or _first_category_coding.code >= '{') and json_valid(_first_category_coding.code) and not contains(_text, to_json(_first_category_coding.code)) and not contains(cast(json(_text) as varchar), to_json(_first_category_coding.code)) then null else _first_category_coding.code end, case when len(_resource.category) > 1 or len(_first_category.coding) > 1 then list_filter(list_transform(flatten(list_transform(_resource.category, lambda e_3: e_3.coding)), lambda e_5: case when e_5.code >= '[' and (e_5.code < '\' or e_5.code >= '{') and json_valid(e_5.code) and not contains(_text, to_json(e_5.code)) and not contains(cast(json(_text) as varchar), to_json(e_5.code)) then null else e_5.code end), lambda e_6: e_6 is not null)[1] end) as "category",
      coalesce(case when _first_code_coding.code >= '[' and (_first_code_coding.code < '\' or _first_code_coding.code >= '{') and json_valid(_first_code_coding.code) and not contains(_text, to_json(_first_code_coding.code)) and not contains(cast(json(_text) as varchar), to_json(_first_code_coding.code)) then null else _first_code_coding.code end, case when len(_resource.code.coding) > 1 then list_filter(list_transform(_resource.code.coding, lambda e_9: case when e_9.code >= '[' and (e_9.code < '\' or e_9.code >= '{') and json_valid(e_9.code) and not contains(_text, to_json(e_9.code)) and not contains(cast(json(_text) as varchar), to_json(e_9.code)) then null else e_9.code end), lambda e_10: e_10 is not null)[1] end) as "code",
      coalesce(case when _first_code_coding.system >= '[' and (_first_code_coding.system < '\' or _first_code_coding.system >= '{') and json_valid(_first_code_coding.system) and not contains(_text, to_json(_first_code_coding.system)) and not contains(cast(json(_text) as varchar), to_json(_first_code_coding.system)) then null else _first_code_coding.system end, case when len(_resource.code.coding) > 1 then list_filter(list_transform(_resource.code.coding, lambda e_13: case when e_13.system >= '[' and (e_13.system < '\' or e_13.system >= '{') and json_valid(e_13.system) and not contains(_text, to_json(e_13.system)) and not contains(cast(json(_text) as varchar), to_json(e_13.system)) then null else e_13.system end), lambda e_14: e_14 is not null)[1] end) as "code_system",
      coalesce(case when _first_code_coding.display >= '[' and (_first_code_coding.display < '\' or _first_code_coding.display >= '{') and json_valid(_first_code_coding.display) and not contains(_text, to_json(_first_code_coding.display)) and not contains(cast(json(_text) as varchar), to_json(_first_code_coding.display)) then null else _first_code_coding.display end, case when len(_resource.code.coding) > 1 then list_filter(list_transform(_resource.code.coding, lambda e_17: case when e_17.display >= '[' and (e_17.display < '\' or e_17.display >= '{') and json_valid(e_17.display) and not contains(_text, to_json(e_17.display)) and not contains(cast(json(_text) as varchar), to_json(e_17.display)) then null else e_17.display end), lambda e_18: e_18 is not null)[1] end) as "display",
      case when _resource.code.text >= '[' and (_resource.code.text < '\' or _resource.code.text >= '{') and json_valid(_resource.code.text) and not contains(_text, to_json(_resource.code.text)) and not contains(cast(json(_text) as varchar), to_json(_resource.code.text)) then null else _resource.code.text end as "text",
      case when _resource.status >= '[' and (_resource.status < '\' or _resource.status >= '{') and json_valid(_resource.status) and not contains(_text, to_json(_resource.status)) and not contains(cast(json(_text) as varchar), to_json(_resource.status)) then null else _resource.status end as "status",
      case when _resource.effectiveDateTime >= '[' and (_resource.effectiveDateTime < '\' or _resource.effectiveDateTime >= '{') and json_valid(_resource.effectiveDateTime) and not contains(_text, to_json(_resource.effectiveDateTime)) and not contains(cast(json(_text) as varchar), to_json(_resource.effectiveDateTime)) then null else _resource.effectiveDateTime end as "effective_at",
      case when _resource.issued >= '[' and (_resource.issued < '\' or _resource.issued >= '{') and json_valid(_resource.issued) and not contains(_text, to_json(_resource.issued)) and not contains(cast(json(_text) as varchar), to_json(_resource.issued)) then null else _resource.issued end as "issued_at",
      try_cast(coalesce(len(_resource.result), 0) as integer) as "result_count",
      case when _resource.conclusion >= '[' and (_resource.conclusion < '\' or _resource.conclusion >= '{') and json_valid(_resource.conclusion) and not contains(_text, to_json(_resource.conclusion)) and not contains(cast(json(_text) as varchar), to_json(_resource.conclusion)) then null else _resource.conclusion end as "conclusion",
      "submission_id",
      "source_file",
      "source_position",
      "ingested_at"
    from firsts
),

tidied as (
    select
        viewed.*,
        {{ reference_id('viewed.patient_reference', 'Patient', 'patient_reference_target', 'viewed.diagnostic_report_id') }} as patient_id,
        {{ reference_id('viewed.encounter_reference', 'Encounter', 'encounter_reference_target', 'viewed.diagnostic_report_id') }} as encounter_id,
        {{ fhir_date('viewed.effective_at') }} as effective_at__checked,
        {{ fhir_date('viewed.issued_at') }} as issued_at__checked
    from viewed
    left join memory.scratch.conditional_reference as patient_reference_target
        on {{ conditional_text('viewed.patient_reference') }} = patient_reference_target.reference_text
    left join memory.scratch.conditional_reference as encounter_reference_target
        on {{ conditional_text('viewed.encounter_reference') }} = encounter_reference_target.reference_text
)

select
    diagnostic_report_id,
    patient_id,
    encounter_id,
    category,
    code,
    code_system,
    display,
    text,
    status,
    effective_at__checked as effective_at,
    issued_at__checked as issued_at,
    result_count,
    conclusion,
    submission_id,
    source_file,
    source_position,
    ingested_at,
    {{ issues([
        ['patient_id', reference_issue('patient_reference', 'patient_id')],
        ['encounter_id', reference_issue('encounter_reference', 'encounter_id')],
        ['effective_at', "case when effective_at is not null and effective_at__checked is null then 'not a date' end"],
        ['issued_at', "case when issued_at is not null and issued_at__checked is null then 'not a date' end"]
    ]) }} as issues
from tidied
