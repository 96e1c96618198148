-- Grain: one row per Coverage that the build recomputes.
-- Generated from views/coverage.json by `lakehouse generate`; do not edit.
{{ config(meta={'resource_type': 'Coverage', 'key': 'coverage_id'}) }}

with viewed as (
    with parsed as (
      select
        case when random() >= 0 then try(from_json(cast(src."resource" as varchar), '{"beneficiary":{"reference":"VARCHAR"},"id":"VARCHAR","payor":[{"display":"VARCHAR"}],"period":{"end":"VARCHAR","start":"VARCHAR"},"relationship":"JSON","resourceType":"VARCHAR","status":"VARCHAR","type":"JSON"}')) end as _resource,
        cast(src."resource" as varchar) as _text,
        src."submission_id",
        src."source_file",
        src."source_position",
        src."ingested_at",
        src."contained_keys",
        src."has_unknown_modifier"
      from {{ current_resources('Coverage') }} as src
    ),

    firsts as (
      select
        *,
        _resource.payor[1] as _first_payor
      from parsed
    )

    select
      case when _resource.id >= '[' and (_resource.id < '\' or _resource.id >= '{') and json_valid(_resource.id) and not contains(_text, to_json(_resource.id)) and not contains(cast(json(_text) as varchar), to_json(_resource.id)) then null else _resource.id end as "coverage_id",
      case when _resource.beneficiary.reference >= '[' and (_resource.beneficiary.reference < '\' or _resource.beneficiary.reference >= '{') and json_valid(_resource.beneficiary.reference) and not contains(_text, to_json(_resource.beneficiary.reference)) and not contains(cast(json(_text) as varchar), to_json(_resource.beneficiary.reference)) then null else _resource.beneficiary.reference end as "patient_reference",
      try_cast(_resource.type as json) as "type_concept",
      case when _resource.status >= '[' and (_resource.status < '\' or _resource.status >= '{') and json_valid(_resource.status) and not contains(_text, to_json(_resource.status)) and not contains(cast(json(_text) as varchar), to_json(_resource.status)) then null else _resource.status end as "status",
      try_cast(_resource.relationship as json) as "relationship_concept",
      case when _resource.period.start >= '[' and (_resource.period.start < '\' or _resource.period.start >= '{') and json_valid(_resource.period.start) and not contains(_text, to_json(_resource.period.start)) and not contains(cast(json(_text) as varchar), to_json(_resource.period.start)) then null else _resource.period.start end as "started_at",
      case when _resource.period.end >= '[' and (_resource.period.end < '\' or _resource.period.end >= '{') and json_valid(_resource.period.end) and not contains(_text, to_json(_resource.period.end)) and not contains(cast(json(_text) as varchar), to_json(_resource.period.end)) then null else _resource.period.end end as "ended_at",
      coalesce(case when _first_payor.display >= '[' and (_first_payor.display < '\' or _first_payor.display >= '{') and json_valid(_first_payor.display) and not contains(_text, to_json(_first_payor.display)) and not contains(cast(json(_text) as varchar), to_json(_first_payor.display)) then null else _first_payor.display end, case when len(_resource.payor) > 1 then list_filter(list_transform(_resource.payor, lambda e_3: case when e_3.display >= '[' and (e_3.display < '\' or e_3.display >= '{') and json_valid(e_3.display) and not contains(_text, to_json(e_3.display)) and not contains(cast(json(_text) as varchar), to_json(e_3.display)) then null else e_3.display end), lambda e_4: e_4 is not null)[1] end) as "payor",
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
        {{ parsed_concept('viewed.relationship_concept') }} as relationship_concept__parsed,
        {{ reference_id('viewed.patient_reference', 'Patient', 'patient_reference_target', 'viewed.coverage_id', 'viewed.contained_keys') }} as patient_id,
        {{ fhir_date('viewed.started_at') }} as started_at__checked,
        {{ fhir_date('viewed.ended_at') }} as ended_at__checked
    from viewed
    left join memory.scratch.conditional_reference as patient_reference_target
        on {{ conditional_text('viewed.patient_reference') }} = patient_reference_target.reference_text
),

coded as (
    select
        tidied.*,
        {{ codings('type_concept__parsed.coding') }} as type_concept__codings,
        {{ codings('relationship_concept__parsed.coding') }} as relationship_concept__codings
    from tidied
),

preferred as (
    select
        coded.*,
        {{ preferred_coding('type_concept__codings') }} as type_concept__coding,
        {{ preferred_coding('relationship_concept__codings') }} as relationship_concept__coding
    from coded
)

select
    coverage_id,
    patient_id,
    type_concept__coding.code as type_code,
    type_concept__coding."system" as type_system,
    coalesce(type_concept__coding.display, type_concept__parsed.text) as type_display,
    type_concept__parsed.text as type_text,
    type_concept__codings as type_codings,
    status,
    relationship_concept__coding.code as relationship,
    started_at__checked as started_at,
    ended_at__checked as ended_at,
    payor,
    {{ record_counts('Coverage') }} and not has_unknown_modifier as counts,
    submission_id,
    source_file,
    source_position,
    ingested_at,
    {{ issues([
        ['patient_id', reference_issue('patient_reference', 'patient_id')],
        ['started_at', "case when started_at is not null and started_at__checked is null then 'not a date' end"],
        ['ended_at', "case when ended_at is not null and ended_at__checked is null then 'not a date' end"],
        ['counts', "case when has_unknown_modifier then 'modifierExtension that is not known: the record does not count' end"]
    ]) }} as issues
from preferred
