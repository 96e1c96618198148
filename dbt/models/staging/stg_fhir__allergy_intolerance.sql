-- Grain: one row per AllergyIntolerance that the build recomputes.
-- Generated from views/allergy_intolerance.json by `lakehouse generate`; do not edit.
{{ config(meta={'resource_type': 'AllergyIntolerance', 'key': 'allergy_intolerance_id'}) }}

with viewed as (
    with parsed as (
      select
        case when random() >= 0 then try(from_json(cast(src."resource" as varchar), '{"category":["VARCHAR"],"clinicalStatus":"JSON","code":"JSON","criticality":"VARCHAR","encounter":{"reference":"VARCHAR"},"id":"VARCHAR","onsetDateTime":"VARCHAR","patient":{"reference":"VARCHAR"},"recordedDate":"VARCHAR","resourceType":"VARCHAR","type":"VARCHAR","verificationStatus":"JSON"}')) end as _resource,
        cast(src."resource" as varchar) as _text,
        src."submission_id",
        src."source_file",
        src."source_position",
        src."ingested_at",
        src."contained_keys",
        src."has_unknown_modifier"
      from {{ current_resources('AllergyIntolerance') }} as src
    )

    select
      case when _resource.id >= '[' and (_resource.id < '\' or _resource.id >= '{') and json_valid(_resource.id) and not contains(_text, to_json(_resource.id)) and not contains(cast(json(_text) as varchar), to_json(_resource.id)) then null else _resource.id end as "allergy_intolerance_id",
      case when _resource.patient.reference >= '[' and (_resource.patient.reference < '\' or _resource.patient.reference >= '{') and json_valid(_resource.patient.reference) and not contains(_text, to_json(_resource.patient.reference)) and not contains(cast(json(_text) as varchar), to_json(_resource.patient.reference)) then null else _resource.patient.reference end as "patient_reference",
      case when _resource.encounter.reference >= '[' and (_resource.encounter.reference < '\' or _resource.encounter.reference >= '{') and json_valid(_resource.encounter.reference) and not contains(_text, to_json(_resource.encounter.reference)) and not contains(cast(json(_text) as varchar), to_json(_resource.encounter.reference)) then null else _resource.encounter.reference end as "encounter_reference",
      try_cast(_resource.code as json) as "code_concept",
      case when _resource.type >= '[' and (_resource.type < '\' or _resource.type >= '{') and json_valid(_resource.type) and not contains(_text, to_json(_resource.type)) and not contains(cast(json(_text) as varchar), to_json(_resource.type)) then null else _resource.type end as "type",
      coalesce(list_filter(list_transform(_resource.category, lambda e_2: case when e_2 >= '[' and (e_2 < '\' or e_2 >= '{') and json_valid(e_2) and not contains(_text, to_json(e_2)) and not contains(cast(json(_text) as varchar), to_json(e_2)) then null else e_2 end), lambda e_3: e_3 is not null), cast([] as varchar[])) as "categories",
      try_cast(_resource.clinicalStatus as json) as "clinical_status_concept",
      try_cast(_resource.verificationStatus as json) as "verification_status_concept",
      case when _resource.criticality >= '[' and (_resource.criticality < '\' or _resource.criticality >= '{') and json_valid(_resource.criticality) and not contains(_text, to_json(_resource.criticality)) and not contains(cast(json(_text) as varchar), to_json(_resource.criticality)) then null else _resource.criticality end as "criticality",
      case when _resource.onsetDateTime >= '[' and (_resource.onsetDateTime < '\' or _resource.onsetDateTime >= '{') and json_valid(_resource.onsetDateTime) and not contains(_text, to_json(_resource.onsetDateTime)) and not contains(cast(json(_text) as varchar), to_json(_resource.onsetDateTime)) then null else _resource.onsetDateTime end as "onset_at",
      case when _resource.recordedDate >= '[' and (_resource.recordedDate < '\' or _resource.recordedDate >= '{') and json_valid(_resource.recordedDate) and not contains(_text, to_json(_resource.recordedDate)) and not contains(cast(json(_text) as varchar), to_json(_resource.recordedDate)) then null else _resource.recordedDate end as "recorded_at",
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
        {{ parsed_concept('viewed.clinical_status_concept') }} as clinical_status_concept__parsed,
        {{ parsed_concept('viewed.verification_status_concept') }} as verification_status_concept__parsed,
        {{ reference_id('viewed.patient_reference', 'Patient', 'patient_reference_target', 'viewed.allergy_intolerance_id', 'viewed.contained_keys') }} as patient_id,
        {{ reference_id('viewed.encounter_reference', 'Encounter', 'encounter_reference_target', 'viewed.allergy_intolerance_id', 'viewed.contained_keys') }} as encounter_id,
        {{ fhir_date('viewed.onset_at') }} as onset_at__checked,
        {{ fhir_date('viewed.recorded_at') }} as recorded_at__checked
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
        {{ codings('clinical_status_concept__parsed.coding') }} as clinical_status_concept__codings,
        {{ codings('verification_status_concept__parsed.coding') }} as verification_status_concept__codings
    from tidied
),

preferred as (
    select
        coded.*,
        {{ preferred_coding('code_concept__codings') }} as code_concept__coding
    from coded
)

select
    allergy_intolerance_id,
    patient_id,
    encounter_id,
    code_concept__coding.code as code,
    code_concept__coding."system" as code_system,
    coalesce(code_concept__coding.display, code_concept__parsed.text) as display,
    code_concept__codings as codings,
    code_concept__parsed.text as text,
    type,
    categories,
    {{ code_of('clinical_status_concept__codings', 'http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical') }} as clinical_status,
    {{ code_of('verification_status_concept__codings', 'http://terminology.hl7.org/CodeSystem/allergyintolerance-verification') }} as verification_status,
    criticality,
    onset_at__checked as onset_at,
    recorded_at__checked as recorded_at,
    {{ record_counts('AllergyIntolerance') }} and not has_unknown_modifier as counts,
    submission_id,
    source_file,
    source_position,
    ingested_at,
    {{ issues([
        ['patient_id', reference_issue('patient_reference', 'patient_id')],
        ['encounter_id', reference_issue('encounter_reference', 'encounter_id')],
        ['onset_at', "case when onset_at is not null and onset_at__checked is null then 'not a date' end"],
        ['recorded_at', "case when recorded_at is not null and recorded_at__checked is null then 'not a date' end"],
        ['counts', "case when has_unknown_modifier then 'modifierExtension that is not known: the record does not count' end"]
    ]) }} as issues
from preferred
