-- Grain: one row per Immunization that the build recomputes.
-- Generated from views/immunization.json by `lakehouse generate`; do not edit.
{{ config(meta={'resource_type': 'Immunization', 'key': 'immunization_id'}) }}

with viewed as (
    with parsed as (
      select
        case when random() >= 0 then try(from_json(cast(src."resource" as varchar), '{"encounter":{"reference":"VARCHAR"},"id":"VARCHAR","isSubpotent":"JSON","lotNumber":"VARCHAR","occurrenceDateTime":"VARCHAR","patient":{"reference":"VARCHAR"},"primarySource":"JSON","resourceType":"VARCHAR","status":"VARCHAR","vaccineCode":"JSON"}')) end as _resource,
        cast(src."resource" as varchar) as _text,
        src."submission_id",
        src."source_file",
        src."source_position",
        src."ingested_at",
        src."contained_keys",
        src."has_unknown_modifier"
      from {{ current_resources('Immunization') }} as src
    )

    select
      case when _resource.id >= '[' and (_resource.id < '\' or _resource.id >= '{') and json_valid(_resource.id) and not contains(_text, to_json(_resource.id)) and not contains(cast(json(_text) as varchar), to_json(_resource.id)) then null else _resource.id end as "immunization_id",
      case when _resource.patient.reference >= '[' and (_resource.patient.reference < '\' or _resource.patient.reference >= '{') and json_valid(_resource.patient.reference) and not contains(_text, to_json(_resource.patient.reference)) and not contains(cast(json(_text) as varchar), to_json(_resource.patient.reference)) then null else _resource.patient.reference end as "patient_reference",
      case when _resource.encounter.reference >= '[' and (_resource.encounter.reference < '\' or _resource.encounter.reference >= '{') and json_valid(_resource.encounter.reference) and not contains(_text, to_json(_resource.encounter.reference)) and not contains(cast(json(_text) as varchar), to_json(_resource.encounter.reference)) then null else _resource.encounter.reference end as "encounter_reference",
      try_cast(_resource.vaccineCode as json) as "code_concept",
      case when _resource.status >= '[' and (_resource.status < '\' or _resource.status >= '{') and json_valid(_resource.status) and not contains(_text, to_json(_resource.status)) and not contains(cast(json(_text) as varchar), to_json(_resource.status)) then null else _resource.status end as "status",
      case cast(_resource.isSubpotent as varchar) when 'true' then true when 'false' then false end as "is_subpotent",
      case when _resource.occurrenceDateTime >= '[' and (_resource.occurrenceDateTime < '\' or _resource.occurrenceDateTime >= '{') and json_valid(_resource.occurrenceDateTime) and not contains(_text, to_json(_resource.occurrenceDateTime)) and not contains(cast(json(_text) as varchar), to_json(_resource.occurrenceDateTime)) then null else _resource.occurrenceDateTime end as "occurred_at",
      case cast(_resource.primarySource as varchar) when 'true' then true when 'false' then false end as "primary_source",
      case when _resource.lotNumber >= '[' and (_resource.lotNumber < '\' or _resource.lotNumber >= '{') and json_valid(_resource.lotNumber) and not contains(_text, to_json(_resource.lotNumber)) and not contains(cast(json(_text) as varchar), to_json(_resource.lotNumber)) then null else _resource.lotNumber end as "lot_number",
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
        {{ reference_id('viewed.patient_reference', 'Patient', 'patient_reference_target', 'viewed.immunization_id', 'viewed.contained_keys') }} as patient_id,
        {{ reference_id('viewed.encounter_reference', 'Encounter', 'encounter_reference_target', 'viewed.immunization_id', 'viewed.contained_keys') }} as encounter_id,
        {{ fhir_date('viewed.occurred_at') }} as occurred_at__checked
    from viewed
    left join memory.scratch.conditional_reference as patient_reference_target
        on {{ conditional_text('viewed.patient_reference') }} = patient_reference_target.reference_text
    left join memory.scratch.conditional_reference as encounter_reference_target
        on {{ conditional_text('viewed.encounter_reference') }} = encounter_reference_target.reference_text
),

coded as (
    select
        tidied.*,
        {{ codings('code_concept__parsed.coding') }} as code_concept__codings
    from tidied
),

preferred as (
    select
        coded.*,
        {{ preferred_coding('code_concept__codings') }} as code_concept__coding
    from coded
)

select
    immunization_id,
    patient_id,
    encounter_id,
    code_concept__coding.code as code,
    code_concept__coding."system" as code_system,
    coalesce(code_concept__coding.display, code_concept__parsed.text) as display,
    code_concept__codings as codings,
    code_concept__parsed.text as text,
    status,
    is_subpotent,
    occurred_at__checked as occurred_at,
    primary_source,
    lot_number,
    {{ record_counts('Immunization') }} and not has_unknown_modifier as counts,
    submission_id,
    source_file,
    source_position,
    ingested_at,
    {{ issues([
        ['patient_id', reference_issue('patient_reference', 'patient_id')],
        ['encounter_id', reference_issue('encounter_reference', 'encounter_id')],
        ['occurred_at', "case when occurred_at is not null and occurred_at__checked is null then 'not a date' end"],
        ['counts', "case when has_unknown_modifier then 'modifierExtension that is not known: the record does not count' end"]
    ]) }} as issues
from preferred
