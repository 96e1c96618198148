-- Grain: one row per MedicationAdministration that the build recomputes.
-- Generated from views/medication_administration.json by `lakehouse views compile`; do not edit.
{{ config(meta={'resource_type': 'MedicationAdministration', 'key': 'medication_administration_id'}) }}

with viewed as (
    with parsed as (
      select
        case when random() >= 0 then try(from_json(cast(src."resource" as varchar), '{"context":{"reference":"VARCHAR"},"dosage":{"dose":{"unit":"VARCHAR","value":"JSON"}},"effectiveDateTime":"VARCHAR","effectivePeriod":{"end":"VARCHAR","start":"VARCHAR"},"id":"VARCHAR","medicationCodeableConcept":{"coding":[{"code":"VARCHAR","display":"VARCHAR","system":"VARCHAR"}],"text":"VARCHAR"},"resourceType":"VARCHAR","status":"VARCHAR","subject":{"reference":"VARCHAR"}}')) end as _resource,
        cast(src."resource" as varchar) as _text,
        src."submission_id",
        src."source_file",
        src."source_position",
        src."ingested_at"
      from {{ current_resources('MedicationAdministration') }} as src
    ),

    firsts as (
      select
        *,
        _resource.medicationCodeableConcept.coding[1] as _first_medicationCodeableConcept_coding
      from parsed
    )

    select
      case when _resource.id >= '[' and (_resource.id < '\' or _resource.id >= '{') and json_valid(_resource.id) and not contains(_text, to_json(_resource.id)) and not contains(cast(json(_text) as varchar), to_json(_resource.id)) then null else _resource.id end as "medication_administration_id",
      case when _resource.subject.reference >= '[' and (_resource.subject.reference < '\' or _resource.subject.reference >= '{') and json_valid(_resource.subject.reference) and not contains(_text, to_json(_resource.subject.reference)) and not contains(cast(json(_text) as varchar), to_json(_resource.subject.reference)) then null else _resource.subject.reference end as "patient_reference",
      case when _resource.context.reference >= '[' and (_resource.context.reference < '\' or _resource.context.reference >= '{') and json_valid(_resource.context.reference) and not contains(_text, to_json(_resource.context.reference)) and not contains(cast(json(_text) as varchar), to_json(_resource.context.reference)) then null else _resource.context.reference end as "encounter_reference",
      coalesce(case when _first_medicationCodeableConcept_coding.code >= '[' and (_first_medicationCodeableConcept_coding.code < '\' or _first_medicationCodeableConcept_coding.code >= '{') and json_valid(_first_medicationCodeableConcept_coding.code) and not contains(_text, to_json(_first_medicationCodeableConcept_coding.code)) and not contains(cast(json(_text) as varchar), to_json(_first_medicationCodeableConcept_coding.code)) then null else _first_medicationCodeableConcept_coding.code end, case when len(_resource.medicationCodeableConcept.coding) > 1 then list_filter(list_transform(_resource.medicationCodeableConcept.coding, lambda e_3: case when e_3.code >= '[' and (e_3.code < '\' or e_3.code >= '{') and json_valid(e_3.code) and not contains(_text, to_json(e_3.code)) and not contains(cast(json(_text) as varchar), to_json(e_3.code)) then null else e_3.code end), lambda e_4: e_4 is not null)[1] end) as "code",
      coalesce(case when _first_medicationCodeableConcept_coding.system >= '[' and (_first_medicationCodeableConcept_coding.system < '\' or _first_medicationCodeableConcept_coding.system >= '{') and json_valid(_first_medicationCodeableConcept_coding.system) and not contains(_text, to_json(_first_medicationCodeableConcept_coding.system)) and not contains(cast(json(_text) as varchar), to_json(_first_medicationCodeableConcept_coding.system)) then null else _first_medicationCodeableConcept_coding.system end, case when len(_resource.medicationCodeableConcept.coding) > 1 then list_filter(list_transform(_resource.medicationCodeableConcept.coding, lambda e_7: case when e_7.system >= '[' and (e_7.system < '\' or e_7.system >= '{') and json_valid(e_7.system) and not contains(_text, to_json(e_7.system)) and not contains(cast(json(_text) as varchar), to_json(e_7.system)) then null else e_7.system end), lambda e_8: e_8 is not null)[1] end) as "code_system",
      coalesce(case when _first_medicationCodeableConcept_coding.display >= '[' and (_first_medicationCodeableConcept_coding.display < '\' or _first_medicationCodeableConcept_coding.display >= '{') and json_valid(_first_medicationCodeableConcept_coding.display) and not contains(_text, to_json(_first_medicationCodeableConcept_coding.display)) and not contains(cast(json(_text) as varchar), to_json(_first_medicationCodeableConcept_coding.display)) then null else _first_medicationCodeableConcept_coding.display end, case when len(_resource.medicationCodeableConcept.coding) > 1 then list_filter(list_transform(_resource.medicationCodeableConcept.coding, lambda e_11: case when e_11.display >= '[' and (e_11.display < '\' or e_11.display >= '{') and json_valid(e_11.display) and not contains(_text, to_json(e_11.display)) and not contains(cast(json(_text) as varchar), to_json(e_11.display)) then null else e_11.display end), lambda e_12: e_12 is not null)[1] end) as "display",
      case when _resource.medicationCodeableConcept.text >= '[' and (_resource.medicationCodeableConcept.text < '\' or _resource.medicationCodeableConcept.text >= '{') and json_valid(_resource.medicationCodeableConcept.text) and not contains(_text, to_json(_resource.medicationCodeableConcept.text)) and not contains(cast(json(_text) as varchar), to_json(_resource.medicationCodeableConcept.text)) then null else _resource.medicationCodeableConcept.text end as "text",
      case when _resource.status >= '[' and (_resource.status < '\' or _resource.status >= '{') and json_valid(_resource.status) and not contains(_text, to_json(_resource.status)) and not contains(cast(json(_text) as varchar), to_json(_resource.status)) then null else _resource.status end as "status",
      case when _resource.effectiveDateTime >= '[' and (_resource.effectiveDateTime < '\' or _resource.effectiveDateTime >= '{') and json_valid(_resource.effectiveDateTime) and not contains(_text, to_json(_resource.effectiveDateTime)) and not contains(cast(json(_text) as varchar), to_json(_resource.effectiveDateTime)) then null else _resource.effectiveDateTime end as "effective_at",
      case when _resource.effectivePeriod.start >= '[' and (_resource.effectivePeriod.start < '\' or _resource.effectivePeriod.start >= '{') and json_valid(_resource.effectivePeriod.start) and not contains(_text, to_json(_resource.effectivePeriod.start)) and not contains(cast(json(_text) as varchar), to_json(_resource.effectivePeriod.start)) then null else _resource.effectivePeriod.start end as "started_at",
      case when _resource.effectivePeriod.end >= '[' and (_resource.effectivePeriod.end < '\' or _resource.effectivePeriod.end >= '{') and json_valid(_resource.effectivePeriod.end) and not contains(_text, to_json(_resource.effectivePeriod.end)) and not contains(cast(json(_text) as varchar), to_json(_resource.effectivePeriod.end)) then null else _resource.effectivePeriod.end end as "ended_at",
      nullif(nullif(try_cast(cast(_resource.dosage.dose.value as varchar) as double), 'infinity'), '-infinity') as "dose",
      case when _resource.dosage.dose.unit >= '[' and (_resource.dosage.dose.unit < '\' or _resource.dosage.dose.unit >= '{') and json_valid(_resource.dosage.dose.unit) and not contains(_text, to_json(_resource.dosage.dose.unit)) and not contains(cast(json(_text) as varchar), to_json(_resource.dosage.dose.unit)) then null else _resource.dosage.dose.unit end as "dose_unit",
      "submission_id",
      "source_file",
      "source_position",
      "ingested_at"
    from firsts
),

tidied as (
    select
        viewed.*,
        {{ reference_id('viewed.patient_reference', 'Patient', 'patient_reference_target', 'viewed.medication_administration_id') }} as patient_id,
        {{ reference_id('viewed.encounter_reference', 'Encounter', 'encounter_reference_target', 'viewed.medication_administration_id') }} as encounter_id,
        {{ fhir_date('viewed.effective_at') }} as effective_at__checked,
        {{ fhir_date('viewed.started_at') }} as started_at__checked,
        {{ fhir_date('viewed.ended_at') }} as ended_at__checked
    from viewed
    left join memory.scratch.conditional_reference as patient_reference_target
        on {{ conditional_text('viewed.patient_reference') }} = patient_reference_target.reference_text
    left join memory.scratch.conditional_reference as encounter_reference_target
        on {{ conditional_text('viewed.encounter_reference') }} = encounter_reference_target.reference_text
)

select
    medication_administration_id,
    patient_id,
    encounter_id,
    code,
    code_system,
    display,
    text,
    status,
    effective_at__checked as effective_at,
    started_at__checked as started_at,
    ended_at__checked as ended_at,
    dose,
    dose_unit,
    {{ record_counts('MedicationAdministration') }} as counts,
    submission_id,
    source_file,
    source_position,
    ingested_at,
    {{ issues([
        ['patient_id', reference_issue('patient_reference', 'patient_id')],
        ['encounter_id', reference_issue('encounter_reference', 'encounter_id')],
        ['effective_at', "case when effective_at is not null and effective_at__checked is null then 'not a date' end"],
        ['started_at', "case when started_at is not null and started_at__checked is null then 'not a date' end"],
        ['ended_at', "case when ended_at is not null and ended_at__checked is null then 'not a date' end"]
    ]) }} as issues
from tidied
