-- Grain: one row per Condition that the build recomputes.
-- Generated from views/condition.json by `lakehouse generate`; do not edit.
{{ config(meta={'resource_type': 'Condition', 'key': 'condition_id'}) }}

with viewed as (
    with parsed as (
      select
        case when random() >= 0 then try(from_json(cast(src."resource" as varchar), '{"abatementAge":"JSON","abatementDateTime":"VARCHAR","abatementPeriod":{"end":"VARCHAR","start":"VARCHAR"},"abatementRange":"JSON","abatementString":"VARCHAR","category":["JSON"],"clinicalStatus":"JSON","code":"JSON","encounter":{"reference":"VARCHAR"},"id":"VARCHAR","onsetAge":"JSON","onsetDateTime":"VARCHAR","onsetPeriod":{"start":"VARCHAR"},"onsetRange":"JSON","onsetString":"VARCHAR","recordedDate":"VARCHAR","resourceType":"VARCHAR","subject":{"reference":"VARCHAR"},"verificationStatus":"JSON"}')) end as _resource,
        cast(src."resource" as varchar) as _text,
        src."submission_id",
        src."source_file",
        src."source_position",
        src."ingested_at",
        src."contained_keys",
        src."has_unknown_modifier"
      from {{ current_resources('Condition') }} as src
    )

    select
      case when _resource.id >= '[' and (_resource.id < '\' or _resource.id >= '{') and json_valid(_resource.id) and not contains(_text, to_json(_resource.id)) and not contains(cast(json(_text) as varchar), to_json(_resource.id)) then null else _resource.id end as "condition_id",
      case when _resource.subject.reference >= '[' and (_resource.subject.reference < '\' or _resource.subject.reference >= '{') and json_valid(_resource.subject.reference) and not contains(_text, to_json(_resource.subject.reference)) and not contains(cast(json(_text) as varchar), to_json(_resource.subject.reference)) then null else _resource.subject.reference end as "patient_reference",
      case when _resource.encounter.reference >= '[' and (_resource.encounter.reference < '\' or _resource.encounter.reference >= '{') and json_valid(_resource.encounter.reference) and not contains(_text, to_json(_resource.encounter.reference)) and not contains(cast(json(_text) as varchar), to_json(_resource.encounter.reference)) then null else _resource.encounter.reference end as "encounter_reference",
      try_cast(_resource.code as json) as "code_concept",
      try_cast(_resource.clinicalStatus as json) as "clinical_status_concept",
      try_cast(_resource.verificationStatus as json) as "verification_status_concept",
      coalesce(list_transform(_resource.category, lambda e_3: try_cast(e_3 as json)), cast([] as json[])) as "category_concepts",
      case when _resource.onsetDateTime >= '[' and (_resource.onsetDateTime < '\' or _resource.onsetDateTime >= '{') and json_valid(_resource.onsetDateTime) and not contains(_text, to_json(_resource.onsetDateTime)) and not contains(cast(json(_text) as varchar), to_json(_resource.onsetDateTime)) then null else _resource.onsetDateTime end as "onset_at",
      case when _resource.onsetPeriod.start >= '[' and (_resource.onsetPeriod.start < '\' or _resource.onsetPeriod.start >= '{') and json_valid(_resource.onsetPeriod.start) and not contains(_text, to_json(_resource.onsetPeriod.start)) and not contains(cast(json(_text) as varchar), to_json(_resource.onsetPeriod.start)) then null else _resource.onsetPeriod.start end as "onset_period_start",
      try_cast(_resource.onsetAge as json) as "onset_age",
      try_cast(_resource.onsetRange as json) as "onset_range",
      case when _resource.onsetString >= '[' and (_resource.onsetString < '\' or _resource.onsetString >= '{') and json_valid(_resource.onsetString) and not contains(_text, to_json(_resource.onsetString)) and not contains(cast(json(_text) as varchar), to_json(_resource.onsetString)) then null else _resource.onsetString end as "onset_string",
      case when _resource.abatementDateTime >= '[' and (_resource.abatementDateTime < '\' or _resource.abatementDateTime >= '{') and json_valid(_resource.abatementDateTime) and not contains(_text, to_json(_resource.abatementDateTime)) and not contains(cast(json(_text) as varchar), to_json(_resource.abatementDateTime)) then null else _resource.abatementDateTime end as "abatement_at",
      case when _resource.abatementPeriod.end >= '[' and (_resource.abatementPeriod.end < '\' or _resource.abatementPeriod.end >= '{') and json_valid(_resource.abatementPeriod.end) and not contains(_text, to_json(_resource.abatementPeriod.end)) and not contains(cast(json(_text) as varchar), to_json(_resource.abatementPeriod.end)) then null else _resource.abatementPeriod.end end as "abatement_period_end",
      case when _resource.abatementPeriod.start >= '[' and (_resource.abatementPeriod.start < '\' or _resource.abatementPeriod.start >= '{') and json_valid(_resource.abatementPeriod.start) and not contains(_text, to_json(_resource.abatementPeriod.start)) and not contains(cast(json(_text) as varchar), to_json(_resource.abatementPeriod.start)) then null else _resource.abatementPeriod.start end as "abatement_period_start",
      try_cast(_resource.abatementAge as json) as "abatement_age",
      try_cast(_resource.abatementRange as json) as "abatement_range",
      case when _resource.abatementString >= '[' and (_resource.abatementString < '\' or _resource.abatementString >= '{') and json_valid(_resource.abatementString) and not contains(_text, to_json(_resource.abatementString)) and not contains(cast(json(_text) as varchar), to_json(_resource.abatementString)) then null else _resource.abatementString end as "abatement_string",
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
        {{ parsed_concepts('viewed.category_concepts') }} as category_concepts__parsed,
        {{ reference_id('viewed.patient_reference', 'Patient', 'patient_reference_target', 'viewed.condition_id', 'viewed.contained_keys') }} as patient_id,
        {{ reference_id('viewed.encounter_reference', 'Encounter', 'encounter_reference_target', 'viewed.condition_id', 'viewed.contained_keys') }} as encounter_id,
        {{ fhir_date('viewed.onset_at') }} as onset_at__checked,
        {{ fhir_date('viewed.onset_period_start') }} as onset_period_start__checked,
        {{ fhir_date('viewed.abatement_at') }} as abatement_at__checked,
        {{ fhir_date('viewed.abatement_period_end') }} as abatement_period_end__checked,
        {{ fhir_date('viewed.abatement_period_start') }} as abatement_period_start__checked,
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
        {{ codings('verification_status_concept__parsed.coding') }} as verification_status_concept__codings,
        {{ all_codings('category_concepts__parsed') }} as category_concepts__codings,
        {{ first_concept('category_concepts__parsed') }} as category_concepts__concept
    from tidied
),

preferred as (
    select
        coded.*,
        {{ preferred_coding('code_concept__codings') }} as code_concept__coding
    from coded
)

select
    condition_id,
    patient_id,
    encounter_id,
    code_concept__coding.code as code,
    code_concept__coding."system" as code_system,
    coalesce(code_concept__coding.display, code_concept__parsed.text) as display,
    code_concept__codings as codings,
    {{ code_of('clinical_status_concept__codings', 'http://terminology.hl7.org/CodeSystem/condition-clinical') }} as clinical_status,
    {{ code_of('verification_status_concept__codings', 'http://terminology.hl7.org/CodeSystem/condition-ver-status') }} as verification_status,
    {{ codes_of('category_concepts__codings') }} as categories,
    onset_at__checked as onset_at,
    onset_period_start__checked as onset_period_start,
    onset_age,
    onset_range,
    onset_string,
    abatement_at__checked as abatement_at,
    abatement_period_end__checked as abatement_period_end,
    abatement_period_start__checked as abatement_period_start,
    abatement_age,
    abatement_range,
    abatement_string,
    recorded_at__checked as recorded_at,
    {{ record_counts('Condition') }} and not has_unknown_modifier as counts,
    submission_id,
    source_file,
    source_position,
    ingested_at,
    {{ issues([
        ['patient_id', reference_issue('patient_reference', 'patient_id')],
        ['encounter_id', reference_issue('encounter_reference', 'encounter_id')],
        ['onset_at', "case when onset_at is not null and onset_at__checked is null then 'not a date' end"],
        ['onset_period_start', "case when onset_period_start is not null and onset_period_start__checked is null then 'not a date' end"],
        ['abatement_at', "case when abatement_at is not null and abatement_at__checked is null then 'not a date' end"],
        ['abatement_period_end', "case when abatement_period_end is not null and abatement_period_end__checked is null then 'not a date' end"],
        ['abatement_period_start', "case when abatement_period_start is not null and abatement_period_start__checked is null then 'not a date' end"],
        ['recorded_at', "case when recorded_at is not null and recorded_at__checked is null then 'not a date' end"],
        ['counts', "case when has_unknown_modifier then 'modifierExtension that is not known: the record does not count' end"]
    ]) }} as issues
from preferred
