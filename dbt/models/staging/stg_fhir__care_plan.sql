-- Grain: one row per CarePlan that the build recomputes.
-- Generated from views/care_plan.json by `lakehouse generate`; do not edit.
{{ config(meta={'resource_type': 'CarePlan', 'key': 'care_plan_id'}) }}

with viewed as (
    with parsed as (
      select
        case when random() >= 0 then try(from_json(cast(src."resource" as varchar), '{"activity":[{"id":"VARCHAR"}],"category":["JSON"],"encounter":{"reference":"VARCHAR"},"id":"VARCHAR","intent":"VARCHAR","period":{"end":"VARCHAR","start":"VARCHAR"},"resourceType":"VARCHAR","status":"VARCHAR","subject":{"reference":"VARCHAR"},"title":"VARCHAR"}')) end as _resource,
        cast(src."resource" as varchar) as _text,
        src."submission_id",
        src."source_file",
        src."source_position",
        src."ingested_at",
        src."contained_keys",
        src."has_unknown_modifier"
      from {{ current_resources('CarePlan') }} as src
    )

    select
      case when _resource.id >= '[' and (_resource.id < '\' or _resource.id >= '{') and json_valid(_resource.id) and not contains(_text, to_json(_resource.id)) and not contains(cast(json(_text) as varchar), to_json(_resource.id)) then null else _resource.id end as "care_plan_id",
      case when _resource.subject.reference >= '[' and (_resource.subject.reference < '\' or _resource.subject.reference >= '{') and json_valid(_resource.subject.reference) and not contains(_text, to_json(_resource.subject.reference)) and not contains(cast(json(_text) as varchar), to_json(_resource.subject.reference)) then null else _resource.subject.reference end as "patient_reference",
      case when _resource.encounter.reference >= '[' and (_resource.encounter.reference < '\' or _resource.encounter.reference >= '{') and json_valid(_resource.encounter.reference) and not contains(_text, to_json(_resource.encounter.reference)) and not contains(cast(json(_text) as varchar), to_json(_resource.encounter.reference)) then null else _resource.encounter.reference end as "encounter_reference",
      coalesce(list_transform(_resource.category, lambda e_3: try_cast(e_3 as json)), cast([] as json[])) as "category_concepts",
      case when _resource.status >= '[' and (_resource.status < '\' or _resource.status >= '{') and json_valid(_resource.status) and not contains(_text, to_json(_resource.status)) and not contains(cast(json(_text) as varchar), to_json(_resource.status)) then null else _resource.status end as "status",
      case when _resource.intent >= '[' and (_resource.intent < '\' or _resource.intent >= '{') and json_valid(_resource.intent) and not contains(_text, to_json(_resource.intent)) and not contains(cast(json(_text) as varchar), to_json(_resource.intent)) then null else _resource.intent end as "intent",
      case when _resource.title >= '[' and (_resource.title < '\' or _resource.title >= '{') and json_valid(_resource.title) and not contains(_text, to_json(_resource.title)) and not contains(cast(json(_text) as varchar), to_json(_resource.title)) then null else _resource.title end as "title",
      case when _resource.period.start >= '[' and (_resource.period.start < '\' or _resource.period.start >= '{') and json_valid(_resource.period.start) and not contains(_text, to_json(_resource.period.start)) and not contains(cast(json(_text) as varchar), to_json(_resource.period.start)) then null else _resource.period.start end as "started_at",
      case when _resource.period.end >= '[' and (_resource.period.end < '\' or _resource.period.end >= '{') and json_valid(_resource.period.end) and not contains(_text, to_json(_resource.period.end)) and not contains(cast(json(_text) as varchar), to_json(_resource.period.end)) then null else _resource.period.end end as "ended_at",
      try_cast(coalesce(len(_resource.activity), 0) as integer) as "activity_count",
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
        {{ parsed_concepts('viewed.category_concepts') }} as category_concepts__parsed,
        {{ reference_id('viewed.patient_reference', 'Patient', 'patient_reference_target', 'viewed.care_plan_id', 'viewed.contained_keys') }} as patient_id,
        {{ reference_id('viewed.encounter_reference', 'Encounter', 'encounter_reference_target', 'viewed.care_plan_id', 'viewed.contained_keys') }} as encounter_id,
        {{ fhir_date('viewed.started_at') }} as started_at__checked,
        {{ fhir_date('viewed.ended_at') }} as ended_at__checked
    from viewed
    left join memory.scratch.conditional_reference as patient_reference_target
        on {{ conditional_text('viewed.patient_reference') }} = patient_reference_target.reference_text
    left join memory.scratch.conditional_reference as encounter_reference_target
        on {{ conditional_text('viewed.encounter_reference') }} = encounter_reference_target.reference_text
),

coded as (
    select
        tidied.*,
        {{ all_codings('category_concepts__parsed') }} as category_concepts__codings,
        {{ first_concept('category_concepts__parsed') }} as category_concepts__concept
    from tidied
),

preferred as (
    select
        coded.*,
        {{ preferred_coding(codings('category_concepts__concept.coding')) }} as category_concepts__coding
    from coded
)

select
    care_plan_id,
    patient_id,
    encounter_id,
    category_concepts__coding.code as category_code,
    category_concepts__coding."system" as category_system,
    coalesce(category_concepts__coding.display, category_concepts__concept.text) as category_display,
    {{ codes_of('category_concepts__codings') }} as categories,
    category_concepts__codings as category_codings,
    status,
    intent,
    title,
    started_at__checked as started_at,
    ended_at__checked as ended_at,
    activity_count,
    {{ record_counts('CarePlan') }} and not has_unknown_modifier as counts,
    submission_id,
    source_file,
    source_position,
    ingested_at,
    {{ issues([
        ['patient_id', reference_issue('patient_reference', 'patient_id')],
        ['encounter_id', reference_issue('encounter_reference', 'encounter_id')],
        ['started_at', "case when started_at is not null and started_at__checked is null then 'not a date' end"],
        ['ended_at', "case when ended_at is not null and ended_at__checked is null then 'not a date' end"],
        ['counts', "case when has_unknown_modifier then 'modifierExtension that is not known: the record does not count' end"]
    ]) }} as issues
from preferred
