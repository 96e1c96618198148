-- Grain: one row per Device that the build recomputes.
-- Generated from views/device.json by `lakehouse generate`; do not edit.
{{ config(meta={'resource_type': 'Device', 'key': 'device_id'}) }}

with viewed as (
    with parsed as (
      select
        case when random() >= 0 then try(from_json(cast(src."resource" as varchar), '{"deviceName":[{"name":"VARCHAR"}],"expirationDate":"VARCHAR","id":"VARCHAR","manufactureDate":"VARCHAR","manufacturer":"VARCHAR","patient":{"reference":"VARCHAR"},"resourceType":"VARCHAR","status":"VARCHAR","type":"JSON"}')) end as _resource,
        cast(src."resource" as varchar) as _text,
        src."submission_id",
        src."source_file",
        src."source_position",
        src."ingested_at",
        src."contained_keys",
        src."has_unknown_modifier"
      from {{ current_resources('Device') }} as src
    ),

    firsts as (
      select
        *,
        _resource.deviceName[1] as _first_deviceName
      from parsed
    )

    select
      case when _resource.id >= '[' and (_resource.id < '\' or _resource.id >= '{') and json_valid(_resource.id) and not contains(_text, to_json(_resource.id)) and not contains(cast(json(_text) as varchar), to_json(_resource.id)) then null else _resource.id end as "device_id",
      case when _resource.patient.reference >= '[' and (_resource.patient.reference < '\' or _resource.patient.reference >= '{') and json_valid(_resource.patient.reference) and not contains(_text, to_json(_resource.patient.reference)) and not contains(cast(json(_text) as varchar), to_json(_resource.patient.reference)) then null else _resource.patient.reference end as "patient_reference",
      try_cast(_resource.type as json) as "code_concept",
      case when _resource.status >= '[' and (_resource.status < '\' or _resource.status >= '{') and json_valid(_resource.status) and not contains(_text, to_json(_resource.status)) and not contains(cast(json(_text) as varchar), to_json(_resource.status)) then null else _resource.status end as "status",
      coalesce(case when _first_deviceName.name >= '[' and (_first_deviceName.name < '\' or _first_deviceName.name >= '{') and json_valid(_first_deviceName.name) and not contains(_text, to_json(_first_deviceName.name)) and not contains(cast(json(_text) as varchar), to_json(_first_deviceName.name)) then null else _first_deviceName.name end, case when len(_resource.deviceName) > 1 then list_filter(list_transform(_resource.deviceName, lambda e_3: case when e_3.name >= '[' and (e_3.name < '\' or e_3.name >= '{') and json_valid(e_3.name) and not contains(_text, to_json(e_3.name)) and not contains(cast(json(_text) as varchar), to_json(e_3.name)) then null else e_3.name end), lambda e_4: e_4 is not null)[1] end) as "device_name",
      case when _resource.manufacturer >= '[' and (_resource.manufacturer < '\' or _resource.manufacturer >= '{') and json_valid(_resource.manufacturer) and not contains(_text, to_json(_resource.manufacturer)) and not contains(cast(json(_text) as varchar), to_json(_resource.manufacturer)) then null else _resource.manufacturer end as "manufacturer",
      case when _resource.manufactureDate >= '[' and (_resource.manufactureDate < '\' or _resource.manufactureDate >= '{') and json_valid(_resource.manufactureDate) and not contains(_text, to_json(_resource.manufactureDate)) and not contains(cast(json(_text) as varchar), to_json(_resource.manufactureDate)) then null else _resource.manufactureDate end as "manufactured_at",
      case when _resource.expirationDate >= '[' and (_resource.expirationDate < '\' or _resource.expirationDate >= '{') and json_valid(_resource.expirationDate) and not contains(_text, to_json(_resource.expirationDate)) and not contains(cast(json(_text) as varchar), to_json(_resource.expirationDate)) then null else _resource.expirationDate end as "expires_at",
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
        {{ parsed_concept('viewed.code_concept') }} as code_concept__parsed,
        {{ reference_id('viewed.patient_reference', 'Patient', 'patient_reference_target', 'viewed.device_id', 'viewed.contained_keys') }} as patient_id,
        {{ fhir_date('viewed.manufactured_at') }} as manufactured_at__checked,
        {{ fhir_date('viewed.expires_at') }} as expires_at__checked
    from viewed
    left join memory.scratch.conditional_reference as patient_reference_target
        on {{ conditional_text('viewed.patient_reference') }} = patient_reference_target.reference_text
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
    device_id,
    patient_id,
    code_concept__coding.code as code,
    code_concept__coding."system" as code_system,
    coalesce(code_concept__coding.display, code_concept__parsed.text) as display,
    code_concept__codings as codings,
    code_concept__parsed.text as text,
    status,
    device_name,
    manufacturer,
    manufactured_at__checked as manufactured_at,
    expires_at__checked as expires_at,
    {{ record_counts('Device') }} and not has_unknown_modifier as counts,
    submission_id,
    source_file,
    source_position,
    ingested_at,
    {{ issues([
        ['patient_id', reference_issue('patient_reference', 'patient_id')],
        ['manufactured_at', "case when manufactured_at is not null and manufactured_at__checked is null then 'not a date' end"],
        ['expires_at', "case when expires_at is not null and expires_at__checked is null then 'not a date' end"],
        ['counts', "case when has_unknown_modifier then 'modifierExtension that is not known: the record does not count' end"]
    ]) }} as issues
from preferred
