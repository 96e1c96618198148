-- Grain: one row per MedicationAdministration that the build recomputes.
-- Generated from views/medication_administration.json by `lakehouse generate`; do not edit.
{{ config(meta={'resource_type': 'MedicationAdministration', 'key': 'medication_administration_id'}) }}

with viewed as (
    with parsed as (
      select
        case when random() >= 0 then try(from_json(cast(src."resource" as varchar), '{"contained":["JSON"],"context":{"reference":"VARCHAR"},"dosage":{"dose":{"code":"VARCHAR","unit":"VARCHAR","value":"JSON"},"method":"JSON","rateQuantity":{"code":"VARCHAR","unit":"VARCHAR","value":"JSON"},"rateRatio":"JSON","route":"JSON","site":"JSON","text":"VARCHAR"},"effectiveDateTime":"VARCHAR","effectivePeriod":{"end":"VARCHAR","start":"VARCHAR"},"id":"VARCHAR","medicationCodeableConcept":"JSON","medicationReference":{"display":"VARCHAR","reference":"VARCHAR"},"request":{"reference":"VARCHAR"},"resourceType":"VARCHAR","status":"VARCHAR","subject":{"reference":"VARCHAR"}}')) end as _resource,
        cast(src."resource" as varchar) as _text,
        src."submission_id",
        src."source_file",
        src."source_position",
        src."ingested_at",
        src."contained_keys",
        src."has_unknown_modifier"
      from {{ current_resources('MedicationAdministration') }} as src
    )

    select
      case when _resource.id >= '[' and (_resource.id < '\' or _resource.id >= '{') and json_valid(_resource.id) and not contains(_text, to_json(_resource.id)) and not contains(cast(json(_text) as varchar), to_json(_resource.id)) then null else _resource.id end as "medication_administration_id",
      case when _resource.subject.reference >= '[' and (_resource.subject.reference < '\' or _resource.subject.reference >= '{') and json_valid(_resource.subject.reference) and not contains(_text, to_json(_resource.subject.reference)) and not contains(cast(json(_text) as varchar), to_json(_resource.subject.reference)) then null else _resource.subject.reference end as "patient_reference",
      case when _resource.context.reference >= '[' and (_resource.context.reference < '\' or _resource.context.reference >= '{') and json_valid(_resource.context.reference) and not contains(_text, to_json(_resource.context.reference)) and not contains(cast(json(_text) as varchar), to_json(_resource.context.reference)) then null else _resource.context.reference end as "encounter_reference",
      try_cast(_resource.medicationCodeableConcept as json) as "medication_concept",
      case when _resource.medicationReference.reference >= '[' and (_resource.medicationReference.reference < '\' or _resource.medicationReference.reference >= '{') and json_valid(_resource.medicationReference.reference) and not contains(_text, to_json(_resource.medicationReference.reference)) and not contains(cast(json(_text) as varchar), to_json(_resource.medicationReference.reference)) then null else _resource.medicationReference.reference end as "medication_reference",
      case when _resource.medicationReference.display >= '[' and (_resource.medicationReference.display < '\' or _resource.medicationReference.display >= '{') and json_valid(_resource.medicationReference.display) and not contains(_text, to_json(_resource.medicationReference.display)) and not contains(cast(json(_text) as varchar), to_json(_resource.medicationReference.display)) then null else _resource.medicationReference.display end as "medication_reference_display",
      coalesce(list_transform(list_transform(list_filter(list_filter(_resource.contained, lambda e_3: e_3 is not null), lambda e_4: json_extract_string(e_4, '$.resourceType') = 'Medication'), lambda e_5: e_5), lambda e_6: try_cast(e_6 as json)), cast([] as json[])) as "contained_medications",
      case when _resource.request.reference >= '[' and (_resource.request.reference < '\' or _resource.request.reference >= '{') and json_valid(_resource.request.reference) and not contains(_text, to_json(_resource.request.reference)) and not contains(cast(json(_text) as varchar), to_json(_resource.request.reference)) then null else _resource.request.reference end as "request_reference",
      case when _resource.status >= '[' and (_resource.status < '\' or _resource.status >= '{') and json_valid(_resource.status) and not contains(_text, to_json(_resource.status)) and not contains(cast(json(_text) as varchar), to_json(_resource.status)) then null else _resource.status end as "status",
      case when _resource.effectiveDateTime >= '[' and (_resource.effectiveDateTime < '\' or _resource.effectiveDateTime >= '{') and json_valid(_resource.effectiveDateTime) and not contains(_text, to_json(_resource.effectiveDateTime)) and not contains(cast(json(_text) as varchar), to_json(_resource.effectiveDateTime)) then null else _resource.effectiveDateTime end as "effective_at",
      case when _resource.effectivePeriod.start >= '[' and (_resource.effectivePeriod.start < '\' or _resource.effectivePeriod.start >= '{') and json_valid(_resource.effectivePeriod.start) and not contains(_text, to_json(_resource.effectivePeriod.start)) and not contains(cast(json(_text) as varchar), to_json(_resource.effectivePeriod.start)) then null else _resource.effectivePeriod.start end as "started_at",
      case when _resource.effectivePeriod.end >= '[' and (_resource.effectivePeriod.end < '\' or _resource.effectivePeriod.end >= '{') and json_valid(_resource.effectivePeriod.end) and not contains(_text, to_json(_resource.effectivePeriod.end)) and not contains(cast(json(_text) as varchar), to_json(_resource.effectivePeriod.end)) then null else _resource.effectivePeriod.end end as "ended_at",
      case when _resource.dosage.text >= '[' and (_resource.dosage.text < '\' or _resource.dosage.text >= '{') and json_valid(_resource.dosage.text) and not contains(_text, to_json(_resource.dosage.text)) and not contains(cast(json(_text) as varchar), to_json(_resource.dosage.text)) then null else _resource.dosage.text end as "dosage_text",
      nullif(nullif(try_cast(cast(_resource.dosage.dose.value as varchar) as double), 'infinity'), '-infinity') as "dose",
      case when _resource.dosage.dose.unit >= '[' and (_resource.dosage.dose.unit < '\' or _resource.dosage.dose.unit >= '{') and json_valid(_resource.dosage.dose.unit) and not contains(_text, to_json(_resource.dosage.dose.unit)) and not contains(cast(json(_text) as varchar), to_json(_resource.dosage.dose.unit)) then null else _resource.dosage.dose.unit end as "dose_unit",
      case when _resource.dosage.dose.code >= '[' and (_resource.dosage.dose.code < '\' or _resource.dosage.dose.code >= '{') and json_valid(_resource.dosage.dose.code) and not contains(_text, to_json(_resource.dosage.dose.code)) and not contains(cast(json(_text) as varchar), to_json(_resource.dosage.dose.code)) then null else _resource.dosage.dose.code end as "dose_unit_code",
      try_cast(_resource.dosage.route as json) as "route_concept",
      try_cast(_resource.dosage.site as json) as "site_concept",
      try_cast(_resource.dosage.method as json) as "method_concept",
      nullif(nullif(try_cast(cast(_resource.dosage.rateQuantity.value as varchar) as double), 'infinity'), '-infinity') as "rate",
      case when _resource.dosage.rateQuantity.unit >= '[' and (_resource.dosage.rateQuantity.unit < '\' or _resource.dosage.rateQuantity.unit >= '{') and json_valid(_resource.dosage.rateQuantity.unit) and not contains(_text, to_json(_resource.dosage.rateQuantity.unit)) and not contains(cast(json(_text) as varchar), to_json(_resource.dosage.rateQuantity.unit)) then null else _resource.dosage.rateQuantity.unit end as "rate_unit",
      case when _resource.dosage.rateQuantity.code >= '[' and (_resource.dosage.rateQuantity.code < '\' or _resource.dosage.rateQuantity.code >= '{') and json_valid(_resource.dosage.rateQuantity.code) and not contains(_text, to_json(_resource.dosage.rateQuantity.code)) and not contains(cast(json(_text) as varchar), to_json(_resource.dosage.rateQuantity.code)) then null else _resource.dosage.rateQuantity.code end as "rate_unit_code",
      try_cast(_resource.dosage.rateRatio as json) as "rate_ratio",
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
        {{ parsed_concept('viewed.route_concept') }} as route_concept__parsed,
        {{ parsed_concept('viewed.site_concept') }} as site_concept__parsed,
        {{ parsed_concept('viewed.method_concept') }} as method_concept__parsed,
        {{ reference_id('viewed.patient_reference', 'Patient', 'patient_reference_target', 'viewed.medication_administration_id', 'viewed.contained_keys') }} as patient_id,
        {{ reference_id('viewed.encounter_reference', 'Encounter', 'encounter_reference_target', 'viewed.medication_administration_id', 'viewed.contained_keys') }} as encounter_id,
        {{ reference_id('viewed.medication_reference', 'Medication', 'medication_reference_target', 'viewed.medication_administration_id', 'viewed.contained_keys') }} as medication_id,
        {{ reference_id('viewed.request_reference', 'MedicationRequest', 'request_reference_target', 'viewed.medication_administration_id', 'viewed.contained_keys') }} as request_id,
        {{ fhir_date('viewed.effective_at') }} as effective_at__checked,
        {{ fhir_date('viewed.started_at') }} as started_at__checked,
        {{ fhir_date('viewed.ended_at') }} as ended_at__checked
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
        {{ codings('route_concept__parsed.coding') }} as route_concept__codings,
        {{ codings('site_concept__parsed.coding') }} as site_concept__codings,
        {{ codings('method_concept__parsed.coding') }} as method_concept__codings
    from tidied
),

preferred as (
    select
        coded.*,
        {{ preferred_coding('medication_concept__codings') }} as medication_concept__coding,
        {{ preferred_coding('route_concept__codings') }} as route_concept__coding,
        {{ preferred_coding('site_concept__codings') }} as site_concept__coding,
        {{ preferred_coding('method_concept__codings') }} as method_concept__coding
    from coded
)

select
    medication_administration_id,
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
    effective_at__checked as effective_at,
    started_at__checked as started_at,
    ended_at__checked as ended_at,
    dosage_text,
    dose,
    dose_unit,
    dose_unit_code,
    route_concept__coding.code as route_code,
    route_concept__coding."system" as route_system,
    coalesce(route_concept__coding.display, route_concept__parsed.text) as route_display,
    coalesce(site_concept__coding.display, site_concept__parsed.text) as site_display,
    coalesce(method_concept__coding.display, method_concept__parsed.text) as method_display,
    rate,
    rate_unit,
    rate_unit_code,
    rate_ratio,
    {{ record_counts('MedicationAdministration') }} and not has_unknown_modifier as counts,
    submission_id,
    source_file,
    source_position,
    ingested_at,
    {{ issues([
        ['patient_id', reference_issue('patient_reference', 'patient_id')],
        ['encounter_id', reference_issue('encounter_reference', 'encounter_id')],
        ['medication_id', reference_issue('medication_reference', 'medication_id')],
        ['request_id', reference_issue('request_reference', 'request_id')],
        ['effective_at', "case when effective_at is not null and effective_at__checked is null then 'not a date' end"],
        ['started_at', "case when started_at is not null and started_at__checked is null then 'not a date' end"],
        ['ended_at', "case when ended_at is not null and ended_at__checked is null then 'not a date' end"],
        ['counts', "case when has_unknown_modifier then 'modifierExtension that is not known: the record does not count' end"]
    ]) }} as issues
from preferred
