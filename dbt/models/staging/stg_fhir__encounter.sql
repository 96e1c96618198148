-- Grain: one row per Encounter that the build recomputes.
-- Generated from views/encounter.json by `lakehouse generate`; do not edit.
{{ config(meta={'resource_type': 'Encounter', 'key': 'encounter_id'}) }}

with viewed as (
    with parsed as (
      select
        case when random() >= 0 then try(from_json(cast(src."resource" as varchar), '{"class":{"code":"VARCHAR"},"hospitalization":{"admitSource":"JSON","dischargeDisposition":"JSON"},"id":"VARCHAR","location":[{"location":{"display":"VARCHAR","reference":"VARCHAR"}}],"partOf":{"reference":"VARCHAR"},"participant":[{"individual":{"reference":"VARCHAR"}}],"period":{"end":"VARCHAR","start":"VARCHAR"},"reasonCode":["JSON"],"resourceType":"VARCHAR","status":"VARCHAR","subject":{"reference":"VARCHAR"},"type":["JSON"]}')) end as _resource,
        cast(src."resource" as varchar) as _text,
        src."submission_id",
        src."source_file",
        src."source_position",
        src."ingested_at",
        src."contained_keys",
        src."has_unknown_modifier"
      from {{ current_resources('Encounter') }} as src
    ),

    firsts as (
      select
        *,
        _resource.location[1] as _first_location
      from parsed
    )

    select
      case when _resource.id >= '[' and (_resource.id < '\' or _resource.id >= '{') and json_valid(_resource.id) and not contains(_text, to_json(_resource.id)) and not contains(cast(json(_text) as varchar), to_json(_resource.id)) then null else _resource.id end as "encounter_id",
      case when _resource.subject.reference >= '[' and (_resource.subject.reference < '\' or _resource.subject.reference >= '{') and json_valid(_resource.subject.reference) and not contains(_text, to_json(_resource.subject.reference)) and not contains(cast(json(_text) as varchar), to_json(_resource.subject.reference)) then null else _resource.subject.reference end as "patient_reference",
      coalesce(list_transform(_resource.type, lambda e_3: try_cast(e_3 as json)), cast([] as json[])) as "type_concepts",
      case when _resource.class.code >= '[' and (_resource.class.code < '\' or _resource.class.code >= '{') and json_valid(_resource.class.code) and not contains(_text, to_json(_resource.class.code)) and not contains(cast(json(_text) as varchar), to_json(_resource.class.code)) then null else _resource.class.code end as "class_code",
      case when _resource.period.start >= '[' and (_resource.period.start < '\' or _resource.period.start >= '{') and json_valid(_resource.period.start) and not contains(_text, to_json(_resource.period.start)) and not contains(cast(json(_text) as varchar), to_json(_resource.period.start)) then null else _resource.period.start end as "started_at",
      case when _resource.period.end >= '[' and (_resource.period.end < '\' or _resource.period.end >= '{') and json_valid(_resource.period.end) and not contains(_text, to_json(_resource.period.end)) and not contains(cast(json(_text) as varchar), to_json(_resource.period.end)) then null else _resource.period.end end as "ended_at",
      case when _resource.status >= '[' and (_resource.status < '\' or _resource.status >= '{') and json_valid(_resource.status) and not contains(_text, to_json(_resource.status)) and not contains(cast(json(_text) as varchar), to_json(_resource.status)) then null else _resource.status end as "status",
      list_filter(list_transform(list_filter(list_filter(list_transform(_resource.participant, lambda e_8: e_8.individual), lambda e_9: e_9 is not null), lambda x_4: (case when x_4.reference >= '[' and (x_4.reference < '\' or x_4.reference >= '{') and json_valid(x_4.reference) and not contains(_text, to_json(x_4.reference)) and not contains(cast(json(_text) as varchar), to_json(x_4.reference)) then null else x_4.reference end is not null)), lambda e_10: case when e_10.reference >= '[' and (e_10.reference < '\' or e_10.reference >= '{') and json_valid(e_10.reference) and not contains(_text, to_json(e_10.reference)) and not contains(cast(json(_text) as varchar), to_json(e_10.reference)) then null else e_10.reference end), lambda e_11: e_11 is not null)[1] as "provider_reference",
      coalesce(list_transform(_resource.reasonCode, lambda e_14: try_cast(e_14 as json)), cast([] as json[])) as "reason_concepts",
      case when _resource.partOf.reference >= '[' and (_resource.partOf.reference < '\' or _resource.partOf.reference >= '{') and json_valid(_resource.partOf.reference) and not contains(_text, to_json(_resource.partOf.reference)) and not contains(cast(json(_text) as varchar), to_json(_resource.partOf.reference)) then null else _resource.partOf.reference end as "part_of_reference",
      case when _first_location.location.reference >= '[' and (_first_location.location.reference < '\' or _first_location.location.reference >= '{') and json_valid(_first_location.location.reference) and not contains(_text, to_json(_first_location.location.reference)) and not contains(cast(json(_text) as varchar), to_json(_first_location.location.reference)) then null else _first_location.location.reference end as "location_reference",
      case when _first_location.location.display >= '[' and (_first_location.location.display < '\' or _first_location.location.display >= '{') and json_valid(_first_location.location.display) and not contains(_text, to_json(_first_location.location.display)) and not contains(cast(json(_text) as varchar), to_json(_first_location.location.display)) then null else _first_location.location.display end as "location_display",
      try_cast(_resource.hospitalization.admitSource as json) as "admit_source_concept",
      try_cast(_resource.hospitalization.dischargeDisposition as json) as "discharge_disposition_concept",
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
        {{ parsed_concepts('viewed.type_concepts') }} as type_concepts__parsed,
        {{ parsed_concepts('viewed.reason_concepts') }} as reason_concepts__parsed,
        {{ parsed_concept('viewed.admit_source_concept') }} as admit_source_concept__parsed,
        {{ parsed_concept('viewed.discharge_disposition_concept') }} as discharge_disposition_concept__parsed,
        {{ reference_id('viewed.patient_reference', 'Patient', 'patient_reference_target', 'viewed.encounter_id', 'viewed.contained_keys') }} as patient_id,
        {{ fhir_date('viewed.started_at') }} as started_at__checked,
        {{ fhir_date('viewed.ended_at') }} as ended_at__checked,
        {{ reference_id('viewed.provider_reference', 'Practitioner|PractitionerRole|RelatedPerson', 'provider_reference_target', 'viewed.encounter_id', 'viewed.contained_keys') }} as provider_id,
        {{ reference_id('viewed.part_of_reference', 'Encounter', 'part_of_reference_target', 'viewed.encounter_id', 'viewed.contained_keys') }} as part_of_id,
        {{ reference_id('viewed.location_reference', 'Location', 'location_reference_target', 'viewed.encounter_id', 'viewed.contained_keys') }} as location_id
    from viewed
    left join memory.scratch.conditional_reference as patient_reference_target
        on {{ conditional_text('viewed.patient_reference') }} = patient_reference_target.reference_text
    left join memory.scratch.conditional_reference as provider_reference_target
        on {{ conditional_text('viewed.provider_reference') }} = provider_reference_target.reference_text
    left join memory.scratch.conditional_reference as part_of_reference_target
        on {{ conditional_text('viewed.part_of_reference') }} = part_of_reference_target.reference_text
    left join memory.scratch.conditional_reference as location_reference_target
        on {{ conditional_text('viewed.location_reference') }} = location_reference_target.reference_text
),

coded as (
    select
        tidied.*,
        {{ all_codings('type_concepts__parsed') }} as type_concepts__codings,
        {{ first_concept('type_concepts__parsed') }} as type_concepts__concept,
        {{ all_codings('reason_concepts__parsed') }} as reason_concepts__codings,
        {{ first_concept('reason_concepts__parsed') }} as reason_concepts__concept,
        {{ codings('admit_source_concept__parsed.coding') }} as admit_source_concept__codings,
        {{ codings('discharge_disposition_concept__parsed.coding') }} as discharge_disposition_concept__codings
    from tidied
),

preferred as (
    select
        coded.*,
        {{ preferred_coding(codings('type_concepts__concept.coding')) }} as type_concepts__coding,
        {{ preferred_coding(codings('reason_concepts__concept.coding')) }} as reason_concepts__coding,
        {{ preferred_coding('admit_source_concept__codings') }} as admit_source_concept__coding,
        {{ preferred_coding('discharge_disposition_concept__codings') }} as discharge_disposition_concept__coding
    from coded
)

select
    encounter_id,
    patient_id,
    type_concepts__coding.code as type_code,
    type_concepts__coding."system" as type_system,
    coalesce(type_concepts__coding.display, type_concepts__concept.text) as type_display,
    type_concepts__codings as type_codings,
    class_code,
    started_at__checked as started_at,
    ended_at__checked as ended_at,
    status,
    provider_id,
    reason_concepts__coding.code as reason_code,
    reason_concepts__coding."system" as reason_system,
    coalesce(reason_concepts__coding.display, reason_concepts__concept.text) as reason_display,
    reason_concepts__codings as reason_codings,
    part_of_id,
    location_id,
    location_display,
    admit_source_concept__coding.code as admit_source_code,
    coalesce(admit_source_concept__coding.display, admit_source_concept__parsed.text) as admit_source_display,
    discharge_disposition_concept__coding.code as discharge_disposition_code,
    coalesce(discharge_disposition_concept__coding.display, discharge_disposition_concept__parsed.text) as discharge_disposition_display,
    {{ record_counts('Encounter') }} and not has_unknown_modifier as counts,
    submission_id,
    source_file,
    source_position,
    ingested_at,
    {{ issues([
        ['patient_id', reference_issue('patient_reference', 'patient_id')],
        ['started_at', "case when started_at is not null and started_at__checked is null then 'not a date' end"],
        ['ended_at', "case when ended_at is not null and ended_at__checked is null then 'not a date' end"],
        ['provider_id', reference_issue('provider_reference', 'provider_id')],
        ['part_of_id', reference_issue('part_of_reference', 'part_of_id')],
        ['location_id', reference_issue('location_reference', 'location_id')],
        ['counts', "case when has_unknown_modifier then 'modifierExtension that is not known: the record does not count' end"]
    ]) }} as issues
from preferred
