-- Grain: one row per ExplanationOfBenefit that the build recomputes.
-- Generated from views/explanation_of_benefit.json by `lakehouse generate`; do not edit.
{{ config(meta={'resource_type': 'ExplanationOfBenefit', 'key': 'explanation_of_benefit_id'}) }}

with viewed as (
    with parsed as (
      select
        case when random() >= 0 then try(from_json(cast(src."resource" as varchar), '{"billablePeriod":{"end":"VARCHAR","start":"VARCHAR"},"claim":{"reference":"VARCHAR"},"created":"VARCHAR","id":"VARCHAR","insurance":[{"coverage":{"display":"VARCHAR"}}],"item":[{"encounter":[{"reference":"VARCHAR"}]}],"outcome":"VARCHAR","patient":{"reference":"VARCHAR"},"payment":{"amount":{"currency":"VARCHAR","value":"JSON"}},"resourceType":"VARCHAR","status":"VARCHAR","total":[{"amount":{"value":"JSON"},"category":{"coding":[{"code":"VARCHAR"}]}}],"type":"JSON","use":"VARCHAR"}')) end as _resource,
        cast(src."resource" as varchar) as _text,
        src."submission_id",
        src."source_file",
        src."source_position",
        src."ingested_at",
        src."contained_keys",
        src."has_unknown_modifier"
      from {{ current_resources('ExplanationOfBenefit') }} as src
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
      case when _resource.id >= '[' and (_resource.id < '\' or _resource.id >= '{') and json_valid(_resource.id) and not contains(_text, to_json(_resource.id)) and not contains(cast(json(_text) as varchar), to_json(_resource.id)) then null else _resource.id end as "explanation_of_benefit_id",
      case when _resource.patient.reference >= '[' and (_resource.patient.reference < '\' or _resource.patient.reference >= '{') and json_valid(_resource.patient.reference) and not contains(_text, to_json(_resource.patient.reference)) and not contains(cast(json(_text) as varchar), to_json(_resource.patient.reference)) then null else _resource.patient.reference end as "patient_reference",
      list_transform([coalesce(_first_item_encounter, case when len(_resource.item) > 1 or len(_first_item.encounter) > 1 then flatten(list_transform(_resource.item, lambda e_3: e_3.encounter))[1] end).reference], lambda v_5: case when v_5 >= '[' and (v_5 < '\' or v_5 >= '{') and json_valid(v_5) and not contains(_text, to_json(v_5)) and not contains(cast(json(_text) as varchar), to_json(v_5)) then null else v_5 end)[1] as "encounter_reference",
      case when _resource.claim.reference >= '[' and (_resource.claim.reference < '\' or _resource.claim.reference >= '{') and json_valid(_resource.claim.reference) and not contains(_text, to_json(_resource.claim.reference)) and not contains(cast(json(_text) as varchar), to_json(_resource.claim.reference)) then null else _resource.claim.reference end as "claim_reference",
      try_cast(_resource.type as json) as "type_concept",
      case when _resource.use >= '[' and (_resource.use < '\' or _resource.use >= '{') and json_valid(_resource.use) and not contains(_text, to_json(_resource.use)) and not contains(cast(json(_text) as varchar), to_json(_resource.use)) then null else _resource.use end as "use",
      case when _resource.status >= '[' and (_resource.status < '\' or _resource.status >= '{') and json_valid(_resource.status) and not contains(_text, to_json(_resource.status)) and not contains(cast(json(_text) as varchar), to_json(_resource.status)) then null else _resource.status end as "status",
      case when _resource.outcome >= '[' and (_resource.outcome < '\' or _resource.outcome >= '{') and json_valid(_resource.outcome) and not contains(_text, to_json(_resource.outcome)) and not contains(cast(json(_text) as varchar), to_json(_resource.outcome)) then null else _resource.outcome end as "outcome",
      case when _resource.billablePeriod.start >= '[' and (_resource.billablePeriod.start < '\' or _resource.billablePeriod.start >= '{') and json_valid(_resource.billablePeriod.start) and not contains(_text, to_json(_resource.billablePeriod.start)) and not contains(cast(json(_text) as varchar), to_json(_resource.billablePeriod.start)) then null else _resource.billablePeriod.start end as "started_at",
      case when _resource.billablePeriod.end >= '[' and (_resource.billablePeriod.end < '\' or _resource.billablePeriod.end >= '{') and json_valid(_resource.billablePeriod.end) and not contains(_text, to_json(_resource.billablePeriod.end)) and not contains(cast(json(_text) as varchar), to_json(_resource.billablePeriod.end)) then null else _resource.billablePeriod.end end as "ended_at",
      case when _resource.created >= '[' and (_resource.created < '\' or _resource.created >= '{') and json_valid(_resource.created) and not contains(_text, to_json(_resource.created)) and not contains(cast(json(_text) as varchar), to_json(_resource.created)) then null else _resource.created end as "created_at",
      try_cast(coalesce(len(_resource.item), 0) as integer) as "item_count",
      list_filter(list_transform(list_filter(list_transform(list_filter(_resource.total, lambda x_8: len(list_filter(x_8.category.coding, lambda x_10: (x_10.code = 'submitted'))) > 0), lambda e_16: e_16.amount), lambda e_17: e_17 is not null), lambda e_18: nullif(nullif(try_cast(cast(e_18.value as varchar) as double), 'infinity'), '-infinity')), lambda e_19: e_19 is not null)[1] as "submitted_amount",
      nullif(nullif(try_cast(cast(_resource.payment.amount.value as varchar) as double), 'infinity'), '-infinity') as "payment_amount",
      case when _resource.payment.amount.currency >= '[' and (_resource.payment.amount.currency < '\' or _resource.payment.amount.currency >= '{') and json_valid(_resource.payment.amount.currency) and not contains(_text, to_json(_resource.payment.amount.currency)) and not contains(cast(json(_text) as varchar), to_json(_resource.payment.amount.currency)) then null else _resource.payment.amount.currency end as "currency",
      coalesce(case when _first_insurance.coverage.display >= '[' and (_first_insurance.coverage.display < '\' or _first_insurance.coverage.display >= '{') and json_valid(_first_insurance.coverage.display) and not contains(_text, to_json(_first_insurance.coverage.display)) and not contains(cast(json(_text) as varchar), to_json(_first_insurance.coverage.display)) then null else _first_insurance.coverage.display end, case when len(_resource.insurance) > 1 then list_filter(list_transform(list_filter(list_transform(_resource.insurance, lambda e_22: e_22.coverage), lambda e_23: e_23 is not null), lambda e_24: case when e_24.display >= '[' and (e_24.display < '\' or e_24.display >= '{') and json_valid(e_24.display) and not contains(_text, to_json(e_24.display)) and not contains(cast(json(_text) as varchar), to_json(e_24.display)) then null else e_24.display end), lambda e_25: e_25 is not null)[1] end) as "payer",
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
        {{ reference_id('viewed.patient_reference', 'Patient', 'patient_reference_target', 'viewed.explanation_of_benefit_id', 'viewed.contained_keys') }} as patient_id,
        {{ reference_id('viewed.encounter_reference', 'Encounter', 'encounter_reference_target', 'viewed.explanation_of_benefit_id', 'viewed.contained_keys') }} as encounter_id,
        {{ reference_id('viewed.claim_reference', 'Claim', 'claim_reference_target', 'viewed.explanation_of_benefit_id', 'viewed.contained_keys') }} as claim_id,
        {{ fhir_date('viewed.started_at') }} as started_at__checked,
        {{ fhir_date('viewed.ended_at') }} as ended_at__checked,
        {{ fhir_date('viewed.created_at') }} as created_at__checked
    from viewed
    left join memory.scratch.conditional_reference as patient_reference_target
        on {{ conditional_text('viewed.patient_reference') }} = patient_reference_target.reference_text
    left join memory.scratch.conditional_reference as encounter_reference_target
        on {{ conditional_text('viewed.encounter_reference') }} = encounter_reference_target.reference_text
    left join memory.scratch.conditional_reference as claim_reference_target
        on {{ conditional_text('viewed.claim_reference') }} = claim_reference_target.reference_text
),

coded as (
    select
        tidied.*,
        {{ codings('type_concept__parsed.coding') }} as type_concept__codings
    from tidied
),

preferred as (
    select
        coded.*,
        {{ preferred_coding('type_concept__codings') }} as type_concept__coding
    from coded
)

select
    explanation_of_benefit_id,
    patient_id,
    encounter_id,
    claim_id,
    type_concept__coding.code as type,
    type_concept__codings as type_codings,
    use,
    status,
    outcome,
    started_at__checked as started_at,
    ended_at__checked as ended_at,
    created_at__checked as created_at,
    item_count,
    submitted_amount,
    payment_amount,
    currency,
    payer,
    {{ record_counts('ExplanationOfBenefit') }} and not has_unknown_modifier as counts,
    submission_id,
    source_file,
    source_position,
    ingested_at,
    {{ issues([
        ['patient_id', reference_issue('patient_reference', 'patient_id')],
        ['encounter_id', reference_issue('encounter_reference', 'encounter_id')],
        ['claim_id', reference_issue('claim_reference', 'claim_id')],
        ['started_at', "case when started_at is not null and started_at__checked is null then 'not a date' end"],
        ['ended_at', "case when ended_at is not null and ended_at__checked is null then 'not a date' end"],
        ['created_at', "case when created_at is not null and created_at__checked is null then 'not a date' end"],
        ['counts', "case when has_unknown_modifier then 'modifierExtension that is not known: the record does not count' end"]
    ]) }} as issues
from preferred
