-- Grain: one row per MedicationDispense that the build recomputes.
-- Generated from views/medication_dispense.json by `lakehouse generate`; do not edit.
{{ config(meta={'resource_type': 'MedicationDispense', 'key': 'medication_dispense_id'}) }}

with viewed as (
    with parsed as (
      select
        case when random() >= 0 then try(from_json(cast(src."resource" as varchar), '{"authorizingPrescription":[{"reference":"VARCHAR"}],"contained":["JSON"],"context":{"reference":"VARCHAR"},"daysSupply":{"code":"VARCHAR","unit":"VARCHAR","value":"JSON"},"dosageInstruction":["JSON"],"id":"VARCHAR","medicationCodeableConcept":"JSON","medicationReference":{"display":"VARCHAR","reference":"VARCHAR"},"quantity":{"code":"VARCHAR","unit":"VARCHAR","value":"JSON"},"resourceType":"VARCHAR","status":"VARCHAR","subject":{"reference":"VARCHAR"},"type":"JSON","whenHandedOver":"VARCHAR","whenPrepared":"VARCHAR"}')) end as _resource,
        cast(src."resource" as varchar) as _text,
        src."submission_id",
        src."source_file",
        src."source_position",
        src."ingested_at",
        src."contained_keys",
        src."has_unknown_modifier"
      from {{ current_resources('MedicationDispense') }} as src
    ),

    firsts as (
      select
        *,
        _resource.authorizingPrescription[1] as _first_authorizingPrescription
      from parsed
    )

    select
      case when _resource.id >= '[' and (_resource.id < '\' or _resource.id >= '{') and json_valid(_resource.id) and not contains(_text, to_json(_resource.id)) and not contains(cast(json(_text) as varchar), to_json(_resource.id)) then null else _resource.id end as "medication_dispense_id",
      case when _resource.subject.reference >= '[' and (_resource.subject.reference < '\' or _resource.subject.reference >= '{') and json_valid(_resource.subject.reference) and not contains(_text, to_json(_resource.subject.reference)) and not contains(cast(json(_text) as varchar), to_json(_resource.subject.reference)) then null else _resource.subject.reference end as "patient_reference",
      case when _resource.context.reference >= '[' and (_resource.context.reference < '\' or _resource.context.reference >= '{') and json_valid(_resource.context.reference) and not contains(_text, to_json(_resource.context.reference)) and not contains(cast(json(_text) as varchar), to_json(_resource.context.reference)) then null else _resource.context.reference end as "encounter_reference",
      try_cast(_resource.medicationCodeableConcept as json) as "medication_concept",
      case when _resource.medicationReference.reference >= '[' and (_resource.medicationReference.reference < '\' or _resource.medicationReference.reference >= '{') and json_valid(_resource.medicationReference.reference) and not contains(_text, to_json(_resource.medicationReference.reference)) and not contains(cast(json(_text) as varchar), to_json(_resource.medicationReference.reference)) then null else _resource.medicationReference.reference end as "medication_reference",
      case when _resource.medicationReference.display >= '[' and (_resource.medicationReference.display < '\' or _resource.medicationReference.display >= '{') and json_valid(_resource.medicationReference.display) and not contains(_text, to_json(_resource.medicationReference.display)) and not contains(cast(json(_text) as varchar), to_json(_resource.medicationReference.display)) then null else _resource.medicationReference.display end as "medication_reference_display",
      coalesce(list_transform(list_transform(list_filter(list_filter(_resource.contained, lambda e_3: e_3 is not null), lambda e_4: json_extract_string(e_4, '$.resourceType') = 'Medication'), lambda e_5: e_5), lambda e_6: try_cast(e_6 as json)), cast([] as json[])) as "contained_medications",
      coalesce(case when _first_authorizingPrescription.reference >= '[' and (_first_authorizingPrescription.reference < '\' or _first_authorizingPrescription.reference >= '{') and json_valid(_first_authorizingPrescription.reference) and not contains(_text, to_json(_first_authorizingPrescription.reference)) and not contains(cast(json(_text) as varchar), to_json(_first_authorizingPrescription.reference)) then null else _first_authorizingPrescription.reference end, case when len(_resource.authorizingPrescription) > 1 then list_filter(list_transform(_resource.authorizingPrescription, lambda e_9: case when e_9.reference >= '[' and (e_9.reference < '\' or e_9.reference >= '{') and json_valid(e_9.reference) and not contains(_text, to_json(e_9.reference)) and not contains(cast(json(_text) as varchar), to_json(e_9.reference)) then null else e_9.reference end), lambda e_10: e_10 is not null)[1] end) as "request_reference",
      case when _resource.status >= '[' and (_resource.status < '\' or _resource.status >= '{') and json_valid(_resource.status) and not contains(_text, to_json(_resource.status)) and not contains(cast(json(_text) as varchar), to_json(_resource.status)) then null else _resource.status end as "status",
      try_cast(_resource.type as json) as "type_concept",
      case when _resource.whenPrepared >= '[' and (_resource.whenPrepared < '\' or _resource.whenPrepared >= '{') and json_valid(_resource.whenPrepared) and not contains(_text, to_json(_resource.whenPrepared)) and not contains(cast(json(_text) as varchar), to_json(_resource.whenPrepared)) then null else _resource.whenPrepared end as "prepared_at",
      case when _resource.whenHandedOver >= '[' and (_resource.whenHandedOver < '\' or _resource.whenHandedOver >= '{') and json_valid(_resource.whenHandedOver) and not contains(_text, to_json(_resource.whenHandedOver)) and not contains(cast(json(_text) as varchar), to_json(_resource.whenHandedOver)) then null else _resource.whenHandedOver end as "handed_over_at",
      nullif(nullif(try_cast(cast(_resource.quantity.value as varchar) as double), 'infinity'), '-infinity') as "quantity",
      case when _resource.quantity.unit >= '[' and (_resource.quantity.unit < '\' or _resource.quantity.unit >= '{') and json_valid(_resource.quantity.unit) and not contains(_text, to_json(_resource.quantity.unit)) and not contains(cast(json(_text) as varchar), to_json(_resource.quantity.unit)) then null else _resource.quantity.unit end as "quantity_unit",
      case when _resource.quantity.code >= '[' and (_resource.quantity.code < '\' or _resource.quantity.code >= '{') and json_valid(_resource.quantity.code) and not contains(_text, to_json(_resource.quantity.code)) and not contains(cast(json(_text) as varchar), to_json(_resource.quantity.code)) then null else _resource.quantity.code end as "quantity_unit_code",
      nullif(nullif(try_cast(cast(_resource.daysSupply.value as varchar) as double), 'infinity'), '-infinity') as "days_supply",
      case when _resource.daysSupply.unit >= '[' and (_resource.daysSupply.unit < '\' or _resource.daysSupply.unit >= '{') and json_valid(_resource.daysSupply.unit) and not contains(_text, to_json(_resource.daysSupply.unit)) and not contains(cast(json(_text) as varchar), to_json(_resource.daysSupply.unit)) then null else _resource.daysSupply.unit end as "days_supply_unit",
      case when _resource.daysSupply.code >= '[' and (_resource.daysSupply.code < '\' or _resource.daysSupply.code >= '{') and json_valid(_resource.daysSupply.code) and not contains(_text, to_json(_resource.daysSupply.code)) and not contains(cast(json(_text) as varchar), to_json(_resource.daysSupply.code)) then null else _resource.daysSupply.code end as "days_supply_unit_code",
      coalesce(list_transform(_resource.dosageInstruction, lambda e_13: try_cast(e_13 as json)), cast([] as json[])) as "dosage_instructions",
      "submission_id",
      "source_file",
      "source_position",
      "ingested_at",
      "contained_keys",
      "has_unknown_modifier"
    from firsts
),

tidied as (
    select
        viewed.*,
        {{ parsed_concept('viewed.medication_concept') }} as medication_concept__parsed,
        {{ parsed_concept('viewed.type_concept') }} as type_concept__parsed,
        {{ reference_id('viewed.patient_reference', 'Patient', 'patient_reference_target', 'viewed.medication_dispense_id', 'viewed.contained_keys') }} as patient_id,
        {{ reference_id('viewed.encounter_reference', 'Encounter', 'encounter_reference_target', 'viewed.medication_dispense_id', 'viewed.contained_keys') }} as encounter_id,
        {{ reference_id('viewed.medication_reference', 'Medication', 'medication_reference_target', 'viewed.medication_dispense_id', 'viewed.contained_keys') }} as medication_id,
        {{ reference_id('viewed.request_reference', 'MedicationRequest', 'request_reference_target', 'viewed.medication_dispense_id', 'viewed.contained_keys') }} as request_id,
        {{ fhir_date('viewed.prepared_at') }} as prepared_at__checked,
        {{ fhir_date('viewed.handed_over_at') }} as handed_over_at__checked
    from viewed
    left join memory.scratch.conditional_reference as patient_reference_target
        on {{ conditional_text('viewed.patient_reference') }} = patient_reference_target.reference_text
    left join memory.scratch.conditional_reference as encounter_reference_target
        on {{ conditional_text('viewed.encounter_reference') }} = encounter_reference_target.reference_text
    left join memory.scratch.conditional_reference as medication_reference_target
        on {{ conditional_text('viewed.medication_reference') }} = medication_reference_target.reference_text
    left join memory.scratch.conditional_reference as request_reference_target
        on {{ conditional_text('viewed.request_reference') }} = request_reference_target.reference_text
),

coded as (
    select
        tidied.*,
        {{ codings('medication_concept__parsed.coding') }} as medication_concept__codings,
        {{ codings('type_concept__parsed.coding') }} as type_concept__codings
    from tidied
),

preferred as (
    select
        coded.*,
        {{ preferred_coding('medication_concept__codings') }} as medication_concept__coding,
        {{ preferred_coding('type_concept__codings') }} as type_concept__coding
    from coded
)

select
    medication_dispense_id,
    patient_id,
    encounter_id,
    medication_concept__coding.code as code,
    medication_concept__coding."system" as code_system,
    coalesce(medication_concept__coding.display, medication_concept__parsed.text) as display,
    medication_concept__codings as codings,
    medication_id,
    medication_reference_display,
    contained_medications,
    request_id,
    status,
    type_concept__coding.code as type_code,
    coalesce(type_concept__coding.display, type_concept__parsed.text) as type_display,
    prepared_at__checked as prepared_at,
    handed_over_at__checked as handed_over_at,
    quantity,
    quantity_unit,
    quantity_unit_code,
    days_supply,
    days_supply_unit,
    days_supply_unit_code,
    dosage_instructions,
    {{ record_counts('MedicationDispense') }} and not has_unknown_modifier as counts,
    submission_id,
    source_file,
    source_position,
    ingested_at,
    {{ issues([
        ['patient_id', reference_issue('patient_reference', 'patient_id')],
        ['encounter_id', reference_issue('encounter_reference', 'encounter_id')],
        ['medication_id', reference_issue('medication_reference', 'medication_id')],
        ['request_id', reference_issue('request_reference', 'request_id')],
        ['prepared_at', "case when prepared_at is not null and prepared_at__checked is null then 'not a date' end"],
        ['handed_over_at', "case when handed_over_at is not null and handed_over_at__checked is null then 'not a date' end"],
        ['counts', "case when has_unknown_modifier then 'modifierExtension that is not known: the record does not count' end"]
    ]) }} as issues
from preferred
