-- Grain: one row per MedicationStatement that the build recomputes.
-- Generated from views/medication_statement.json by `lakehouse generate`; do not edit.
{{ config(meta={'resource_type': 'MedicationStatement', 'key': 'medication_statement_id'}) }}

with viewed as (
    with parsed as (
      select
        case when random() >= 0 then try(from_json(cast(src."resource" as varchar), '{"category":"JSON","contained":["JSON"],"context":{"reference":"VARCHAR"},"dateAsserted":"VARCHAR","dosage":["JSON"],"effectiveDateTime":"VARCHAR","effectivePeriod":{"end":"VARCHAR","start":"VARCHAR"},"id":"VARCHAR","medicationCodeableConcept":"JSON","medicationReference":{"display":"VARCHAR","reference":"VARCHAR"},"reasonCode":["JSON"],"resourceType":"VARCHAR","status":"VARCHAR","subject":{"reference":"VARCHAR"}}')) end as _resource,
        cast(src."resource" as varchar) as _text,
        src."submission_id",
        src."source_file",
        src."source_position",
        src."ingested_at",
        src."contained_keys",
        src."has_unknown_modifier"
      from {{ current_resources('MedicationStatement') }} as src
    )

    select
      case when _resource.id >= '[' and (_resource.id < '\' or _resource.id >= '{') and json_valid(_resource.id) and not contains(_text, to_json(_resource.id)) and not contains(cast(json(_text) as varchar), to_json(_resource.id)) then null else _resource.id end as "medication_statement_id",
      case when _resource.subject.reference >= '[' and (_resource.subject.reference < '\' or _resource.subject.reference >= '{') and json_valid(_resource.subject.reference) and not contains(_text, to_json(_resource.subject.reference)) and not contains(cast(json(_text) as varchar), to_json(_resource.subject.reference)) then null else _resource.subject.reference end as "patient_reference",
      case when _resource.context.reference >= '[' and (_resource.context.reference < '\' or _resource.context.reference >= '{') and json_valid(_resource.context.reference) and not contains(_text, to_json(_resource.context.reference)) and not contains(cast(json(_text) as varchar), to_json(_resource.context.reference)) then null else _resource.context.reference end as "encounter_reference",
      try_cast(_resource.medicationCodeableConcept as json) as "medication_concept",
      case when _resource.medicationReference.reference >= '[' and (_resource.medicationReference.reference < '\' or _resource.medicationReference.reference >= '{') and json_valid(_resource.medicationReference.reference) and not contains(_text, to_json(_resource.medicationReference.reference)) and not contains(cast(json(_text) as varchar), to_json(_resource.medicationReference.reference)) then null else _resource.medicationReference.reference end as "medication_reference",
      case when _resource.medicationReference.display >= '[' and (_resource.medicationReference.display < '\' or _resource.medicationReference.display >= '{') and json_valid(_resource.medicationReference.display) and not contains(_text, to_json(_resource.medicationReference.display)) and not contains(cast(json(_text) as varchar), to_json(_resource.medicationReference.display)) then null else _resource.medicationReference.display end as "medication_reference_display",
      coalesce(list_transform(list_transform(list_filter(list_filter(_resource.contained, lambda e_3: e_3 is not null), lambda e_4: json_extract_string(e_4, '$.resourceType') = 'Medication'), lambda e_5: e_5), lambda e_6: try_cast(e_6 as json)), cast([] as json[])) as "contained_medications",
      case when _resource.status >= '[' and (_resource.status < '\' or _resource.status >= '{') and json_valid(_resource.status) and not contains(_text, to_json(_resource.status)) and not contains(cast(json(_text) as varchar), to_json(_resource.status)) then null else _resource.status end as "status",
      try_cast(_resource.category as json) as "category_concept",
      case when _resource.effectiveDateTime >= '[' and (_resource.effectiveDateTime < '\' or _resource.effectiveDateTime >= '{') and json_valid(_resource.effectiveDateTime) and not contains(_text, to_json(_resource.effectiveDateTime)) and not contains(cast(json(_text) as varchar), to_json(_resource.effectiveDateTime)) then null else _resource.effectiveDateTime end as "effective_at",
      case when _resource.effectivePeriod.start >= '[' and (_resource.effectivePeriod.start < '\' or _resource.effectivePeriod.start >= '{') and json_valid(_resource.effectivePeriod.start) and not contains(_text, to_json(_resource.effectivePeriod.start)) and not contains(cast(json(_text) as varchar), to_json(_resource.effectivePeriod.start)) then null else _resource.effectivePeriod.start end as "started_at",
      case when _resource.effectivePeriod.end >= '[' and (_resource.effectivePeriod.end < '\' or _resource.effectivePeriod.end >= '{') and json_valid(_resource.effectivePeriod.end) and not contains(_text, to_json(_resource.effectivePeriod.end)) and not contains(cast(json(_text) as varchar), to_json(_resource.effectivePeriod.end)) then null else _resource.effectivePeriod.end end as "ended_at",
      case when _resource.dateAsserted >= '[' and (_resource.dateAsserted < '\' or _resource.dateAsserted >= '{') and json_valid(_resource.dateAsserted) and not contains(_text, to_json(_resource.dateAsserted)) and not contains(cast(json(_text) as varchar), to_json(_resource.dateAsserted)) then null else _resource.dateAsserted end as "asserted_at",
      coalesce(list_transform(_resource.reasonCode, lambda e_9: try_cast(e_9 as json)), cast([] as json[])) as "reason_concepts",
      coalesce(list_transform(_resource.dosage, lambda e_12: try_cast(e_12 as json)), cast([] as json[])) as "dosage_instructions",
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
        {{ parsed_concept('viewed.category_concept') }} as category_concept__parsed,
        {{ parsed_concepts('viewed.reason_concepts') }} as reason_concepts__parsed,
        {{ reference_id('viewed.patient_reference', 'Patient', 'patient_reference_target', 'viewed.medication_statement_id', 'viewed.contained_keys') }} as patient_id,
        {{ reference_id('viewed.encounter_reference', 'Encounter', 'encounter_reference_target', 'viewed.medication_statement_id', 'viewed.contained_keys') }} as encounter_id,
        {{ reference_id('viewed.medication_reference', 'Medication', 'medication_reference_target', 'viewed.medication_statement_id', 'viewed.contained_keys') }} as medication_id,
        {{ fhir_date('viewed.effective_at') }} as effective_at__checked,
        {{ fhir_date('viewed.started_at') }} as started_at__checked,
        {{ fhir_date('viewed.ended_at') }} as ended_at__checked,
        {{ fhir_date('viewed.asserted_at') }} as asserted_at__checked
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
        {{ codings('medication_concept__parsed.coding') }} as medication_concept__codings,
        {{ codings('category_concept__parsed.coding') }} as category_concept__codings,
        {{ all_codings('reason_concepts__parsed') }} as reason_concepts__codings,
        {{ first_concept('reason_concepts__parsed') }} as reason_concepts__concept
    from tidied
),

preferred as (
    select
        coded.*,
        {{ preferred_coding('medication_concept__codings') }} as medication_concept__coding,
        {{ preferred_coding('category_concept__codings') }} as category_concept__coding,
        {{ preferred_coding(codings('reason_concepts__concept.coding')) }} as reason_concepts__coding
    from coded
)

select
    medication_statement_id,
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
    category_concept__coding.code as category_code,
    coalesce(category_concept__coding.display, category_concept__parsed.text) as category_display,
    effective_at__checked as effective_at,
    started_at__checked as started_at,
    ended_at__checked as ended_at,
    asserted_at__checked as asserted_at,
    reason_concepts__coding.code as reason_code,
    coalesce(reason_concepts__coding.display, reason_concepts__concept.text) as reason_display,
    dosage_instructions,
    {{ record_counts('MedicationStatement') }} and not has_unknown_modifier as counts,
    submission_id,
    source_file,
    source_position,
    ingested_at,
    {{ issues([
        ['patient_id', reference_issue('patient_reference', 'patient_id')],
        ['encounter_id', reference_issue('encounter_reference', 'encounter_id')],
        ['medication_id', reference_issue('medication_reference', 'medication_id')],
        ['effective_at', "case when effective_at is not null and effective_at__checked is null then 'not a date' end"],
        ['started_at', "case when started_at is not null and started_at__checked is null then 'not a date' end"],
        ['ended_at', "case when ended_at is not null and ended_at__checked is null then 'not a date' end"],
        ['asserted_at', "case when asserted_at is not null and asserted_at__checked is null then 'not a date' end"],
        ['counts', "case when has_unknown_modifier then 'modifierExtension that is not known: the record does not count' end"]
    ]) }} as issues
from preferred
