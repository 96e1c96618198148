-- Grain: one row per Patient that the build recomputes.
-- Generated from views/patient.json by `lakehouse views compile`; do not edit.
{{ config(meta={'resource_type': 'Patient', 'key': 'patient_id'}) }}

with viewed as (
    with parsed as (
      select
        case when random() >= 0 then try(from_json(cast(src."resource" as varchar), '{"address":[{"city":"VARCHAR","postalCode":"VARCHAR","state":"VARCHAR"}],"birthDate":"VARCHAR","deceasedBoolean":"JSON","deceasedDateTime":"VARCHAR","extension":[{"extension":[{"url":"VARCHAR","valueCoding":{"display":"VARCHAR"},"valueString":"VARCHAR"}],"url":"VARCHAR"}],"gender":"VARCHAR","id":"VARCHAR","resourceType":"VARCHAR"}')) end as _resource,
        cast(src."resource" as varchar) as _text,
        src."submission_id",
        src."source_file",
        src."source_position",
        src."ingested_at"
      from {{ current_resources('Patient') }} as src
    ),

    firsts as (
      select
        *,
        _resource.address[1] as _first_address
      from parsed
    )

    select
      case when _resource.id >= '[' and (_resource.id < '\' or _resource.id >= '{') and json_valid(_resource.id) and not contains(_text, to_json(_resource.id)) and not contains(cast(json(_text) as varchar), to_json(_resource.id)) then null else _resource.id end as "patient_id",
      case when _resource.birthDate >= '[' and (_resource.birthDate < '\' or _resource.birthDate >= '{') and json_valid(_resource.birthDate) and not contains(_text, to_json(_resource.birthDate)) and not contains(cast(json(_text) as varchar), to_json(_resource.birthDate)) then null else _resource.birthDate end as "birth_date",
      case when _resource.gender >= '[' and (_resource.gender < '\' or _resource.gender >= '{') and json_valid(_resource.gender) and not contains(_text, to_json(_resource.gender)) and not contains(cast(json(_text) as varchar), to_json(_resource.gender)) then null else _resource.gender end as "gender",
      list_filter(list_transform(list_filter(flatten(list_transform(list_filter(_resource.extension, lambda x_3: (x_3.url = 'http://hl7.org/fhir/us/core/StructureDefinition/us-core-race')), lambda e_7: e_7.extension)), lambda x_1: (x_1.url = 'text')), lambda e_9: case when e_9.valueString >= '[' and (e_9.valueString < '\' or e_9.valueString >= '{') and json_valid(e_9.valueString) and not contains(_text, to_json(e_9.valueString)) and not contains(cast(json(_text) as varchar), to_json(e_9.valueString)) then null else e_9.valueString end), lambda e_10: e_10 is not null)[1] as "race",
      list_filter(list_transform(list_filter(list_transform(list_filter(flatten(list_transform(list_filter(_resource.extension, lambda x_13: (x_13.url = 'http://hl7.org/fhir/us/core/StructureDefinition/us-core-race')), lambda e_17: e_17.extension)), lambda x_11: (x_11.url = 'ombCategory')), lambda e_19: e_19.valueCoding), lambda e_20: e_20 is not null), lambda e_21: case when e_21.display >= '[' and (e_21.display < '\' or e_21.display >= '{') and json_valid(e_21.display) and not contains(_text, to_json(e_21.display)) and not contains(cast(json(_text) as varchar), to_json(e_21.display)) then null else e_21.display end), lambda e_22: e_22 is not null)[1] as "race_category",
      list_filter(list_transform(list_filter(flatten(list_transform(list_filter(_resource.extension, lambda x_25: (x_25.url = 'http://hl7.org/fhir/us/core/StructureDefinition/us-core-ethnicity')), lambda e_29: e_29.extension)), lambda x_23: (x_23.url = 'text')), lambda e_31: case when e_31.valueString >= '[' and (e_31.valueString < '\' or e_31.valueString >= '{') and json_valid(e_31.valueString) and not contains(_text, to_json(e_31.valueString)) and not contains(cast(json(_text) as varchar), to_json(e_31.valueString)) then null else e_31.valueString end), lambda e_32: e_32 is not null)[1] as "ethnicity",
      list_filter(list_transform(list_filter(list_transform(list_filter(flatten(list_transform(list_filter(_resource.extension, lambda x_35: (x_35.url = 'http://hl7.org/fhir/us/core/StructureDefinition/us-core-ethnicity')), lambda e_39: e_39.extension)), lambda x_33: (x_33.url = 'ombCategory')), lambda e_41: e_41.valueCoding), lambda e_42: e_42 is not null), lambda e_43: case when e_43.display >= '[' and (e_43.display < '\' or e_43.display >= '{') and json_valid(e_43.display) and not contains(_text, to_json(e_43.display)) and not contains(cast(json(_text) as varchar), to_json(e_43.display)) then null else e_43.display end), lambda e_44: e_44 is not null)[1] as "ethnicity_category",
      coalesce(case when _first_address.state >= '[' and (_first_address.state < '\' or _first_address.state >= '{') and json_valid(_first_address.state) and not contains(_text, to_json(_first_address.state)) and not contains(cast(json(_text) as varchar), to_json(_first_address.state)) then null else _first_address.state end, case when len(_resource.address) > 1 then list_filter(list_transform(_resource.address, lambda e_47: case when e_47.state >= '[' and (e_47.state < '\' or e_47.state >= '{') and json_valid(e_47.state) and not contains(_text, to_json(e_47.state)) and not contains(cast(json(_text) as varchar), to_json(e_47.state)) then null else e_47.state end), lambda e_48: e_48 is not null)[1] end) as "state",
      coalesce(case when _first_address.city >= '[' and (_first_address.city < '\' or _first_address.city >= '{') and json_valid(_first_address.city) and not contains(_text, to_json(_first_address.city)) and not contains(cast(json(_text) as varchar), to_json(_first_address.city)) then null else _first_address.city end, case when len(_resource.address) > 1 then list_filter(list_transform(_resource.address, lambda e_51: case when e_51.city >= '[' and (e_51.city < '\' or e_51.city >= '{') and json_valid(e_51.city) and not contains(_text, to_json(e_51.city)) and not contains(cast(json(_text) as varchar), to_json(e_51.city)) then null else e_51.city end), lambda e_52: e_52 is not null)[1] end) as "city",
      coalesce(case when _first_address.postalCode >= '[' and (_first_address.postalCode < '\' or _first_address.postalCode >= '{') and json_valid(_first_address.postalCode) and not contains(_text, to_json(_first_address.postalCode)) and not contains(cast(json(_text) as varchar), to_json(_first_address.postalCode)) then null else _first_address.postalCode end, case when len(_resource.address) > 1 then list_filter(list_transform(_resource.address, lambda e_55: case when e_55.postalCode >= '[' and (e_55.postalCode < '\' or e_55.postalCode >= '{') and json_valid(e_55.postalCode) and not contains(_text, to_json(e_55.postalCode)) and not contains(cast(json(_text) as varchar), to_json(e_55.postalCode)) then null else e_55.postalCode end), lambda e_56: e_56 is not null)[1] end) as "zip",
      case cast(_resource.deceasedBoolean as varchar) when 'true' then true when 'false' then false end as "deceased",
      case when _resource.deceasedDateTime >= '[' and (_resource.deceasedDateTime < '\' or _resource.deceasedDateTime >= '{') and json_valid(_resource.deceasedDateTime) and not contains(_text, to_json(_resource.deceasedDateTime)) and not contains(cast(json(_text) as varchar), to_json(_resource.deceasedDateTime)) then null else _resource.deceasedDateTime end as "deceased_at",
      "submission_id",
      "source_file",
      "source_position",
      "ingested_at"
    from firsts
),

tidied as (
    select
        viewed.*,
        {{ fhir_date('viewed.birth_date') }} as birth_date__checked,
        {{ fhir_date('viewed.deceased_at') }} as deceased_at__checked
    from viewed
)

select
    patient_id,
    birth_date__checked as birth_date,
    gender,
    race,
    race_category,
    ethnicity,
    ethnicity_category,
    state,
    city,
    zip,
    deceased,
    deceased_at__checked as deceased_at,
    submission_id,
    source_file,
    source_position,
    ingested_at,
    {{ issues([
        ['birth_date', "case when birth_date is not null and birth_date__checked is null then 'not a date' end"],
        ['deceased_at', "case when deceased_at is not null and deceased_at__checked is null then 'not a date' end"]
    ]) }} as issues
from tidied
