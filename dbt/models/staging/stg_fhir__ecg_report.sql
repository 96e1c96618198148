-- Grain: one row per DiagnosticReport that the build recomputes.
-- Generated from views/ecg_report.json by `lakehouse generate`; do not edit.
{{ config(meta={'resource_type': 'DiagnosticReport', 'key': 'report_id'}) }}

with viewed as (
    with parsed as (
      select
        case when random() >= 0 then try(from_json(cast(src."resource" as varchar), '{"category":[{"coding":[{"code":"VARCHAR"}]}],"code":"JSON","conclusion":"VARCHAR","conclusionCode":["JSON"],"effectiveDateTime":"VARCHAR","effectivePeriod":{"start":"VARCHAR"},"encounter":{"reference":"VARCHAR"},"id":"VARCHAR","imagingStudy":[{"id":"VARCHAR"}],"issued":"VARCHAR","media":[{"id":"VARCHAR"}],"presentedForm":[{"contentType":"VARCHAR"}],"resourceType":"VARCHAR","result":[{"reference":"VARCHAR"}],"status":"VARCHAR","subject":{"reference":"VARCHAR"}}')) end as _resource,
        cast(src."resource" as varchar) as _text,
        src."submission_id",
        src."source_file",
        src."source_position",
        src."ingested_at",
        src."contained_keys",
        src."has_unknown_modifier"
      from {{ current_resources('DiagnosticReport', ['EC', '11524-6', '34534-8', '28010-7', '18844-1', '29303009']) }} as src
    ),

    matching as (
      select *
      from parsed
      where coalesce((len(list_filter(flatten(list_transform(_resource.category, lambda e_5: e_5.coding)), lambda x_1: (x_1.code = 'EC'))) > 0 or len(list_filter(from_json(_resource.code, '{"coding":[{"code":"VARCHAR"}]}').coding, lambda x_7: (((((x_7.code = '11524-6') or (x_7.code = '34534-8')) or (x_7.code = '28010-7')) or (x_7.code = '18844-1')) or (x_7.code = '29303009')))) > 0), false)
    )

    select
      case when _resource.id >= '[' and (_resource.id < '\' or _resource.id >= '{') and json_valid(_resource.id) and not contains(_text, to_json(_resource.id)) and not contains(cast(json(_text) as varchar), to_json(_resource.id)) then null else _resource.id end as "report_id",
      case when _resource.subject.reference >= '[' and (_resource.subject.reference < '\' or _resource.subject.reference >= '{') and json_valid(_resource.subject.reference) and not contains(_text, to_json(_resource.subject.reference)) and not contains(cast(json(_text) as varchar), to_json(_resource.subject.reference)) then null else _resource.subject.reference end as "patient_reference",
      case when _resource.encounter.reference >= '[' and (_resource.encounter.reference < '\' or _resource.encounter.reference >= '{') and json_valid(_resource.encounter.reference) and not contains(_text, to_json(_resource.encounter.reference)) and not contains(cast(json(_text) as varchar), to_json(_resource.encounter.reference)) then null else _resource.encounter.reference end as "encounter_reference",
      case when _resource.effectiveDateTime >= '[' and (_resource.effectiveDateTime < '\' or _resource.effectiveDateTime >= '{') and json_valid(_resource.effectiveDateTime) and not contains(_text, to_json(_resource.effectiveDateTime)) and not contains(cast(json(_text) as varchar), to_json(_resource.effectiveDateTime)) then null else _resource.effectiveDateTime end as "effective_at",
      case when _resource.effectivePeriod.start >= '[' and (_resource.effectivePeriod.start < '\' or _resource.effectivePeriod.start >= '{') and json_valid(_resource.effectivePeriod.start) and not contains(_text, to_json(_resource.effectivePeriod.start)) and not contains(cast(json(_text) as varchar), to_json(_resource.effectivePeriod.start)) then null else _resource.effectivePeriod.start end as "period_start",
      case when _resource.issued >= '[' and (_resource.issued < '\' or _resource.issued >= '{') and json_valid(_resource.issued) and not contains(_text, to_json(_resource.issued)) and not contains(cast(json(_text) as varchar), to_json(_resource.issued)) then null else _resource.issued end as "issued_at",
      case when _resource.status >= '[' and (_resource.status < '\' or _resource.status >= '{') and json_valid(_resource.status) and not contains(_text, to_json(_resource.status)) and not contains(cast(json(_text) as varchar), to_json(_resource.status)) then null else _resource.status end as "status",
      try_cast(_resource.code as json) as "code_concept",
      case when _resource.conclusion >= '[' and (_resource.conclusion < '\' or _resource.conclusion >= '{') and json_valid(_resource.conclusion) and not contains(_text, to_json(_resource.conclusion)) and not contains(cast(json(_text) as varchar), to_json(_resource.conclusion)) then null else _resource.conclusion end as "conclusion",
      coalesce(list_transform(_resource.conclusionCode, lambda e_13: try_cast(e_13 as json)), cast([] as json[])) as "conclusion_concepts",
      coalesce(list_filter(list_transform(_resource.result, lambda e_16: case when e_16.reference >= '[' and (e_16.reference < '\' or e_16.reference >= '{') and json_valid(e_16.reference) and not contains(_text, to_json(e_16.reference)) and not contains(cast(json(_text) as varchar), to_json(e_16.reference)) then null else e_16.reference end), lambda e_17: e_17 is not null), cast([] as varchar[])) as "result_references",
      coalesce(list_filter(list_transform(_resource.presentedForm, lambda e_21: case when e_21.contentType >= '[' and (e_21.contentType < '\' or e_21.contentType >= '{') and json_valid(e_21.contentType) and not contains(_text, to_json(e_21.contentType)) and not contains(cast(json(_text) as varchar), to_json(e_21.contentType)) then null else e_21.contentType end), lambda e_22: e_22 is not null), cast([] as varchar[])) as "media_types",
      (coalesce(len(_resource.media) > 0, false) or coalesce(len(_resource.imagingStudy) > 0, false)) as "has_media",
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
        {{ parsed_concept('viewed.code_concept') }} as code_concept__parsed,
        {{ parsed_concepts('viewed.conclusion_concepts') }} as conclusion_concepts__parsed,
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
),

coded as (
    select
        tidied.*,
        {{ codings('code_concept__parsed.coding') }} as code_concept__codings,
        {{ all_codings('conclusion_concepts__parsed') }} as conclusion_concepts__codings,
        {{ first_concept('conclusion_concepts__parsed') }} as conclusion_concepts__concept
    from tidied
),

preferred as (
    select
        coded.*,
        {{ preferred_coding('code_concept__codings') }} as code_concept__coding,
        {{ preferred_coding(codings('conclusion_concepts__concept.coding')) }} as conclusion_concepts__coding
    from coded
)

select
    report_id,
    patient_id,
    encounter_id,
    effective_at__checked as effective_at,
    period_start__checked as period_start,
    issued_at__checked as issued_at,
    status,
    code_concept__coding.code as code,
    code_concept__coding."system" as code_system,
    coalesce(code_concept__coding.display, code_concept__parsed.text) as display,
    code_concept__codings as codings,
    conclusion,
    conclusion_concepts__coding.code as conclusion_code,
    coalesce(conclusion_concepts__coding.display, conclusion_concepts__concept.text) as conclusion_display,
    result_references,
    media_types,
    has_media,
    {{ record_counts('DiagnosticReport') }} and not has_unknown_modifier as counts,
    submission_id,
    source_file,
    source_position,
    ingested_at,
    {{ issues([
        ['patient_id', reference_issue('patient_reference', 'patient_id')],
        ['encounter_id', reference_issue('encounter_reference', 'encounter_id')],
        ['effective_at', "case when effective_at is not null and effective_at__checked is null then 'not a date' end"],
        ['period_start', "case when period_start is not null and period_start__checked is null then 'not a date' end"],
        ['issued_at', "case when issued_at is not null and issued_at__checked is null then 'not a date' end"],
        ['counts', "case when has_unknown_modifier then 'modifierExtension that is not known: the record does not count' end"]
    ]) }} as issues
from preferred
