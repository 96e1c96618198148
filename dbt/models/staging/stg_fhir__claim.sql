-- Grain: one row per Claim that the build recomputes.
-- Generated from views/claim.json by `lakehouse generate`; do not edit.
{{ config(meta={'resource_type': 'Claim', 'key': 'claim_id'}) }}

with viewed as (
    with parsed as (
      select
        case when random() >= 0 then try(from_json(cast(src."resource" as varchar), '{"billablePeriod":{"end":"VARCHAR","start":"VARCHAR"},"created":"VARCHAR","id":"VARCHAR","insurance":[{"coverage":{"display":"VARCHAR"}}],"item":[{"encounter":[{"reference":"VARCHAR"}]}],"patient":{"reference":"VARCHAR"},"priority":"JSON","provider":{"reference":"VARCHAR"},"resourceType":"VARCHAR","status":"VARCHAR","total":{"currency":"VARCHAR","value":"JSON"},"type":"JSON","use":"VARCHAR"}')) end as _resource,
        cast(src."resource" as varchar) as _text,
        src."submission_id",
        src."source_file",
        src."source_position",
        src."ingested_at",
        src."contained_keys",
        src."has_unknown_modifier"
      from {{ current_resources('Claim') }} as src
    ),

    firsts as (
      select
        *,
        _resource.item[1] as _first_item,
        _resource.item[1].encounter[1] as _first_item_encounter,
        _resource.insurance[1] as _first_insurance
      from parsed
    )

    select
      case when _resource.id >= '[' and (_resource.id < '\' or _resource.id >= '{') and json_valid(_resource.id) and not contains(_text, to_json(_resource.id)) and not contains(cast(json(_text) as varchar), to_json(_resource.id)) then null else _resource.id end as "claim_id",
      case when _resource.patient.reference >= '[' and (_resource.patient.reference < '\' or _resource.patient.reference >= '{') and json_valid(_resource.patient.reference) and not contains(_text, to_json(_resource.patient.reference)) and not contains(cast(json(_text) as varchar), to_json(_resource.patient.reference)) then null else _resource.patient.reference end as "patient_reference",
      list_transform([coalesce(_first_item_encounter, case when len(_resource.item) > 1 or len(_first_item.encounter) > 1 then flatten(list_transform(_resource.item, lambda e_3: e_3.encounter))[1] end).reference], lambda v_5: case when v_5 >= '[' and (v_5 < '\' or v_5 >= '{') and json_valid(v_5) and not contains(_text, to_json(v_5)) and not contains(cast(json(_text) as varchar), to_json(v_5)) then null else v_5 end)[1] as "encounter_reference",
      try_cast(_resource.type as json) as "type_concept",
      case when _resource.use >= '[' and (_resource.use < '\' or _resource.use >= '{') and json_valid(_resource.use) and not contains(_text, to_json(_resource.use)) and not contains(cast(json(_text) as varchar), to_json(_resource.use)) then null else _resource.use end as "use",
      case when _resource.status >= '[' and (_resource.status < '\' or _resource.status >= '{') and json_valid(_resource.status) and not contains(_text, to_json(_resource.status)) and not contains(cast(json(_text) as varchar), to_json(_resource.status)) then null else _resource.status end as "status",
      case when _resource.billablePeriod.start >= '[' and (_resource.billablePeriod.start < '\' or _resource.billablePeriod.start >= '{') and json_valid(_resource.billablePeriod.start) and not contains(_text, to_json(_resource.billablePeriod.start)) and not contains(cast(json(_text) as varchar), to_json(_resource.billablePeriod.start)) then null else _resource.billablePeriod.start end as "started_at",
      case when _resource.billablePeriod.end >= '[' and (_resource.billablePeriod.end < '\' or _resource.billablePeriod.end >= '{') and json_valid(_resource.billablePeriod.end) and not contains(_text, to_json(_resource.billablePeriod.end)) and not contains(cast(json(_text) as varchar), to_json(_resource.billablePeriod.end)) then null else _resource.billablePeriod.end end as "ended_at",
      case when _resource.created >= '[' and (_resource.created < '\' or _resource.created >= '{') and json_valid(_resource.created) and not contains(_text, to_json(_resource.created)) and not contains(cast(json(_text) as varchar), to_json(_resource.created)) then null else _resource.created end as "created_at",
      case when _resource.provider.reference >= '[' and (_resource.provider.reference < '\' or _resource.provider.reference >= '{') and json_valid(_resource.provider.reference) and not contains(_text, to_json(_resource.provider.reference)) and not contains(cast(json(_text) as varchar), to_json(_resource.provider.reference)) then null else _resource.provider.reference end as "provider_reference",
      try_cast(_resource.priority as json) as "priority_concept",
      try_cast(coalesce(len(_resource.item), 0) as integer) as "item_count",
      nullif(nullif(try_cast(cast(_resource.total.value as varchar) as double), 'infinity'), '-infinity') as "total",
      case when _resource.total.currency >= '[' and (_resource.total.currency < '\' or _resource.total.currency >= '{') and json_valid(_resource.total.currency) and not contains(_text, to_json(_resource.total.currency)) and not contains(cast(json(_text) as varchar), to_json(_resource.total.currency)) then null else _resource.total.currency end as "currency",
      coalesce(case when _first_insurance.coverage.display >= '[' and (_first_insurance.coverage.display < '\' or _first_insurance.coverage.display >= '{') and json_valid(_first_insurance.coverage.display) and not contains(_text, to_json(_first_insurance.coverage.display)) and not contains(cast(json(_text) as varchar), to_json(_first_insurance.coverage.display)) then null else _first_insurance.coverage.display end, case when len(_resource.insurance) > 1 then list_filter(list_transform(list_filter(list_transform(_resource.insurance, lambda e_10: e_10.coverage), lambda e_11: e_11 is not null), lambda e_12: case when e_12.display >= '[' and (e_12.display < '\' or e_12.display >= '{') and json_valid(e_12.display) and not contains(_text, to_json(e_12.display)) and not contains(cast(json(_text) as varchar), to_json(e_12.display)) then null else e_12.display end), lambda e_13: e_13 is not null)[1] end) as "payer",
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
        {{ parsed_concept('viewed.type_concept') }} as type_concept__parsed,
        {{ parsed_concept('viewed.priority_concept') }} as priority_concept__parsed,
        {{ reference_id('viewed.patient_reference', 'Patient', 'patient_reference_target', 'viewed.claim_id', 'viewed.contained_keys') }} as patient_id,
        {{ reference_id('viewed.encounter_reference', 'Encounter', 'encounter_reference_target', 'viewed.claim_id', 'viewed.contained_keys') }} as encounter_id,
        {{ fhir_date('viewed.started_at') }} as started_at__checked,
        {{ fhir_date('viewed.ended_at') }} as ended_at__checked,
        {{ fhir_date('viewed.created_at') }} as created_at__checked,
        {{ reference_id('viewed.provider_reference', 'Practitioner|PractitionerRole|Organization', 'provider_reference_target', 'viewed.claim_id', 'viewed.contained_keys') }} as provider_id
    from viewed
    left join memory.scratch.conditional_reference as patient_reference_target
        on {{ conditional_text('viewed.patient_reference') }} = patient_reference_target.reference_text
    left join memory.scratch.conditional_reference as encounter_reference_target
        on {{ conditional_text('viewed.encounter_reference') }} = encounter_reference_target.reference_text
    left join memory.scratch.conditional_reference as provider_reference_target
        on {{ conditional_text('viewed.provider_reference') }} = provider_reference_target.reference_text
),

coded as (
    select
        tidied.*,
        {{ codings('type_concept__parsed.coding') }} as type_concept__codings,
        {{ codings('priority_concept__parsed.coding') }} as priority_concept__codings
    from tidied
),

preferred as (
    select
        coded.*,
        {{ preferred_coding('type_concept__codings') }} as type_concept__coding,
        {{ preferred_coding('priority_concept__codings') }} as priority_concept__coding
    from coded
)

select
    claim_id,
    patient_id,
    encounter_id,
    type_concept__coding.code as type,
    type_concept__codings as type_codings,
    use,
    status,
    started_at__checked as started_at,
    ended_at__checked as ended_at,
    created_at__checked as created_at,
    provider_id,
    priority_concept__coding.code as priority,
    item_count,
    total,
    currency,
    payer,
    {{ record_counts('Claim') }} and not has_unknown_modifier as counts,
    submission_id,
    source_file,
    source_position,
    ingested_at,
    {{ issues([
        ['patient_id', reference_issue('patient_reference', 'patient_id')],
        ['encounter_id', reference_issue('encounter_reference', 'encounter_id')],
        ['started_at', "case when started_at is not null and started_at__checked is null then 'not a date' end"],
        ['ended_at', "case when ended_at is not null and ended_at__checked is null then 'not a date' end"],
        ['created_at', "case when created_at is not null and created_at__checked is null then 'not a date' end"],
        ['provider_id', reference_issue('provider_reference', 'provider_id')],
        ['counts', "case when has_unknown_modifier then 'modifierExtension that is not known: the record does not count' end"]
    ]) }} as issues
from preferred
