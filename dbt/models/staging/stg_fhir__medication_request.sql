-- Grain: one row per MedicationRequest that the build recomputes.
-- Generated from views/medication_request.json by `lakehouse generate`; do not edit.
{{ config(meta={'resource_type': 'MedicationRequest', 'key': 'medication_request_id'}) }}

with viewed as (
    with parsed as (
      select
        case when random() >= 0 then try(from_json(cast(src."resource" as varchar), '{"authoredOn":"VARCHAR","contained":["JSON"],"dispenseRequest":{"validityPeriod":{"end":"VARCHAR"}},"doNotPerform":"JSON","dosageInstruction":["JSON"],"encounter":{"reference":"VARCHAR"},"id":"VARCHAR","intent":"VARCHAR","medicationCodeableConcept":"JSON","medicationReference":{"display":"VARCHAR","reference":"VARCHAR"},"resourceType":"VARCHAR","status":"VARCHAR","subject":{"reference":"VARCHAR"}}')) end as _resource,
        cast(src."resource" as varchar) as _text,
        src."submission_id",
        src."source_file",
        src."source_position",
        src."ingested_at",
        src."contained_keys",
        src."has_unknown_modifier"
      from {{ current_resources('MedicationRequest') }} as src
    )

    select
      case when _resource.id >= '[' and (_resource.id < '\' or _resource.id >= '{') and json_valid(_resource.id) and not contains(_text, to_json(_resource.id)) and not contains(cast(json(_text) as varchar), to_json(_resource.id)) then null else _resource.id end as "medication_request_id",
      case when _resource.subject.reference >= '[' and (_resource.subject.reference < '\' or _resource.subject.reference >= '{') and json_valid(_resource.subject.reference) and not contains(_text, to_json(_resource.subject.reference)) and not contains(cast(json(_text) as varchar), to_json(_resource.subject.reference)) then null else _resource.subject.reference end as "patient_reference",
      case when _resource.encounter.reference >= '[' and (_resource.encounter.reference < '\' or _resource.encounter.reference >= '{') and json_valid(_resource.encounter.reference) and not contains(_text, to_json(_resource.encounter.reference)) and not contains(cast(json(_text) as varchar), to_json(_resource.encounter.reference)) then null else _resource.encounter.reference end as "encounter_reference",
      try_cast(_resource.medicationCodeableConcept as json) as "medication_concept",
      case when _resource.medicationReference.reference >= '[' and (_resource.medicationReference.reference < '\' or _resource.medicationReference.reference >= '{') and json_valid(_resource.medicationReference.reference) and not contains(_text, to_json(_resource.medicationReference.reference)) and not contains(cast(json(_text) as varchar), to_json(_resource.medicationReference.reference)) then null else _resource.medicationReference.reference end as "medication_reference",
      case when _resource.medicationReference.display >= '[' and (_resource.medicationReference.display < '\' or _resource.medicationReference.display >= '{') and json_valid(_resource.medicationReference.display) and not contains(_text, to_json(_resource.medicationReference.display)) and not contains(cast(json(_text) as varchar), to_json(_resource.medicationReference.display)) then null else _resource.medicationReference.display end as "medication_reference_display",
      coalesce(list_transform(list_transform(list_filter(list_filter(_resource.contained, lambda e_3: e_3 is not null), lambda e_4: json_extract_string(e_4, '$.resourceType') = 'Medication'), lambda e_5: e_5), lambda e_6: try_cast(e_6 as json)), cast([] as json[])) as "contained_medications",
      case when _resource.status >= '[' and (_resource.status < '\' or _resource.status >= '{') and json_valid(_resource.status) and not contains(_text, to_json(_resource.status)) and not contains(cast(json(_text) as varchar), to_json(_resource.status)) then null else _resource.status end as "status",
      case when _resource.intent >= '[' and (_resource.intent < '\' or _resource.intent >= '{') and json_valid(_resource.intent) and not contains(_text, to_json(_resource.intent)) and not contains(cast(json(_text) as varchar), to_json(_resource.intent)) then null else _resource.intent end as "intent",
      case cast(_resource.doNotPerform as varchar) when 'true' then true when 'false' then false end as "do_not_perform",
      case when _resource.authoredOn >= '[' and (_resource.authoredOn < '\' or _resource.authoredOn >= '{') and json_valid(_resource.authoredOn) and not contains(_text, to_json(_resource.authoredOn)) and not contains(cast(json(_text) as varchar), to_json(_resource.authoredOn)) then null else _resource.authoredOn end as "authored_at",
      case when _resource.dispenseRequest.validityPeriod.end >= '[' and (_resource.dispenseRequest.validityPeriod.end < '\' or _resource.dispenseRequest.validityPeriod.end >= '{') and json_valid(_resource.dispenseRequest.validityPeriod.end) and not contains(_text, to_json(_resource.dispenseRequest.validityPeriod.end)) and not contains(cast(json(_text) as varchar), to_json(_resource.dispenseRequest.validityPeriod.end)) then null else _resource.dispenseRequest.validityPeriod.end end as "ended_at",
      coalesce(list_transform(_resource.dosageInstruction, lambda e_9: try_cast(e_9 as json)), cast([] as json[])) as "dosage_instructions",
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
        {{ parsed_concept('viewed.medication_concept') }} as medication_concept__parsed,
        {{ reference_id('viewed.patient_reference', 'Patient', 'patient_reference_target', 'viewed.medication_request_id', 'viewed.contained_keys') }} as patient_id,
        {{ reference_id('viewed.encounter_reference', 'Encounter', 'encounter_reference_target', 'viewed.medication_request_id', 'viewed.contained_keys') }} as encounter_id,
        {{ reference_id('viewed.medication_reference', 'Medication', 'medication_reference_target', 'viewed.medication_request_id', 'viewed.contained_keys') }} as medication_id,
        {{ fhir_date('viewed.authored_at') }} as authored_at__checked,
        {{ fhir_date('viewed.ended_at') }} as ended_at__checked
    from viewed
    left join memory.scratch.conditional_reference as patient_reference_target
        on {{ conditional_text('viewed.patient_reference') }} = patient_reference_target.reference_text
    left join memory.scratch.conditional_reference as encounter_reference_target
        on {{ conditional_text('viewed.encounter_reference') }} = encounter_reference_target.reference_text
    left join memory.scratch.conditional_reference as medication_reference_target
        on {{ conditional_text('viewed.medication_reference') }} = medication_reference_target.reference_text
),

coded as (
    select
        tidied.*,
        {{ codings('medication_concept__parsed.coding') }} as medication_concept__codings
    from tidied
),

preferred as (
    select
        coded.*,
        {{ preferred_coding('medication_concept__codings') }} as medication_concept__coding
    from coded
)

select
    medication_request_id,
    patient_id,
    encounter_id,
    medication_concept__coding.code as code,
    medication_concept__coding."system" as code_system,
    coalesce(medication_concept__coding.display, medication_concept__parsed.text) as display,
    medication_concept__codings as codings,
    medication_id,
    medication_reference_display,
    contained_medications,
    status,
    intent,
    do_not_perform,
    authored_at__checked as authored_at,
    ended_at__checked as ended_at,
    dosage_instructions,
    {{ record_counts('MedicationRequest') }} and not has_unknown_modifier as counts,
    submission_id,
    source_file,
    source_position,
    ingested_at,
    {{ issues([
        ['patient_id', reference_issue('patient_reference', 'patient_id')],
        ['encounter_id', reference_issue('encounter_reference', 'encounter_id')],
        ['medication_id', reference_issue('medication_reference', 'medication_id')],
        ['authored_at', "case when authored_at is not null and authored_at__checked is null then 'not a date' end"],
        ['ended_at', "case when ended_at is not null and ended_at__checked is null then 'not a date' end"],
        ['counts', "case when has_unknown_modifier then 'modifierExtension that is not known: the record does not count' end"]
    ]) }} as issues
from preferred
