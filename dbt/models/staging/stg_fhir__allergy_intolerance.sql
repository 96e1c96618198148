-- Grain: one row per AllergyIntolerance that the build recomputes.
-- Generated from views/allergy_intolerance.json by `lakehouse views compile`; do not edit.
{{ config(meta={'resource_type': 'AllergyIntolerance', 'key': 'allergy_intolerance_id'}) }}

with viewed as (
    with parsed as (
      select
        case when random() >= 0 then try(from_json(cast(src."resource" as varchar), '{"category":["VARCHAR"],"clinicalStatus":{"coding":[{"code":"VARCHAR"}]},"code":{"coding":[{"code":"VARCHAR","display":"VARCHAR","system":"VARCHAR"}],"text":"VARCHAR"},"criticality":"VARCHAR","encounter":{"reference":"VARCHAR"},"id":"VARCHAR","onsetDateTime":"VARCHAR","patient":{"reference":"VARCHAR"},"recordedDate":"VARCHAR","resourceType":"VARCHAR","type":"VARCHAR","verificationStatus":{"coding":[{"code":"VARCHAR"}]}}')) end as _resource,
        cast(src."resource" as varchar) as _text,
        src."submission_id",
        src."source_file",
        src."source_position",
        src."ingested_at"
      from {{ current_resources('AllergyIntolerance') }} as src
    ),

    firsts as (
      select
        *,
        _resource.code.coding[1] as _first_code_coding,
        _resource.clinicalStatus.coding[1] as _first_clinicalStatus_coding,
        _resource.verificationStatus.coding[1] as _first_verificationStatus_coding
      from parsed
    )

    select
      case when _resource.id >= '[' and (_resource.id < '\' or _resource.id >= '{') and json_valid(_resource.id) and not contains(_text, to_json(_resource.id)) and not contains(cast(json(_text) as varchar), to_json(_resource.id)) then null else _resource.id end as "allergy_intolerance_id",
      case when _resource.patient.reference >= '[' and (_resource.patient.reference < '\' or _resource.patient.reference >= '{') and json_valid(_resource.patient.reference) and not contains(_text, to_json(_resource.patient.reference)) and not contains(cast(json(_text) as varchar), to_json(_resource.patient.reference)) then null else _resource.patient.reference end as "patient_reference",
      case when _resource.encounter.reference >= '[' and (_resource.encounter.reference < '\' or _resource.encounter.reference >= '{') and json_valid(_resource.encounter.reference) and not contains(_text, to_json(_resource.encounter.reference)) and not contains(cast(json(_text) as varchar), to_json(_resource.encounter.reference)) then null else _resource.encounter.reference end as "encounter_reference",
      coalesce(case when _first_code_coding.code >= '[' and (_first_code_coding.code < '\' or _first_code_coding.code >= '{') and json_valid(_first_code_coding.code) and not contains(_text, to_json(_first_code_coding.code)) and not contains(cast(json(_text) as varchar), to_json(_first_code_coding.code)) then null else _first_code_coding.code end, case when len(_resource.code.coding) > 1 then list_filter(list_transform(_resource.code.coding, lambda e_3: case when e_3.code >= '[' and (e_3.code < '\' or e_3.code >= '{') and json_valid(e_3.code) and not contains(_text, to_json(e_3.code)) and not contains(cast(json(_text) as varchar), to_json(e_3.code)) then null else e_3.code end), lambda e_4: e_4 is not null)[1] end) as "code",
      coalesce(case when _first_code_coding.system >= '[' and (_first_code_coding.system < '\' or _first_code_coding.system >= '{') and json_valid(_first_code_coding.system) and not contains(_text, to_json(_first_code_coding.system)) and not contains(cast(json(_text) as varchar), to_json(_first_code_coding.system)) then null else _first_code_coding.system end, case when len(_resource.code.coding) > 1 then list_filter(list_transform(_resource.code.coding, lambda e_7: case when e_7.system >= '[' and (e_7.system < '\' or e_7.system >= '{') and json_valid(e_7.system) and not contains(_text, to_json(e_7.system)) and not contains(cast(json(_text) as varchar), to_json(e_7.system)) then null else e_7.system end), lambda e_8: e_8 is not null)[1] end) as "code_system",
      coalesce(case when _first_code_coding.display >= '[' and (_first_code_coding.display < '\' or _first_code_coding.display >= '{') and json_valid(_first_code_coding.display) and not contains(_text, to_json(_first_code_coding.display)) and not contains(cast(json(_text) as varchar), to_json(_first_code_coding.display)) then null else _first_code_coding.display end, case when len(_resource.code.coding) > 1 then list_filter(list_transform(_resource.code.coding, lambda e_11: case when e_11.display >= '[' and (e_11.display < '\' or e_11.display >= '{') and json_valid(e_11.display) and not contains(_text, to_json(e_11.display)) and not contains(cast(json(_text) as varchar), to_json(e_11.display)) then null else e_11.display end), lambda e_12: e_12 is not null)[1] end) as "display",
      case when _resource.code.text >= '[' and (_resource.code.text < '\' or _resource.code.text >= '{') and json_valid(_resource.code.text) and not contains(_text, to_json(_resource.code.text)) and not contains(cast(json(_text) as varchar), to_json(_resource.code.text)) then null else _resource.code.text end as "text",
      case when _resource.type >= '[' and (_resource.type < '\' or _resource.type >= '{') and json_valid(_resource.type) and not contains(_text, to_json(_resource.type)) and not contains(cast(json(_text) as varchar), to_json(_resource.type)) then null else _resource.type end as "type",
      list_filter(list_transform(_resource.category, lambda e_14: case when e_14 >= '[' and (e_14 < '\' or e_14 >= '{') and json_valid(e_14) and not contains(_text, to_json(e_14)) and not contains(cast(json(_text) as varchar), to_json(e_14)) then null else e_14 end), lambda e_15: e_15 is not null)[1] as "category",
      case when _resource.criticality >= '[' and (_resource.criticality < '\' or _resource.criticality >= '{') and json_valid(_resource.criticality) and not contains(_text, to_json(_resource.criticality)) and not contains(cast(json(_text) as varchar), to_json(_resource.criticality)) then null else _resource.criticality end as "criticality",
      coalesce(case when _first_clinicalStatus_coding.code >= '[' and (_first_clinicalStatus_coding.code < '\' or _first_clinicalStatus_coding.code >= '{') and json_valid(_first_clinicalStatus_coding.code) and not contains(_text, to_json(_first_clinicalStatus_coding.code)) and not contains(cast(json(_text) as varchar), to_json(_first_clinicalStatus_coding.code)) then null else _first_clinicalStatus_coding.code end, case when len(_resource.clinicalStatus.coding) > 1 then list_filter(list_transform(_resource.clinicalStatus.coding, lambda e_18: case when e_18.code >= '[' and (e_18.code < '\' or e_18.code >= '{') and json_valid(e_18.code) and not contains(_text, to_json(e_18.code)) and not contains(cast(json(_text) as varchar), to_json(e_18.code)) then null else e_18.code end), lambda e_19: e_19 is not null)[1] end) as "clinical_status",
      coalesce(case when _first_verificationStatus_coding.code >= '[' and (_first_verificationStatus_coding.code < '\' or _first_verificationStatus_coding.code >= '{') and json_valid(_first_verificationStatus_coding.code) and not contains(_text, to_json(_first_verificationStatus_coding.code)) and not contains(cast(json(_text) as varchar), to_json(_first_verificationStatus_coding.code)) then null else _first_verificationStatus_coding.code end, case when len(_resource.verificationStatus.coding) > 1 then list_filter(list_transform(_resource.verificationStatus.coding, lambda e_22: case when e_22.code >= '[' and (e_22.code < '\' or e_22.code >= '{') and json_valid(e_22.code) and not contains(_text, to_json(e_22.code)) and not contains(cast(json(_text) as varchar), to_json(e_22.code)) then null else e_22.code end), lambda e_23: e_23 is not null)[1] end) as "verification_status",
      case when _resource.onsetDateTime >= '[' and (_resource.onsetDateTime < '\' or _resource.onsetDateTime >= '{') and json_valid(_resource.onsetDateTime) and not contains(_text, to_json(_resource.onsetDateTime)) and not contains(cast(json(_text) as varchar), to_json(_resource.onsetDateTime)) then null else _resource.onsetDateTime end as "onset_at",
      case when _resource.recordedDate >= '[' and (_resource.recordedDate < '\' or _resource.recordedDate >= '{') and json_valid(_resource.recordedDate) and not contains(_text, to_json(_resource.recordedDate)) and not contains(cast(json(_text) as varchar), to_json(_resource.recordedDate)) then null else _resource.recordedDate end as "recorded_at",
      "submission_id",
      "source_file",
      "source_position",
      "ingested_at"
    from firsts
),

tidied as (
    select
        viewed.*,
        {{ reference_id('viewed.patient_reference', 'Patient', 'patient_reference_target', 'viewed.allergy_intolerance_id') }} as patient_id,
        {{ reference_id('viewed.encounter_reference', 'Encounter', 'encounter_reference_target', 'viewed.allergy_intolerance_id') }} as encounter_id,
        {{ fhir_date('viewed.onset_at') }} as onset_at__checked,
        {{ fhir_date('viewed.recorded_at') }} as recorded_at__checked
    from viewed
    left join memory.scratch.conditional_reference as patient_reference_target
        on {{ conditional_text('viewed.patient_reference') }} = patient_reference_target.reference_text
    left join memory.scratch.conditional_reference as encounter_reference_target
        on {{ conditional_text('viewed.encounter_reference') }} = encounter_reference_target.reference_text
)

select
    allergy_intolerance_id,
    patient_id,
    encounter_id,
    code,
    code_system,
    display,
    text,
    type,
    category,
    criticality,
    clinical_status,
    verification_status,
    onset_at__checked as onset_at,
    recorded_at__checked as recorded_at,
    submission_id,
    source_file,
    source_position,
    ingested_at,
    {{ issues([
        ['patient_id', reference_issue('patient_reference', 'patient_id')],
        ['encounter_id', reference_issue('encounter_reference', 'encounter_id')],
        ['onset_at', "case when onset_at is not null and onset_at__checked is null then 'not a date' end"],
        ['recorded_at', "case when recorded_at is not null and recorded_at__checked is null then 'not a date' end"]
    ]) }} as issues
from tidied
