-- Grain: one row per DiagnosticReport that the build recomputes.
-- Generated from views/genomic_report.json by `lakehouse generate`; do not edit.
{{ config(meta={'resource_type': 'DiagnosticReport', 'key': 'report_id'}) }}

with viewed as (
    with parsed as (
      select
        case when random() >= 0 then try(from_json(cast(src."resource" as varchar), '{"category":[{"coding":[{"code":"VARCHAR"}]}],"code":{"coding":[{"code":"VARCHAR","display":"VARCHAR","system":"VARCHAR"}],"text":"VARCHAR"},"conclusion":"VARCHAR","conclusionCode":[{"coding":[{"code":"VARCHAR","display":"VARCHAR"}]}],"effectiveDateTime":"VARCHAR","effectivePeriod":{"start":"VARCHAR"},"encounter":{"reference":"VARCHAR"},"id":"VARCHAR","issued":"VARCHAR","resourceType":"VARCHAR","result":[{"reference":"VARCHAR"}],"status":"VARCHAR","subject":{"reference":"VARCHAR"}}')) end as _resource,
        cast(src."resource" as varchar) as _text,
        src."submission_id",
        src."source_file",
        src."source_position",
        src."ingested_at",
        src."contained_keys"
      from {{ current_resources('DiagnosticReport', ['GE', 'genetics', 'genomics', '51969-4', '81247-9', '55232-3', '51968-6', '86205-2']) }} as src
    ),

    matching as (
      select *
      from parsed
      where coalesce((len(list_filter(flatten(list_transform(_resource.category, lambda e_5: e_5.coding)), lambda x_1: (((x_1.code = 'GE') or (x_1.code = 'genetics')) or (x_1.code = 'genomics')))) > 0 or len(list_filter(_resource.code.coding, lambda x_7: (((((x_7.code = '51969-4') or (x_7.code = '81247-9')) or (x_7.code = '55232-3')) or (x_7.code = '51968-6')) or (x_7.code = '86205-2')))) > 0), false)
    ),

    firsts as (
      select
        *,
        _resource.code.coding[1] as _first_code_coding,
        _resource.conclusionCode[1] as _first_conclusionCode,
        _resource.conclusionCode[1].coding[1] as _first_conclusionCode_coding
      from matching
    )

    select
      case when _resource.id >= '[' and (_resource.id < '\' or _resource.id >= '{') and json_valid(_resource.id) and not contains(_text, to_json(_resource.id)) and not contains(cast(json(_text) as varchar), to_json(_resource.id)) then null else _resource.id end as "report_id",
      case when _resource.subject.reference >= '[' and (_resource.subject.reference < '\' or _resource.subject.reference >= '{') and json_valid(_resource.subject.reference) and not contains(_text, to_json(_resource.subject.reference)) and not contains(cast(json(_text) as varchar), to_json(_resource.subject.reference)) then null else _resource.subject.reference end as "patient_reference",
      case when _resource.encounter.reference >= '[' and (_resource.encounter.reference < '\' or _resource.encounter.reference >= '{') and json_valid(_resource.encounter.reference) and not contains(_text, to_json(_resource.encounter.reference)) and not contains(cast(json(_text) as varchar), to_json(_resource.encounter.reference)) then null else _resource.encounter.reference end as "encounter_reference",
      case when _resource.effectiveDateTime >= '[' and (_resource.effectiveDateTime < '\' or _resource.effectiveDateTime >= '{') and json_valid(_resource.effectiveDateTime) and not contains(_text, to_json(_resource.effectiveDateTime)) and not contains(cast(json(_text) as varchar), to_json(_resource.effectiveDateTime)) then null else _resource.effectiveDateTime end as "effective_at",
      case when _resource.effectivePeriod.start >= '[' and (_resource.effectivePeriod.start < '\' or _resource.effectivePeriod.start >= '{') and json_valid(_resource.effectivePeriod.start) and not contains(_text, to_json(_resource.effectivePeriod.start)) and not contains(cast(json(_text) as varchar), to_json(_resource.effectivePeriod.start)) then null else _resource.effectivePeriod.start end as "period_start",
      case when _resource.issued >= '[' and (_resource.issued < '\' or _resource.issued >= '{') and json_valid(_resource.issued) and not contains(_text, to_json(_resource.issued)) and not contains(cast(json(_text) as varchar), to_json(_resource.issued)) then null else _resource.issued end as "issued_at",
      case when _resource.status >= '[' and (_resource.status < '\' or _resource.status >= '{') and json_valid(_resource.status) and not contains(_text, to_json(_resource.status)) and not contains(cast(json(_text) as varchar), to_json(_resource.status)) then null else _resource.status end as "status",
      coalesce(case when _first_code_coding.code >= '[' and (_first_code_coding.code < '\' or _first_code_coding.code >= '{') and json_valid(_first_code_coding.code) and not contains(_text, to_json(_first_code_coding.code)) and not contains(cast(json(_text) as varchar), to_json(_first_code_coding.code)) then null else _first_code_coding.code end, case when len(_resource.code.coding) > 1 then list_filter(list_transform(_resource.code.coding, lambda e_13: case when e_13.code >= '[' and (e_13.code < '\' or e_13.code >= '{') and json_valid(e_13.code) and not contains(_text, to_json(e_13.code)) and not contains(cast(json(_text) as varchar), to_json(e_13.code)) then null else e_13.code end), lambda e_14: e_14 is not null)[1] end) as "code",
      coalesce(case when _first_code_coding.system >= '[' and (_first_code_coding.system < '\' or _first_code_coding.system >= '{') and json_valid(_first_code_coding.system) and not contains(_text, to_json(_first_code_coding.system)) and not contains(cast(json(_text) as varchar), to_json(_first_code_coding.system)) then null else _first_code_coding.system end, case when len(_resource.code.coding) > 1 then list_filter(list_transform(_resource.code.coding, lambda e_17: case when e_17.system >= '[' and (e_17.system < '\' or e_17.system >= '{') and json_valid(e_17.system) and not contains(_text, to_json(e_17.system)) and not contains(cast(json(_text) as varchar), to_json(e_17.system)) then null else e_17.system end), lambda e_18: e_18 is not null)[1] end) as "code_system",
      coalesce(case when _first_code_coding.display >= '[' and (_first_code_coding.display < '\' or _first_code_coding.display >= '{') and json_valid(_first_code_coding.display) and not contains(_text, to_json(_first_code_coding.display)) and not contains(cast(json(_text) as varchar), to_json(_first_code_coding.display)) then null else _first_code_coding.display end, case when len(_resource.code.coding) > 1 then list_filter(list_transform(_resource.code.coding, lambda e_21: case when e_21.display >= '[' and (e_21.display < '\' or e_21.display >= '{') and json_valid(e_21.display) and not contains(_text, to_json(e_21.display)) and not contains(cast(json(_text) as varchar), to_json(e_21.display)) then null else e_21.display end), lambda e_22: e_22 is not null)[1] end) as "display",
      case when _resource.code.text >= '[' and (_resource.code.text < '\' or _resource.code.text >= '{') and json_valid(_resource.code.text) and not contains(_text, to_json(_resource.code.text)) and not contains(cast(json(_text) as varchar), to_json(_resource.code.text)) then null else _resource.code.text end as "text",
      case when _resource.conclusion >= '[' and (_resource.conclusion < '\' or _resource.conclusion >= '{') and json_valid(_resource.conclusion) and not contains(_text, to_json(_resource.conclusion)) and not contains(cast(json(_text) as varchar), to_json(_resource.conclusion)) then null else _resource.conclusion end as "conclusion",
      coalesce(case when _first_conclusionCode_coding.code >= '[' and (_first_conclusionCode_coding.code < '\' or _first_conclusionCode_coding.code >= '{') and json_valid(_first_conclusionCode_coding.code) and not contains(_text, to_json(_first_conclusionCode_coding.code)) and not contains(cast(json(_text) as varchar), to_json(_first_conclusionCode_coding.code)) then null else _first_conclusionCode_coding.code end, case when len(_resource.conclusionCode) > 1 or len(_first_conclusionCode.coding) > 1 then list_filter(list_transform(flatten(list_transform(_resource.conclusionCode, lambda e_25: e_25.coding)), lambda e_27: case when e_27.code >= '[' and (e_27.code < '\' or e_27.code >= '{') and json_valid(e_27.code) and not contains(_text, to_json(e_27.code)) and not contains(cast(json(_text) as varchar), to_json(e_27.code)) then null else e_27.code end), lambda e_28: e_28 is not null)[1] end) as "conclusion_code",
      coalesce(case when _first_conclusionCode_coding.display >= '[' and (_first_conclusionCode_coding.display < '\' or _first_conclusionCode_coding.display >= '{') and json_valid(_first_conclusionCode_coding.display) and not contains(_text, to_json(_first_conclusionCode_coding.display)) and not contains(cast(json(_text) as varchar), to_json(_first_conclusionCode_coding.display)) then null else _first_conclusionCode_coding.display end, case when len(_resource.conclusionCode) > 1 or len(_first_conclusionCode.coding) > 1 then list_filter(list_transform(flatten(list_transform(_resource.conclusionCode, lambda e_31: e_31.coding)), lambda e_33: case when e_33.display >= '[' and (e_33.display < '\' or e_33.display >= '{') and json_valid(e_33.display) and not contains(_text, to_json(e_33.display)) and not contains(cast(json(_text) as varchar), to_json(e_33.display)) then null else e_33.display end), lambda e_34: e_34 is not null)[1] end) as "conclusion_display",
      coalesce(list_filter(list_transform(_resource.result, lambda e_37: case when e_37.reference >= '[' and (e_37.reference < '\' or e_37.reference >= '{') and json_valid(e_37.reference) and not contains(_text, to_json(e_37.reference)) and not contains(cast(json(_text) as varchar), to_json(e_37.reference)) then null else e_37.reference end), lambda e_38: e_38 is not null), cast([] as varchar[])) as "result_references",
      "submission_id",
      "source_file",
      "source_position",
      "ingested_at",
      "contained_keys"
    from firsts
),

tidied as (
    select
        viewed.*,
        {{ reference_id('viewed.patient_reference', 'Patient', 'patient_reference_target', 'viewed.report_id', 'viewed.contained_keys') }} as patient_id,
        {{ reference_id('viewed.encounter_reference', 'Encounter', 'encounter_reference_target', 'viewed.report_id', 'viewed.contained_keys') }} as encounter_id,
        {{ fhir_date('viewed.effective_at') }} as effective_at__checked,
        {{ fhir_date('viewed.period_start') }} as period_start__checked,
        {{ fhir_date('viewed.issued_at') }} as issued_at__checked
    from viewed
    left join memory.scratch.conditional_reference as patient_reference_target
        on {{ conditional_text('viewed.patient_reference') }} = patient_reference_target.reference_text
    left join memory.scratch.conditional_reference as encounter_reference_target
        on {{ conditional_text('viewed.encounter_reference') }} = encounter_reference_target.reference_text
)

select
    report_id,
    patient_id,
    encounter_id,
    effective_at__checked as effective_at,
    period_start__checked as period_start,
    issued_at__checked as issued_at,
    status,
    code,
    code_system,
    display,
    text,
    conclusion,
    conclusion_code,
    conclusion_display,
    result_references,
    {{ record_counts('DiagnosticReport') }} as counts,
    submission_id,
    source_file,
    source_position,
    ingested_at,
    {{ issues([
        ['patient_id', reference_issue('patient_reference', 'patient_id')],
        ['encounter_id', reference_issue('encounter_reference', 'encounter_id')],
        ['effective_at', "case when effective_at is not null and effective_at__checked is null then 'not a date' end"],
        ['period_start', "case when period_start is not null and period_start__checked is null then 'not a date' end"],
        ['issued_at', "case when issued_at is not null and issued_at__checked is null then 'not a date' end"]
    ]) }} as issues
from tidied
