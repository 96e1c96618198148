-- Grain: one row per Observation that the build recomputes.
-- Generated from views/observation.json by `lakehouse views compile`; do not edit.
{{ config(meta={'resource_type': 'Observation', 'key': 'observation_id'}) }}

with viewed as (
    with parsed as (
      select
        case when random() >= 0 then try(from_json(cast(src."resource" as varchar), '{"category":[{"coding":[{"code":"VARCHAR"}]}],"code":{"coding":[{"code":"VARCHAR","display":"VARCHAR","system":"VARCHAR"}],"text":"VARCHAR"},"component":["JSON"],"effectiveDateTime":"VARCHAR","effectiveInstant":"VARCHAR","effectivePeriod":{"start":"VARCHAR"},"encounter":{"reference":"VARCHAR"},"id":"VARCHAR","resourceType":"VARCHAR","status":"VARCHAR","subject":{"reference":"VARCHAR"},"valueBoolean":"JSON","valueCodeableConcept":{"coding":[{"code":"VARCHAR","display":"VARCHAR"}],"text":"VARCHAR"},"valueDateTime":"VARCHAR","valueInteger":"JSON","valueQuantity":{"code":"VARCHAR","comparator":"VARCHAR","unit":"VARCHAR","value":"JSON"},"valueSampledData":{"id":"VARCHAR"},"valueString":"VARCHAR"}')) end as _resource,
        cast(src."resource" as varchar) as _text,
        src."submission_id",
        src."source_file",
        src."source_position",
        src."ingested_at"
      from {{ current_resources('Observation') }} as src
    ),

    firsts as (
      select
        *,
        _resource.code.coding[1] as _first_code_coding,
        _resource.category[1] as _first_category,
        _resource.category[1].coding[1] as _first_category_coding,
        _resource.valueCodeableConcept.coding[1] as _first_valueCodeableConcept_coding
      from parsed
    )

    select
      case when _resource.id >= '[' and (_resource.id < '\' or _resource.id >= '{') and json_valid(_resource.id) and not contains(_text, to_json(_resource.id)) and not contains(cast(json(_text) as varchar), to_json(_resource.id)) then null else _resource.id end as "observation_id",
      case when _resource.subject.reference >= '[' and (_resource.subject.reference < '\' or _resource.subject.reference >= '{') and json_valid(_resource.subject.reference) and not contains(_text, to_json(_resource.subject.reference)) and not contains(cast(json(_text) as varchar), to_json(_resource.subject.reference)) then null else _resource.subject.reference end as "patient_reference",
      case when _resource.encounter.reference >= '[' and (_resource.encounter.reference < '\' or _resource.encounter.reference >= '{') and json_valid(_resource.encounter.reference) and not contains(_text, to_json(_resource.encounter.reference)) and not contains(cast(json(_text) as varchar), to_json(_resource.encounter.reference)) then null else _resource.encounter.reference end as "encounter_reference",
      coalesce(case when _first_code_coding.code >= '[' and (_first_code_coding.code < '\' or _first_code_coding.code >= '{') and json_valid(_first_code_coding.code) and not contains(_text, to_json(_first_code_coding.code)) and not contains(cast(json(_text) as varchar), to_json(_first_code_coding.code)) then null else _first_code_coding.code end, case when len(_resource.code.coding) > 1 then list_filter(list_transform(_resource.code.coding, lambda e_3: case when e_3.code >= '[' and (e_3.code < '\' or e_3.code >= '{') and json_valid(e_3.code) and not contains(_text, to_json(e_3.code)) and not contains(cast(json(_text) as varchar), to_json(e_3.code)) then null else e_3.code end), lambda e_4: e_4 is not null)[1] end) as "code",
      coalesce(case when _first_code_coding.system >= '[' and (_first_code_coding.system < '\' or _first_code_coding.system >= '{') and json_valid(_first_code_coding.system) and not contains(_text, to_json(_first_code_coding.system)) and not contains(cast(json(_text) as varchar), to_json(_first_code_coding.system)) then null else _first_code_coding.system end, case when len(_resource.code.coding) > 1 then list_filter(list_transform(_resource.code.coding, lambda e_7: case when e_7.system >= '[' and (e_7.system < '\' or e_7.system >= '{') and json_valid(e_7.system) and not contains(_text, to_json(e_7.system)) and not contains(cast(json(_text) as varchar), to_json(e_7.system)) then null else e_7.system end), lambda e_8: e_8 is not null)[1] end) as "code_system",
      coalesce(case when _first_code_coding.display >= '[' and (_first_code_coding.display < '\' or _first_code_coding.display >= '{') and json_valid(_first_code_coding.display) and not contains(_text, to_json(_first_code_coding.display)) and not contains(cast(json(_text) as varchar), to_json(_first_code_coding.display)) then null else _first_code_coding.display end, case when len(_resource.code.coding) > 1 then list_filter(list_transform(_resource.code.coding, lambda e_11: case when e_11.display >= '[' and (e_11.display < '\' or e_11.display >= '{') and json_valid(e_11.display) and not contains(_text, to_json(e_11.display)) and not contains(cast(json(_text) as varchar), to_json(e_11.display)) then null else e_11.display end), lambda e_12: e_12 is not null)[1] end) as "display",
      case when _resource.code.text >= '[' and (_resource.code.text < '\' or _resource.code.text >= '{') and json_valid(_resource.code.text) and not contains(_text, to_json(_resource.code.text)) and not contains(cast(json(_text) as varchar), to_json(_resource.code.text)) then null else _resource.code.text end as "text",
      coalesce(case when _first_category_coding.code >= '[' and (_first_category_coding.code < '\' or _first_category_coding.code >= '{') and json_valid(_first_category_coding.code) and not contains(_text, to_json(_first_category_coding.code)) and not contains(cast(json(_text) as varchar), to_json(_first_category_coding.code)) then null else _first_category_coding.code end, case when len(_resource.category) > 1 or len(_first_category.coding) > 1 then list_filter(list_transform(flatten(list_transform(_resource.category, lambda e_15: e_15.coding)), lambda e_17: case when e_17.code >= '[' and (e_17.code < '\' or e_17.code >= '{') and json_valid(e_17.code) and not contains(_text, to_json(e_17.code)) and not contains(cast(json(_text) as varchar), to_json(e_17.code)) then null else e_17.code end), lambda e_18: e_18 is not null)[1] end) as "category",
      nullif(nullif(try_cast(cast(_resource.valueQuantity.value as varchar) as double), 'infinity'), '-infinity') as "value_quantity",
      case when _resource.valueQuantity.comparator >= '[' and (_resource.valueQuantity.comparator < '\' or _resource.valueQuantity.comparator >= '{') and json_valid(_resource.valueQuantity.comparator) and not contains(_text, to_json(_resource.valueQuantity.comparator)) and not contains(cast(json(_text) as varchar), to_json(_resource.valueQuantity.comparator)) then null else _resource.valueQuantity.comparator end as "value_comparator",
      case when _resource.valueQuantity.unit >= '[' and (_resource.valueQuantity.unit < '\' or _resource.valueQuantity.unit >= '{') and json_valid(_resource.valueQuantity.unit) and not contains(_text, to_json(_resource.valueQuantity.unit)) and not contains(cast(json(_text) as varchar), to_json(_resource.valueQuantity.unit)) then null else _resource.valueQuantity.unit end as "value_unit",
      case when _resource.valueQuantity.code >= '[' and (_resource.valueQuantity.code < '\' or _resource.valueQuantity.code >= '{') and json_valid(_resource.valueQuantity.code) and not contains(_text, to_json(_resource.valueQuantity.code)) and not contains(cast(json(_text) as varchar), to_json(_resource.valueQuantity.code)) then null else _resource.valueQuantity.code end as "value_unit_code",
      (_resource.valueQuantity is not null) as "has_quantity",
      try_cast(list_transform([cast(_resource.valueInteger as varchar)], lambda v_19: case when regexp_full_match(v_19, '-?[0-9]+') then try_cast(v_19 as bigint) end)[1] as integer) as "value_integer",
      coalesce(case when _first_valueCodeableConcept_coding.code >= '[' and (_first_valueCodeableConcept_coding.code < '\' or _first_valueCodeableConcept_coding.code >= '{') and json_valid(_first_valueCodeableConcept_coding.code) and not contains(_text, to_json(_first_valueCodeableConcept_coding.code)) and not contains(cast(json(_text) as varchar), to_json(_first_valueCodeableConcept_coding.code)) then null else _first_valueCodeableConcept_coding.code end, case when len(_resource.valueCodeableConcept.coding) > 1 then list_filter(list_transform(_resource.valueCodeableConcept.coding, lambda e_22: case when e_22.code >= '[' and (e_22.code < '\' or e_22.code >= '{') and json_valid(e_22.code) and not contains(_text, to_json(e_22.code)) and not contains(cast(json(_text) as varchar), to_json(e_22.code)) then null else e_22.code end), lambda e_23: e_23 is not null)[1] end) as "value_code",
      coalesce(case when _first_valueCodeableConcept_coding.display >= '[' and (_first_valueCodeableConcept_coding.display < '\' or _first_valueCodeableConcept_coding.display >= '{') and json_valid(_first_valueCodeableConcept_coding.display) and not contains(_text, to_json(_first_valueCodeableConcept_coding.display)) and not contains(cast(json(_text) as varchar), to_json(_first_valueCodeableConcept_coding.display)) then null else _first_valueCodeableConcept_coding.display end, case when len(_resource.valueCodeableConcept.coding) > 1 then list_filter(list_transform(_resource.valueCodeableConcept.coding, lambda e_26: case when e_26.display >= '[' and (e_26.display < '\' or e_26.display >= '{') and json_valid(e_26.display) and not contains(_text, to_json(e_26.display)) and not contains(cast(json(_text) as varchar), to_json(e_26.display)) then null else e_26.display end), lambda e_27: e_27 is not null)[1] end) as "value_display",
      case when _resource.valueCodeableConcept.text >= '[' and (_resource.valueCodeableConcept.text < '\' or _resource.valueCodeableConcept.text >= '{') and json_valid(_resource.valueCodeableConcept.text) and not contains(_text, to_json(_resource.valueCodeableConcept.text)) and not contains(cast(json(_text) as varchar), to_json(_resource.valueCodeableConcept.text)) then null else _resource.valueCodeableConcept.text end as "value_concept_text",
      case when _resource.valueString >= '[' and (_resource.valueString < '\' or _resource.valueString >= '{') and json_valid(_resource.valueString) and not contains(_text, to_json(_resource.valueString)) and not contains(cast(json(_text) as varchar), to_json(_resource.valueString)) then null else _resource.valueString end as "value_string",
      case cast(_resource.valueBoolean as varchar) when 'true' then true when 'false' then false end as "value_boolean",
      case when _resource.valueDateTime >= '[' and (_resource.valueDateTime < '\' or _resource.valueDateTime >= '{') and json_valid(_resource.valueDateTime) and not contains(_text, to_json(_resource.valueDateTime)) and not contains(cast(json(_text) as varchar), to_json(_resource.valueDateTime)) then null else _resource.valueDateTime end as "value_date_time",
      (_resource.valueSampledData is not null) as "value_sampled_data",
      coalesce(list_transform(_resource.component, lambda e_30: try_cast(e_30 as json)), cast([] as json[])) as "components",
      case when _resource.effectiveDateTime >= '[' and (_resource.effectiveDateTime < '\' or _resource.effectiveDateTime >= '{') and json_valid(_resource.effectiveDateTime) and not contains(_text, to_json(_resource.effectiveDateTime)) and not contains(cast(json(_text) as varchar), to_json(_resource.effectiveDateTime)) then null else _resource.effectiveDateTime end as "effective_at",
      case when _resource.effectiveInstant >= '[' and (_resource.effectiveInstant < '\' or _resource.effectiveInstant >= '{') and json_valid(_resource.effectiveInstant) and not contains(_text, to_json(_resource.effectiveInstant)) and not contains(cast(json(_text) as varchar), to_json(_resource.effectiveInstant)) then null else _resource.effectiveInstant end as "effective_instant",
      case when _resource.effectivePeriod.start >= '[' and (_resource.effectivePeriod.start < '\' or _resource.effectivePeriod.start >= '{') and json_valid(_resource.effectivePeriod.start) and not contains(_text, to_json(_resource.effectivePeriod.start)) and not contains(cast(json(_text) as varchar), to_json(_resource.effectivePeriod.start)) then null else _resource.effectivePeriod.start end as "effective_period_start",
      case when _resource.status >= '[' and (_resource.status < '\' or _resource.status >= '{') and json_valid(_resource.status) and not contains(_text, to_json(_resource.status)) and not contains(cast(json(_text) as varchar), to_json(_resource.status)) then null else _resource.status end as "status",
      "submission_id",
      "source_file",
      "source_position",
      "ingested_at"
    from firsts
),

tidied as (
    select
        viewed.*,
        {{ reference_id('viewed.patient_reference', 'Patient', 'patient_reference_target', 'viewed.observation_id') }} as patient_id,
        {{ reference_id('viewed.encounter_reference', 'Encounter', 'encounter_reference_target', 'viewed.observation_id') }} as encounter_id,
        {{ fhir_date('viewed.effective_at') }} as effective_at__checked,
        {{ fhir_date('viewed.effective_instant') }} as effective_instant__checked,
        {{ fhir_date('viewed.effective_period_start') }} as effective_period_start__checked
    from viewed
    left join memory.scratch.conditional_reference as patient_reference_target
        on {{ conditional_text('viewed.patient_reference') }} = patient_reference_target.reference_text
    left join memory.scratch.conditional_reference as encounter_reference_target
        on {{ conditional_text('viewed.encounter_reference') }} = encounter_reference_target.reference_text
)

select
    observation_id,
    patient_id,
    encounter_id,
    code,
    code_system,
    display,
    text,
    category,
    value_quantity,
    value_comparator,
    value_unit,
    value_unit_code,
    has_quantity,
    value_integer,
    value_code,
    value_display,
    value_concept_text,
    value_string,
    value_boolean,
    value_date_time,
    value_sampled_data,
    components,
    effective_at__checked as effective_at,
    effective_instant__checked as effective_instant,
    effective_period_start__checked as effective_period_start,
    status,
    {{ record_counts('Observation') }} as counts,
    submission_id,
    source_file,
    source_position,
    ingested_at,
    {{ issues([
        ['patient_id', reference_issue('patient_reference', 'patient_id')],
        ['encounter_id', reference_issue('encounter_reference', 'encounter_id')],
        ['effective_at', "case when effective_at is not null and effective_at__checked is null then 'not a date' end"],
        ['effective_instant', "case when effective_instant is not null and effective_instant__checked is null then 'not a date' end"],
        ['effective_period_start', "case when effective_period_start is not null and effective_period_start__checked is null then 'not a date' end"]
    ]) }} as issues
from tidied
