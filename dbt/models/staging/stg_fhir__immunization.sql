-- Grain: one row per Immunization that the build recomputes.
-- Generated from views/immunization.json by `lakehouse views compile`; do not edit.
{{ config(meta={'resource_type': 'Immunization', 'key': 'immunization_id'}) }}

with viewed as (
    with parsed as (
      select
        case when random() >= 0 then try(from_json(cast(src."resource" as varchar), '{"encounter":{"reference":"VARCHAR"},"id":"VARCHAR","lotNumber":"VARCHAR","occurrenceDateTime":"VARCHAR","patient":{"reference":"VARCHAR"},"primarySource":"JSON","resourceType":"VARCHAR","status":"VARCHAR","vaccineCode":{"coding":[{"code":"VARCHAR","display":"VARCHAR","system":"VARCHAR"}],"text":"VARCHAR"}}')) end as _resource,
        cast(src."resource" as varchar) as _text,
        src."submission_id",
        src."source_file",
        src."source_position",
        src."ingested_at"
      from {{ current_resources('Immunization') }} as src
    ),

    firsts as (
      select
        *,
        _resource.vaccineCode.coding[1] as _first_vaccineCode_coding
      from parsed
    )

    select
      case when _resource.id >= '[' and (_resource.id < '\' or _resource.id >= '{') and json_valid(_resource.id) and not contains(_text, to_json(_resource.id)) and not contains(cast(json(_text) as varchar), to_json(_resource.id)) then null else _resource.id end as "immunization_id",
      case when _resource.patient.reference >= '[' and (_resource.patient.reference < '\' or _resource.patient.reference >= '{') and json_valid(_resource.patient.reference) and not contains(_text, to_json(_resource.patient.reference)) and not contains(cast(json(_text) as varchar), to_json(_resource.patient.reference)) then null else _resource.patient.reference end as "patient_reference",
      case when _resource.encounter.reference >= '[' and (_resource.encounter.reference < '\' or _resource.encounter.reference >= '{') and json_valid(_resource.encounter.reference) and not contains(_text, to_json(_resource.encounter.reference)) and not contains(cast(json(_text) as varchar), to_json(_resource.encounter.reference)) then null else _resource.encounter.reference end as "encounter_reference",
      coalesce(case when _first_vaccineCode_coding.code >= '[' and (_first_vaccineCode_coding.code < '\' or _first_vaccineCode_coding.code >= '{') and json_valid(_first_vaccineCode_coding.code) and not contains(_text, to_json(_first_vaccineCode_coding.code)) and not contains(cast(json(_text) as varchar), to_json(_first_vaccineCode_coding.code)) then null else _first_vaccineCode_coding.code end, case when len(_resource.vaccineCode.coding) > 1 then list_filter(list_transform(_resource.vaccineCode.coding, lambda e_3: case when e_3.code >= '[' and (e_3.code < '\' or e_3.code >= '{') and json_valid(e_3.code) and not contains(_text, to_json(e_3.code)) and not contains(cast(json(_text) as varchar), to_json(e_3.code)) then null else e_3.code end), lambda e_4: e_4 is not null)[1] end) as "code",
      coalesce(case when _first_vaccineCode_coding.system >= '[' and (_first_vaccineCode_coding.system < '\' or _first_vaccineCode_coding.system >= '{') and json_valid(_first_vaccineCode_coding.system) and not contains(_text, to_json(_first_vaccineCode_coding.system)) and not contains(cast(json(_text) as varchar), to_json(_first_vaccineCode_coding.system)) then null else _first_vaccineCode_coding.system end, case when len(_resource.vaccineCode.coding) > 1 then list_filter(list_transform(_resource.vaccineCode.coding, lambda e_7: case when e_7.system >= '[' and (e_7.system < '\' or e_7.system >= '{') and json_valid(e_7.system) and not contains(_text, to_json(e_7.system)) and not contains(cast(json(_text) as varchar), to_json(e_7.system)) then null else e_7.system end), lambda e_8: e_8 is not null)[1] end) as "code_system",
      coalesce(case when _first_vaccineCode_coding.display >= '[' and (_first_vaccineCode_coding.display < '\' or _first_vaccineCode_coding.display >= '{') and json_valid(_first_vaccineCode_coding.display) and not contains(_text, to_json(_first_vaccineCode_coding.display)) and not contains(cast(json(_text) as varchar), to_json(_first_vaccineCode_coding.display)) then null else _first_vaccineCode_coding.display end, case when len(_resource.vaccineCode.coding) > 1 then list_filter(list_transform(_resource.vaccineCode.coding, lambda e_11: case when e_11.display >= '[' and (e_11.display < '\' or e_11.display >= '{') and json_valid(e_11.display) and not contains(_text, to_json(e_11.display)) and not contains(cast(json(_text) as varchar), to_json(e_11.display)) then null else e_11.display end), lambda e_12: e_12 is not null)[1] end) as "display",
      case when _resource.vaccineCode.text >= '[' and (_resource.vaccineCode.text < '\' or _resource.vaccineCode.text >= '{') and json_valid(_resource.vaccineCode.text) and not contains(_text, to_json(_resource.vaccineCode.text)) and not contains(cast(json(_text) as varchar), to_json(_resource.vaccineCode.text)) then null else _resource.vaccineCode.text end as "text",
      case when _resource.status >= '[' and (_resource.status < '\' or _resource.status >= '{') and json_valid(_resource.status) and not contains(_text, to_json(_resource.status)) and not contains(cast(json(_text) as varchar), to_json(_resource.status)) then null else _resource.status end as "status",
      case when _resource.occurrenceDateTime >= '[' and (_resource.occurrenceDateTime < '\' or _resource.occurrenceDateTime >= '{') and json_valid(_resource.occurrenceDateTime) and not contains(_text, to_json(_resource.occurrenceDateTime)) and not contains(cast(json(_text) as varchar), to_json(_resource.occurrenceDateTime)) then null else _resource.occurrenceDateTime end as "occurred_at",
      case cast(_resource.primarySource as varchar) when 'true' then true when 'false' then false end as "primary_source",
      case when _resource.lotNumber >= '[' and (_resource.lotNumber < '\' or _resource.lotNumber >= '{') and json_valid(_resource.lotNumber) and not contains(_text, to_json(_resource.lotNumber)) and not contains(cast(json(_text) as varchar), to_json(_resource.lotNumber)) then null else _resource.lotNumber end as "lot_number",
      "submission_id",
      "source_file",
      "source_position",
      "ingested_at"
    from firsts
),

tidied as (
    select
        viewed.*,
        {{ reference_id('viewed.patient_reference', 'Patient', 'patient_reference_target', 'viewed.immunization_id') }} as patient_id,
        {{ reference_id('viewed.encounter_reference', 'Encounter', 'encounter_reference_target', 'viewed.immunization_id') }} as encounter_id,
        {{ fhir_date('viewed.occurred_at') }} as occurred_at__checked
    from viewed
    left join memory.scratch.conditional_reference as patient_reference_target
        on {{ conditional_text('viewed.patient_reference') }} = patient_reference_target.reference_text
    left join memory.scratch.conditional_reference as encounter_reference_target
        on {{ conditional_text('viewed.encounter_reference') }} = encounter_reference_target.reference_text
)

select
    immunization_id,
    patient_id,
    encounter_id,
    code,
    code_system,
    display,
    text,
    status,
    occurred_at__checked as occurred_at,
    primary_source,
    lot_number,
    submission_id,
    source_file,
    source_position,
    ingested_at,
    {{ issues([
        ['patient_id', reference_issue('patient_reference', 'patient_id')],
        ['encounter_id', reference_issue('encounter_reference', 'encounter_id')],
        ['occurred_at', "case when occurred_at is not null and occurred_at__checked is null then 'not a date' end"]
    ]) }} as issues
from tidied
