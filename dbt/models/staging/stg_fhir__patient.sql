-- Grain: one row per Patient that the build recomputes.
-- Generated from views/patient.json by `lakehouse generate`; do not edit.
{{ config(meta={'resource_type': 'Patient', 'key': 'patient_id'}) }}

with viewed as (
    with parsed as (
      select
        case when random() >= 0 then try(from_json(cast(src."resource" as varchar), '{"active":"JSON","address":["JSON"],"birthDate":"VARCHAR","deceasedBoolean":"JSON","deceasedDateTime":"VARCHAR","extension":[{"extension":[{"url":"VARCHAR","valueCoding":{"display":"VARCHAR"},"valueString":"VARCHAR"}],"url":"VARCHAR"}],"gender":"VARCHAR","id":"VARCHAR","link":[{"other":{"reference":"VARCHAR"},"type":"VARCHAR"}],"resourceType":"VARCHAR"}')) end as _resource,
        cast(src."resource" as varchar) as _text,
        src."submission_id",
        src."source_file",
        src."source_position",
        src."ingested_at",
        src."contained_keys",
        src."has_unknown_modifier"
      from {{ current_resources('Patient') }} as src
    )

    select
      case when _resource.id >= '[' and (_resource.id < '\' or _resource.id >= '{') and json_valid(_resource.id) and not contains(_text, to_json(_resource.id)) and not contains(cast(json(_text) as varchar), to_json(_resource.id)) then null else _resource.id end as "patient_id",
      case when _resource.birthDate >= '[' and (_resource.birthDate < '\' or _resource.birthDate >= '{') and json_valid(_resource.birthDate) and not contains(_text, to_json(_resource.birthDate)) and not contains(cast(json(_text) as varchar), to_json(_resource.birthDate)) then null else _resource.birthDate end as "birth_date",
      case when _resource.gender >= '[' and (_resource.gender < '\' or _resource.gender >= '{') and json_valid(_resource.gender) and not contains(_text, to_json(_resource.gender)) and not contains(cast(json(_text) as varchar), to_json(_resource.gender)) then null else _resource.gender end as "gender",
      list_filter(list_transform(list_filter(flatten(list_transform(list_filter(_resource.extension, lambda x_3: (x_3.url = 'http://hl7.org/fhir/us/core/StructureDefinition/us-core-race')), lambda e_7: e_7.extension)), lambda x_1: (x_1.url = 'text')), lambda e_9: case when e_9.valueString >= '[' and (e_9.valueString < '\' or e_9.valueString >= '{') and json_valid(e_9.valueString) and not contains(_text, to_json(e_9.valueString)) and not contains(cast(json(_text) as varchar), to_json(e_9.valueString)) then null else e_9.valueString end), lambda e_10: e_10 is not null)[1] as "race",
      list_filter(list_transform(list_filter(list_transform(list_filter(flatten(list_transform(list_filter(_resource.extension, lambda x_13: (x_13.url = 'http://hl7.org/fhir/us/core/StructureDefinition/us-core-race')), lambda e_17: e_17.extension)), lambda x_11: (x_11.url = 'ombCategory')), lambda e_19: e_19.valueCoding), lambda e_20: e_20 is not null), lambda e_21: case when e_21.display >= '[' and (e_21.display < '\' or e_21.display >= '{') and json_valid(e_21.display) and not contains(_text, to_json(e_21.display)) and not contains(cast(json(_text) as varchar), to_json(e_21.display)) then null else e_21.display end), lambda e_22: e_22 is not null)[1] as "race_category",
      list_filter(list_transform(list_filter(flatten(list_transform(list_filter(_resource.extension, lambda x_25: (x_25.url = 'http://hl7.org/fhir/us/core/StructureDefinition/us-core-ethnicity')), lambda e_29: e_29.extension)), lambda x_23: (x_23.url = 'text')), lambda e_31: case when e_31.valueString >= '[' and (e_31.valueString < '\' or e_31.valueString >= '{') and json_valid(e_31.valueString) and not contains(_text, to_json(e_31.valueString)) and not contains(cast(json(_text) as varchar), to_json(e_31.valueString)) then null else e_31.valueString end), lambda e_32: e_32 is not null)[1] as "ethnicity",
      list_filter(list_transform(list_filter(list_transform(list_filter(flatten(list_transform(list_filter(_resource.extension, lambda x_35: (x_35.url = 'http://hl7.org/fhir/us/core/StructureDefinition/us-core-ethnicity')), lambda e_39: e_39.extension)), lambda x_33: (x_33.url = 'ombCategory')), lambda e_41: e_41.valueCoding), lambda e_42: e_42 is not null), lambda e_43: case when e_43.display >= '[' and (e_43.display < '\' or e_43.display >= '{') and json_valid(e_43.display) and not contains(_text, to_json(e_43.display)) and not contains(cast(json(_text) as varchar), to_json(e_43.display)) then null else e_43.display end), lambda e_44: e_44 is not null)[1] as "ethnicity_category",
      coalesce(list_transform(_resource.address, lambda e_47: try_cast(e_47 as json)), cast([] as json[])) as "addresses",
      case cast(_resource.deceasedBoolean as varchar) when 'true' then true when 'false' then false end as "deceased",
      case when _resource.deceasedDateTime >= '[' and (_resource.deceasedDateTime < '\' or _resource.deceasedDateTime >= '{') and json_valid(_resource.deceasedDateTime) and not contains(_text, to_json(_resource.deceasedDateTime)) and not contains(cast(json(_text) as varchar), to_json(_resource.deceasedDateTime)) then null else _resource.deceasedDateTime end as "deceased_at",
      case cast(_resource.active as varchar) when 'true' then true when 'false' then false end as "active",
      list_filter(list_transform(list_filter(list_transform(list_filter(_resource.link, lambda x_48: (x_48.type = 'replaced-by')), lambda e_52: e_52.other), lambda e_53: e_53 is not null), lambda e_54: case when e_54.reference >= '[' and (e_54.reference < '\' or e_54.reference >= '{') and json_valid(e_54.reference) and not contains(_text, to_json(e_54.reference)) and not contains(cast(json(_text) as varchar), to_json(e_54.reference)) then null else e_54.reference end), lambda e_55: e_55 is not null)[1] as "replaced_by_reference",
      coalesce(list_filter(list_transform(list_filter(list_transform(list_filter(_resource.link, lambda x_56: (x_56.type = 'replaces')), lambda e_60: e_60.other), lambda e_61: e_61 is not null), lambda e_62: case when e_62.reference >= '[' and (e_62.reference < '\' or e_62.reference >= '{') and json_valid(e_62.reference) and not contains(_text, to_json(e_62.reference)) and not contains(cast(json(_text) as varchar), to_json(e_62.reference)) then null else e_62.reference end), lambda e_63: e_63 is not null), cast([] as varchar[])) as "replaces_references",
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
        {{ fhir_date('viewed.birth_date') }} as birth_date__checked,
        {{ fhir_date('viewed.deceased_at') }} as deceased_at__checked,
        {{ reference_id('viewed.replaced_by_reference', 'Patient', 'replaced_by_reference_target', 'viewed.patient_id', 'viewed.contained_keys') }} as replaced_by_id,
        {{ reference_ids('viewed.replaces_references', 'Patient', 'viewed.patient_id', 'viewed.contained_keys') }} as replaces_ids
    from viewed
    left join memory.scratch.conditional_reference as replaced_by_reference_target
        on {{ conditional_text('viewed.replaced_by_reference') }} = replaced_by_reference_target.reference_text
)

select
    patient_id,
    birth_date__checked as birth_date,
    gender,
    race,
    race_category,
    ethnicity,
    ethnicity_category,
    addresses,
    deceased,
    deceased_at__checked as deceased_at,
    active,
    replaced_by_id,
    replaces_ids,
    {{ record_counts('Patient') }} and not has_unknown_modifier as counts,
    submission_id,
    source_file,
    source_position,
    ingested_at,
    {{ issues([
        ['birth_date', "case when birth_date is not null and birth_date__checked is null then 'not a date' end"],
        ['deceased_at', "case when deceased_at is not null and deceased_at__checked is null then 'not a date' end"],
        ['replaced_by_id', reference_issue('replaced_by_reference', 'replaced_by_id')],
        ['replaces_ids', reference_list_issue('replaces_references', 'replaces_ids')],
        ['counts', "case when has_unknown_modifier then 'modifierExtension that is not known: the record does not count' end"]
    ]) }} as issues
from tidied
