-- Grain: one row per Observation that the build recomputes.
-- Generated from views/observation.json by `lakehouse generate`; do not edit.
{{ config(meta={'resource_type': 'Observation', 'key': 'observation_id'}) }}

with viewed as (
    with parsed as (
      select
        case when random() >= 0 then try(from_json(cast(src."resource" as varchar), '{"bodySite":"JSON","category":["JSON"],"code":"JSON","component":["JSON"],"dataAbsentReason":"JSON","derivedFrom":[{"reference":"VARCHAR"}],"device":{"reference":"VARCHAR"},"effectiveDateTime":"VARCHAR","effectiveInstant":"VARCHAR","effectivePeriod":{"end":"VARCHAR","start":"VARCHAR"},"effectiveTiming":{"event":["VARCHAR"],"repeat":{"boundsPeriod":{"end":"VARCHAR","start":"VARCHAR"}}},"encounter":{"reference":"VARCHAR"},"hasMember":[{"reference":"VARCHAR"}],"id":"VARCHAR","interpretation":["JSON"],"issued":"VARCHAR","method":"JSON","referenceRange":["JSON"],"resourceType":"VARCHAR","specimen":{"reference":"VARCHAR"},"status":"VARCHAR","subject":{"reference":"VARCHAR"},"valueBoolean":"JSON","valueCodeableConcept":"JSON","valueDateTime":"VARCHAR","valueInteger":"JSON","valuePeriod":"JSON","valueQuantity":{"code":"VARCHAR","comparator":"VARCHAR","unit":"VARCHAR","value":"JSON"},"valueRange":"JSON","valueRatio":"JSON","valueSampledData":"JSON","valueString":"VARCHAR","valueTime":"VARCHAR"}')) end as _resource,
        cast(src."resource" as varchar) as _text,
        src."submission_id",
        src."source_file",
        src."source_position",
        src."ingested_at",
        src."contained_keys",
        src."has_unknown_modifier"
      from {{ current_resources('Observation') }} as src
    )

    select
      case when _resource.id >= '[' and (_resource.id < '\' or _resource.id >= '{') and json_valid(_resource.id) and not contains(_text, to_json(_resource.id)) and not contains(cast(json(_text) as varchar), to_json(_resource.id)) then null else _resource.id end as "observation_id",
      case when _resource.subject.reference >= '[' and (_resource.subject.reference < '\' or _resource.subject.reference >= '{') and json_valid(_resource.subject.reference) and not contains(_text, to_json(_resource.subject.reference)) and not contains(cast(json(_text) as varchar), to_json(_resource.subject.reference)) then null else _resource.subject.reference end as "patient_reference",
      case when _resource.encounter.reference >= '[' and (_resource.encounter.reference < '\' or _resource.encounter.reference >= '{') and json_valid(_resource.encounter.reference) and not contains(_text, to_json(_resource.encounter.reference)) and not contains(cast(json(_text) as varchar), to_json(_resource.encounter.reference)) then null else _resource.encounter.reference end as "encounter_reference",
      try_cast(_resource.code as json) as "code_concept",
      coalesce(list_transform(_resource.category, lambda e_3: try_cast(e_3 as json)), cast([] as json[])) as "category_concepts",
      case when _resource.status >= '[' and (_resource.status < '\' or _resource.status >= '{') and json_valid(_resource.status) and not contains(_text, to_json(_resource.status)) and not contains(cast(json(_text) as varchar), to_json(_resource.status)) then null else _resource.status end as "status",
      case when _resource.effectiveDateTime >= '[' and (_resource.effectiveDateTime < '\' or _resource.effectiveDateTime >= '{') and json_valid(_resource.effectiveDateTime) and not contains(_text, to_json(_resource.effectiveDateTime)) and not contains(cast(json(_text) as varchar), to_json(_resource.effectiveDateTime)) then null else _resource.effectiveDateTime end as "effective_at",
      case when _resource.effectiveInstant >= '[' and (_resource.effectiveInstant < '\' or _resource.effectiveInstant >= '{') and json_valid(_resource.effectiveInstant) and not contains(_text, to_json(_resource.effectiveInstant)) and not contains(cast(json(_text) as varchar), to_json(_resource.effectiveInstant)) then null else _resource.effectiveInstant end as "effective_instant",
      case when _resource.effectivePeriod.start >= '[' and (_resource.effectivePeriod.start < '\' or _resource.effectivePeriod.start >= '{') and json_valid(_resource.effectivePeriod.start) and not contains(_text, to_json(_resource.effectivePeriod.start)) and not contains(cast(json(_text) as varchar), to_json(_resource.effectivePeriod.start)) then null else _resource.effectivePeriod.start end as "effective_period_start",
      case when _resource.effectivePeriod.end >= '[' and (_resource.effectivePeriod.end < '\' or _resource.effectivePeriod.end >= '{') and json_valid(_resource.effectivePeriod.end) and not contains(_text, to_json(_resource.effectivePeriod.end)) and not contains(cast(json(_text) as varchar), to_json(_resource.effectivePeriod.end)) then null else _resource.effectivePeriod.end end as "effective_period_end",
      coalesce(list_filter(list_transform(_resource.effectiveTiming.event, lambda e_5: case when e_5 >= '[' and (e_5 < '\' or e_5 >= '{') and json_valid(e_5) and not contains(_text, to_json(e_5)) and not contains(cast(json(_text) as varchar), to_json(e_5)) then null else e_5 end), lambda e_6: e_6 is not null), cast([] as varchar[])) as "effective_events",
      case when _resource.effectiveTiming.repeat.boundsPeriod.start >= '[' and (_resource.effectiveTiming.repeat.boundsPeriod.start < '\' or _resource.effectiveTiming.repeat.boundsPeriod.start >= '{') and json_valid(_resource.effectiveTiming.repeat.boundsPeriod.start) and not contains(_text, to_json(_resource.effectiveTiming.repeat.boundsPeriod.start)) and not contains(cast(json(_text) as varchar), to_json(_resource.effectiveTiming.repeat.boundsPeriod.start)) then null else _resource.effectiveTiming.repeat.boundsPeriod.start end as "effective_timing_start",
      case when _resource.effectiveTiming.repeat.boundsPeriod.end >= '[' and (_resource.effectiveTiming.repeat.boundsPeriod.end < '\' or _resource.effectiveTiming.repeat.boundsPeriod.end >= '{') and json_valid(_resource.effectiveTiming.repeat.boundsPeriod.end) and not contains(_text, to_json(_resource.effectiveTiming.repeat.boundsPeriod.end)) and not contains(cast(json(_text) as varchar), to_json(_resource.effectiveTiming.repeat.boundsPeriod.end)) then null else _resource.effectiveTiming.repeat.boundsPeriod.end end as "effective_timing_end",
      case when _resource.issued >= '[' and (_resource.issued < '\' or _resource.issued >= '{') and json_valid(_resource.issued) and not contains(_text, to_json(_resource.issued)) and not contains(cast(json(_text) as varchar), to_json(_resource.issued)) then null else _resource.issued end as "issued_at",
      nullif(nullif(try_cast(cast(_resource.valueQuantity.value as varchar) as double), 'infinity'), '-infinity') as "value_quantity",
      case when _resource.valueQuantity.comparator >= '[' and (_resource.valueQuantity.comparator < '\' or _resource.valueQuantity.comparator >= '{') and json_valid(_resource.valueQuantity.comparator) and not contains(_text, to_json(_resource.valueQuantity.comparator)) and not contains(cast(json(_text) as varchar), to_json(_resource.valueQuantity.comparator)) then null else _resource.valueQuantity.comparator end as "value_comparator",
      case when _resource.valueQuantity.unit >= '[' and (_resource.valueQuantity.unit < '\' or _resource.valueQuantity.unit >= '{') and json_valid(_resource.valueQuantity.unit) and not contains(_text, to_json(_resource.valueQuantity.unit)) and not contains(cast(json(_text) as varchar), to_json(_resource.valueQuantity.unit)) then null else _resource.valueQuantity.unit end as "value_unit",
      case when _resource.valueQuantity.code >= '[' and (_resource.valueQuantity.code < '\' or _resource.valueQuantity.code >= '{') and json_valid(_resource.valueQuantity.code) and not contains(_text, to_json(_resource.valueQuantity.code)) and not contains(cast(json(_text) as varchar), to_json(_resource.valueQuantity.code)) then null else _resource.valueQuantity.code end as "value_unit_code",
      (_resource.valueQuantity is not null) as "has_quantity",
      try_cast(list_transform([cast(_resource.valueInteger as varchar)], lambda v_8: case when regexp_full_match(v_8, '-?[0-9]+') then try_cast(v_8 as bigint) end)[1] as integer) as "value_integer",
      try_cast(_resource.valueCodeableConcept as json) as "value_concept",
      case when _resource.valueString >= '[' and (_resource.valueString < '\' or _resource.valueString >= '{') and json_valid(_resource.valueString) and not contains(_text, to_json(_resource.valueString)) and not contains(cast(json(_text) as varchar), to_json(_resource.valueString)) then null else _resource.valueString end as "value_string",
      case cast(_resource.valueBoolean as varchar) when 'true' then true when 'false' then false end as "value_boolean",
      case when _resource.valueDateTime >= '[' and (_resource.valueDateTime < '\' or _resource.valueDateTime >= '{') and json_valid(_resource.valueDateTime) and not contains(_text, to_json(_resource.valueDateTime)) and not contains(cast(json(_text) as varchar), to_json(_resource.valueDateTime)) then null else _resource.valueDateTime end as "value_date_time",
      case when _resource.valueTime >= '[' and (_resource.valueTime < '\' or _resource.valueTime >= '{') and json_valid(_resource.valueTime) and not contains(_text, to_json(_resource.valueTime)) and not contains(cast(json(_text) as varchar), to_json(_resource.valueTime)) then null else _resource.valueTime end as "value_time",
      try_cast(_resource.valueRange as json) as "value_range",
      try_cast(_resource.valueRatio as json) as "value_ratio",
      try_cast(_resource.valuePeriod as json) as "value_period",
      try_cast(_resource.valueSampledData as json) as "value_sampled_data",
      try_cast(_resource.dataAbsentReason as json) as "data_absent_reason_concept",
      coalesce(list_transform(_resource.interpretation, lambda e_11: try_cast(e_11 as json)), cast([] as json[])) as "interpretation_concepts",
      coalesce(list_transform(_resource.referenceRange, lambda e_14: try_cast(e_14 as json)), cast([] as json[])) as "reference_ranges",
      try_cast(_resource.method as json) as "method_concept",
      try_cast(_resource.bodySite as json) as "body_site_concept",
      case when _resource.specimen.reference >= '[' and (_resource.specimen.reference < '\' or _resource.specimen.reference >= '{') and json_valid(_resource.specimen.reference) and not contains(_text, to_json(_resource.specimen.reference)) and not contains(cast(json(_text) as varchar), to_json(_resource.specimen.reference)) then null else _resource.specimen.reference end as "specimen_reference",
      case when _resource.device.reference >= '[' and (_resource.device.reference < '\' or _resource.device.reference >= '{') and json_valid(_resource.device.reference) and not contains(_text, to_json(_resource.device.reference)) and not contains(cast(json(_text) as varchar), to_json(_resource.device.reference)) then null else _resource.device.reference end as "device_reference",
      coalesce(list_filter(list_transform(_resource.hasMember, lambda e_17: case when e_17.reference >= '[' and (e_17.reference < '\' or e_17.reference >= '{') and json_valid(e_17.reference) and not contains(_text, to_json(e_17.reference)) and not contains(cast(json(_text) as varchar), to_json(e_17.reference)) then null else e_17.reference end), lambda e_18: e_18 is not null), cast([] as varchar[])) as "member_references",
      coalesce(list_filter(list_transform(_resource.derivedFrom, lambda e_22: case when e_22.reference >= '[' and (e_22.reference < '\' or e_22.reference >= '{') and json_valid(e_22.reference) and not contains(_text, to_json(e_22.reference)) and not contains(cast(json(_text) as varchar), to_json(e_22.reference)) then null else e_22.reference end), lambda e_23: e_23 is not null), cast([] as varchar[])) as "derived_from_references",
      coalesce(list_transform(_resource.component, lambda e_27: try_cast(e_27 as json)), cast([] as json[])) as "components",
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
        {{ parsed_concepts('viewed.category_concepts') }} as category_concepts__parsed,
        {{ parsed_concept('viewed.value_concept') }} as value_concept__parsed,
        {{ parsed_concept('viewed.data_absent_reason_concept') }} as data_absent_reason_concept__parsed,
        {{ parsed_concepts('viewed.interpretation_concepts') }} as interpretation_concepts__parsed,
        {{ parsed_concept('viewed.method_concept') }} as method_concept__parsed,
        {{ parsed_concept('viewed.body_site_concept') }} as body_site_concept__parsed,
        {{ reference_id('viewed.patient_reference', 'Patient', 'patient_reference_target', 'viewed.observation_id', 'viewed.contained_keys') }} as patient_id,
        {{ reference_id('viewed.encounter_reference', 'Encounter', 'encounter_reference_target', 'viewed.observation_id', 'viewed.contained_keys') }} as encounter_id,
        {{ fhir_date('viewed.effective_at') }} as effective_at__checked,
        {{ fhir_date('viewed.effective_instant') }} as effective_instant__checked,
        {{ fhir_date('viewed.effective_period_start') }} as effective_period_start__checked,
        {{ fhir_date('viewed.effective_period_end') }} as effective_period_end__checked,
        {{ fhir_date('viewed.effective_timing_start') }} as effective_timing_start__checked,
        {{ fhir_date('viewed.effective_timing_end') }} as effective_timing_end__checked,
        {{ fhir_date('viewed.issued_at') }} as issued_at__checked,
        {{ reference_id('viewed.specimen_reference', 'Specimen', 'specimen_reference_target', 'viewed.observation_id', 'viewed.contained_keys') }} as specimen_id,
        {{ reference_id('viewed.device_reference', 'Device|DeviceMetric', 'device_reference_target', 'viewed.observation_id', 'viewed.contained_keys') }} as device_id,
        {{ reference_ids('viewed.member_references', 'Observation|QuestionnaireResponse|MolecularSequence', 'viewed.observation_id', 'viewed.contained_keys') }} as member_ids,
        {{ reference_ids('viewed.derived_from_references', 'Observation|DocumentReference|ImagingStudy|Media|QuestionnaireResponse|MolecularSequence', 'viewed.observation_id', 'viewed.contained_keys') }} as derived_from_ids
    from viewed
    left join memory.scratch.conditional_reference as patient_reference_target
        on {{ conditional_text('viewed.patient_reference') }} = patient_reference_target.reference_text
    left join memory.scratch.conditional_reference as encounter_reference_target
        on {{ conditional_text('viewed.encounter_reference') }} = encounter_reference_target.reference_text
    left join memory.scratch.conditional_reference as specimen_reference_target
        on {{ conditional_text('viewed.specimen_reference') }} = specimen_reference_target.reference_text
    left join memory.scratch.conditional_reference as device_reference_target
        on {{ conditional_text('viewed.device_reference') }} = device_reference_target.reference_text
),

coded as (
    select
        tidied.*,
        {{ codings('code_concept__parsed.coding') }} as code_concept__codings,
        {{ all_codings('category_concepts__parsed') }} as category_concepts__codings,
        {{ first_concept('category_concepts__parsed') }} as category_concepts__concept,
        {{ codings('value_concept__parsed.coding') }} as value_concept__codings,
        {{ codings('data_absent_reason_concept__parsed.coding') }} as data_absent_reason_concept__codings,
        {{ all_codings('interpretation_concepts__parsed') }} as interpretation_concepts__codings,
        {{ first_concept('interpretation_concepts__parsed') }} as interpretation_concepts__concept,
        {{ codings('method_concept__parsed.coding') }} as method_concept__codings,
        {{ codings('body_site_concept__parsed.coding') }} as body_site_concept__codings
    from tidied
),

preferred as (
    select
        coded.*,
        {{ preferred_coding('code_concept__codings') }} as code_concept__coding,
        {{ preferred_coding('value_concept__codings') }} as value_concept__coding,
        {{ preferred_coding('data_absent_reason_concept__codings') }} as data_absent_reason_concept__coding,
        {{ preferred_coding(codings('interpretation_concepts__concept.coding')) }} as interpretation_concepts__coding,
        {{ preferred_coding('method_concept__codings') }} as method_concept__coding,
        {{ preferred_coding('body_site_concept__codings') }} as body_site_concept__coding
    from coded
)

select
    observation_id,
    patient_id,
    encounter_id,
    code_concept__coding.code as code,
    code_concept__coding."system" as code_system,
    coalesce(code_concept__coding.display, code_concept__parsed.text) as display,
    code_concept__codings as codings,
    {{ codes_of('category_concepts__codings') }} as categories,
    status,
    effective_at__checked as effective_at,
    effective_instant__checked as effective_instant,
    effective_period_start__checked as effective_period_start,
    effective_period_end__checked as effective_period_end,
    effective_events,
    effective_timing_start__checked as effective_timing_start,
    effective_timing_end__checked as effective_timing_end,
    issued_at__checked as issued_at,
    value_quantity,
    value_comparator,
    value_unit,
    value_unit_code,
    has_quantity,
    value_integer,
    value_concept__coding.code as value_code,
    value_concept__coding."system" as value_code_system,
    coalesce(value_concept__coding.display, value_concept__parsed.text) as value_display,
    value_concept__codings as value_codings,
    value_string,
    value_boolean,
    value_date_time,
    value_time,
    value_range,
    value_ratio,
    value_period,
    value_sampled_data,
    data_absent_reason_concept__coding.code as data_absent_reason,
    interpretation_concepts__coding.code as interpretation,
    coalesce(interpretation_concepts__coding.display, interpretation_concepts__concept.text) as interpretation_display,
    reference_ranges,
    method_concept__coding.code as method_code,
    coalesce(method_concept__coding.display, method_concept__parsed.text) as method_display,
    body_site_concept__coding.code as body_site_code,
    coalesce(body_site_concept__coding.display, body_site_concept__parsed.text) as body_site_display,
    specimen_id,
    device_id,
    member_ids,
    derived_from_ids,
    components,
    {{ record_counts('Observation') }} and not has_unknown_modifier as counts,
    submission_id,
    source_file,
    source_position,
    ingested_at,
    {{ issues([
        ['patient_id', reference_issue('patient_reference', 'patient_id')],
        ['encounter_id', reference_issue('encounter_reference', 'encounter_id')],
        ['effective_at', "case when effective_at is not null and effective_at__checked is null then 'not a date' end"],
        ['effective_instant', "case when effective_instant is not null and effective_instant__checked is null then 'not a date' end"],
        ['effective_period_start', "case when effective_period_start is not null and effective_period_start__checked is null then 'not a date' end"],
        ['effective_period_end', "case when effective_period_end is not null and effective_period_end__checked is null then 'not a date' end"],
        ['effective_timing_start', "case when effective_timing_start is not null and effective_timing_start__checked is null then 'not a date' end"],
        ['effective_timing_end', "case when effective_timing_end is not null and effective_timing_end__checked is null then 'not a date' end"],
        ['issued_at', "case when issued_at is not null and issued_at__checked is null then 'not a date' end"],
        ['specimen_id', reference_issue('specimen_reference', 'specimen_id')],
        ['device_id', reference_issue('device_reference', 'device_id')],
        ['member_ids', reference_list_issue('member_references', 'member_ids')],
        ['derived_from_ids', reference_list_issue('derived_from_references', 'derived_from_ids')],
        ['counts', "case when has_unknown_modifier then 'modifierExtension that is not known: the record does not count' end"]
    ]) }} as issues
from preferred
