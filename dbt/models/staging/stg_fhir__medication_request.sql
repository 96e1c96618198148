-- Grain: one row per MedicationRequest that the build recomputes.
-- Generated from views/medication_request.json by `lakehouse views compile`; do not edit.
{{ config(meta={'resource_type': 'MedicationRequest', 'key': 'medication_request_id'}) }}

with viewed as (
    with parsed as (
      select
        case when random() >= 0 then try(from_json(cast(src."resource" as varchar), '{"authoredOn":"VARCHAR","contained":["JSON"],"dispenseRequest":{"validityPeriod":{"end":"VARCHAR"}},"doNotPerform":"JSON","dosageInstruction":[{"text":"VARCHAR"}],"encounter":{"reference":"VARCHAR"},"id":"VARCHAR","intent":"VARCHAR","medicationCodeableConcept":{"coding":[{"code":"VARCHAR","display":"VARCHAR","system":"VARCHAR"}],"text":"VARCHAR"},"medicationReference":{"reference":"VARCHAR"},"resourceType":"VARCHAR","status":"VARCHAR","subject":{"reference":"VARCHAR"}}')) end as _resource,
        cast(src."resource" as varchar) as _text,
        src."submission_id",
        src."source_file",
        src."source_position",
        src."ingested_at"
      from {{ current_resources('MedicationRequest') }} as src
    ),

    firsts as (
      select
        *,
        _resource.medicationCodeableConcept.coding[1] as _first_medicationCodeableConcept_coding,
        _resource.dosageInstruction[1] as _first_dosageInstruction
      from parsed
    )

    select
      case when _resource.id >= '[' and (_resource.id < '\' or _resource.id >= '{') and json_valid(_resource.id) and not contains(_text, to_json(_resource.id)) and not contains(cast(json(_text) as varchar), to_json(_resource.id)) then null else _resource.id end as "medication_request_id",
      case when _resource.subject.reference >= '[' and (_resource.subject.reference < '\' or _resource.subject.reference >= '{') and json_valid(_resource.subject.reference) and not contains(_text, to_json(_resource.subject.reference)) and not contains(cast(json(_text) as varchar), to_json(_resource.subject.reference)) then null else _resource.subject.reference end as "patient_reference",
      case when _resource.encounter.reference >= '[' and (_resource.encounter.reference < '\' or _resource.encounter.reference >= '{') and json_valid(_resource.encounter.reference) and not contains(_text, to_json(_resource.encounter.reference)) and not contains(cast(json(_text) as varchar), to_json(_resource.encounter.reference)) then null else _resource.encounter.reference end as "encounter_reference",
      coalesce(case when _first_medicationCodeableConcept_coding.code >= '[' and (_first_medicationCodeableConcept_coding.code < '\' or _first_medicationCodeableConcept_coding.code >= '{') and json_valid(_first_medicationCodeableConcept_coding.code) and not contains(_text, to_json(_first_medicationCodeableConcept_coding.code)) and not contains(cast(json(_text) as varchar), to_json(_first_medicationCodeableConcept_coding.code)) then null else _first_medicationCodeableConcept_coding.code end, case when len(_resource.medicationCodeableConcept.coding) > 1 then list_filter(list_transform(_resource.medicationCodeableConcept.coding, lambda e_3: case when e_3.code >= '[' and (e_3.code < '\' or e_3.code >= '{') and json_valid(e_3.code) and not contains(_text, to_json(e_3.code)) and not contains(cast(json(_text) as varchar), to_json(e_3.code)) then null else e_3.code end), lambda e_4: e_4 is not null)[1] end) as "code",
      coalesce(case when _first_medicationCodeableConcept_coding.system >= '[' and (_first_medicationCodeableConcept_coding.system < '\' or _first_medicationCodeableConcept_coding.system >= '{') and json_valid(_first_medicationCodeableConcept_coding.system) and not contains(_text, to_json(_first_medicationCodeableConcept_coding.system)) and not contains(cast(json(_text) as varchar), to_json(_first_medicationCodeableConcept_coding.system)) then null else _first_medicationCodeableConcept_coding.system end, case when len(_resource.medicationCodeableConcept.coding) > 1 then list_filter(list_transform(_resource.medicationCodeableConcept.coding, lambda e_7: case when e_7.system >= '[' and (e_7.system < '\' or e_7.system >= '{') and json_valid(e_7.system) and not contains(_text, to_json(e_7.system)) and not contains(cast(json(_text) as varchar), to_json(e_7.system)) then null else e_7.system end), lambda e_8: e_8 is not null)[1] end) as "code_system",
      coalesce(case when _first_medicationCodeableConcept_coding.display >= '[' and (_first_medicationCodeableConcept_coding.display < '\' or _first_medicationCodeableConcept_coding.display >= '{') and json_valid(_first_medicationCodeableConcept_coding.display) and not contains(_text, to_json(_first_medicationCodeableConcept_coding.display)) and not contains(cast(json(_text) as varchar), to_json(_first_medicationCodeableConcept_coding.display)) then null else _first_medicationCodeableConcept_coding.display end, case when len(_resource.medicationCodeableConcept.coding) > 1 then list_filter(list_transform(_resource.medicationCodeableConcept.coding, lambda e_11: case when e_11.display >= '[' and (e_11.display < '\' or e_11.display >= '{') and json_valid(e_11.display) and not contains(_text, to_json(e_11.display)) and not contains(cast(json(_text) as varchar), to_json(e_11.display)) then null else e_11.display end), lambda e_12: e_12 is not null)[1] end) as "display",
      case when _resource.medicationCodeableConcept.text >= '[' and (_resource.medicationCodeableConcept.text < '\' or _resource.medicationCodeableConcept.text >= '{') and json_valid(_resource.medicationCodeableConcept.text) and not contains(_text, to_json(_resource.medicationCodeableConcept.text)) and not contains(cast(json(_text) as varchar), to_json(_resource.medicationCodeableConcept.text)) then null else _resource.medicationCodeableConcept.text end as "text",
      case when _resource.medicationReference.reference >= '[' and (_resource.medicationReference.reference < '\' or _resource.medicationReference.reference >= '{') and json_valid(_resource.medicationReference.reference) and not contains(_text, to_json(_resource.medicationReference.reference)) and not contains(cast(json(_text) as varchar), to_json(_resource.medicationReference.reference)) then null else _resource.medicationReference.reference end as "medication_reference",
      list_filter(list_transform(flatten(list_transform(list_filter(list_transform(list_transform(list_filter(list_filter(_resource.contained, lambda e_15: e_15 is not null), lambda e_16: json_extract_string(e_16, '$.resourceType') = 'Medication'), lambda e_17: from_json(e_17, '{"code":{"coding":[{"code":"VARCHAR"}]}}')), lambda e_18: e_18.code), lambda e_19: e_19 is not null), lambda e_20: e_20.coding)), lambda e_22: case when e_22.code >= '[' and (e_22.code < '\' or e_22.code >= '{') and json_valid(e_22.code) and not contains(_text, to_json(e_22.code)) and not contains(cast(json(_text) as varchar), to_json(e_22.code)) then null else e_22.code end), lambda e_23: e_23 is not null)[1] as "contained_code",
      list_filter(list_transform(flatten(list_transform(list_filter(list_transform(list_transform(list_filter(list_filter(_resource.contained, lambda e_26: e_26 is not null), lambda e_27: json_extract_string(e_27, '$.resourceType') = 'Medication'), lambda e_28: from_json(e_28, '{"code":{"coding":[{"system":"VARCHAR"}]}}')), lambda e_29: e_29.code), lambda e_30: e_30 is not null), lambda e_31: e_31.coding)), lambda e_33: case when e_33.system >= '[' and (e_33.system < '\' or e_33.system >= '{') and json_valid(e_33.system) and not contains(_text, to_json(e_33.system)) and not contains(cast(json(_text) as varchar), to_json(e_33.system)) then null else e_33.system end), lambda e_34: e_34 is not null)[1] as "contained_code_system",
      list_filter(list_transform(flatten(list_transform(list_filter(list_transform(list_transform(list_filter(list_filter(_resource.contained, lambda e_37: e_37 is not null), lambda e_38: json_extract_string(e_38, '$.resourceType') = 'Medication'), lambda e_39: from_json(e_39, '{"code":{"coding":[{"display":"VARCHAR"}]}}')), lambda e_40: e_40.code), lambda e_41: e_41 is not null), lambda e_42: e_42.coding)), lambda e_44: case when e_44.display >= '[' and (e_44.display < '\' or e_44.display >= '{') and json_valid(e_44.display) and not contains(_text, to_json(e_44.display)) and not contains(cast(json(_text) as varchar), to_json(e_44.display)) then null else e_44.display end), lambda e_45: e_45 is not null)[1] as "contained_display",
      list_filter(list_transform(list_filter(list_transform(list_transform(list_filter(list_filter(_resource.contained, lambda e_48: e_48 is not null), lambda e_49: json_extract_string(e_49, '$.resourceType') = 'Medication'), lambda e_50: from_json(e_50, '{"code":{"text":"VARCHAR"}}')), lambda e_51: e_51.code), lambda e_52: e_52 is not null), lambda e_53: case when e_53.text >= '[' and (e_53.text < '\' or e_53.text >= '{') and json_valid(e_53.text) and not contains(_text, to_json(e_53.text)) and not contains(cast(json(_text) as varchar), to_json(e_53.text)) then null else e_53.text end), lambda e_54: e_54 is not null)[1] as "contained_text",
      case when _resource.status >= '[' and (_resource.status < '\' or _resource.status >= '{') and json_valid(_resource.status) and not contains(_text, to_json(_resource.status)) and not contains(cast(json(_text) as varchar), to_json(_resource.status)) then null else _resource.status end as "status",
      case when _resource.intent >= '[' and (_resource.intent < '\' or _resource.intent >= '{') and json_valid(_resource.intent) and not contains(_text, to_json(_resource.intent)) and not contains(cast(json(_text) as varchar), to_json(_resource.intent)) then null else _resource.intent end as "intent",
      case cast(_resource.doNotPerform as varchar) when 'true' then true when 'false' then false end as "do_not_perform",
      case when _resource.authoredOn >= '[' and (_resource.authoredOn < '\' or _resource.authoredOn >= '{') and json_valid(_resource.authoredOn) and not contains(_text, to_json(_resource.authoredOn)) and not contains(cast(json(_text) as varchar), to_json(_resource.authoredOn)) then null else _resource.authoredOn end as "authored_at",
      case when _resource.dispenseRequest.validityPeriod.end >= '[' and (_resource.dispenseRequest.validityPeriod.end < '\' or _resource.dispenseRequest.validityPeriod.end >= '{') and json_valid(_resource.dispenseRequest.validityPeriod.end) and not contains(_text, to_json(_resource.dispenseRequest.validityPeriod.end)) and not contains(cast(json(_text) as varchar), to_json(_resource.dispenseRequest.validityPeriod.end)) then null else _resource.dispenseRequest.validityPeriod.end end as "ended_at",
      coalesce(case when _first_dosageInstruction.text >= '[' and (_first_dosageInstruction.text < '\' or _first_dosageInstruction.text >= '{') and json_valid(_first_dosageInstruction.text) and not contains(_text, to_json(_first_dosageInstruction.text)) and not contains(cast(json(_text) as varchar), to_json(_first_dosageInstruction.text)) then null else _first_dosageInstruction.text end, case when len(_resource.dosageInstruction) > 1 then list_filter(list_transform(_resource.dosageInstruction, lambda e_57: case when e_57.text >= '[' and (e_57.text < '\' or e_57.text >= '{') and json_valid(e_57.text) and not contains(_text, to_json(e_57.text)) and not contains(cast(json(_text) as varchar), to_json(e_57.text)) then null else e_57.text end), lambda e_58: e_58 is not null)[1] end) as "dosage_text",
      "submission_id",
      "source_file",
      "source_position",
      "ingested_at"
    from firsts
),

tidied as (
    select
        viewed.*,
        {{ reference_id('viewed.patient_reference', 'Patient', 'patient_reference_target', 'viewed.medication_request_id') }} as patient_id,
        {{ reference_id('viewed.encounter_reference', 'Encounter', 'encounter_reference_target', 'viewed.medication_request_id') }} as encounter_id,
        {{ reference_id('viewed.medication_reference', 'Medication', 'medication_reference_target', 'viewed.medication_request_id') }} as medication_id,
        {{ fhir_date('viewed.authored_at') }} as authored_at__checked,
        {{ fhir_date('viewed.ended_at') }} as ended_at__checked
    from viewed
    left join memory.scratch.conditional_reference as patient_reference_target
        on {{ conditional_text('viewed.patient_reference') }} = patient_reference_target.reference_text
    left join memory.scratch.conditional_reference as encounter_reference_target
        on {{ conditional_text('viewed.encounter_reference') }} = encounter_reference_target.reference_text
    left join memory.scratch.conditional_reference as medication_reference_target
        on {{ conditional_text('viewed.medication_reference') }} = medication_reference_target.reference_text
)

select
    medication_request_id,
    patient_id,
    encounter_id,
    code,
    code_system,
    display,
    text,
    medication_id,
    contained_code,
    contained_code_system,
    contained_display,
    contained_text,
    status,
    intent,
    do_not_perform,
    authored_at__checked as authored_at,
    ended_at__checked as ended_at,
    dosage_text,
    {{ record_counts('MedicationRequest') }} as counts,
    submission_id,
    source_file,
    source_position,
    ingested_at,
    {{ issues([
        ['patient_id', reference_issue('patient_reference', 'patient_id')],
        ['encounter_id', reference_issue('encounter_reference', 'encounter_id')],
        ['medication_id', reference_issue('medication_reference', 'medication_id')],
        ['authored_at', "case when authored_at is not null and authored_at__checked is null then 'not a date' end"],
        ['ended_at', "case when ended_at is not null and ended_at__checked is null then 'not a date' end"]
    ]) }} as issues
from tidied
