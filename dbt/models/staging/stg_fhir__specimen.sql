-- Grain: one row per Specimen that the build recomputes.
-- Generated from views/specimen.json by `lakehouse generate`; do not edit.
{{ config(meta={'resource_type': 'Specimen', 'key': 'specimen_id'}) }}

with viewed as (
    with parsed as (
      select
        case when random() >= 0 then try(from_json(cast(src."resource" as varchar), '{"collection":{"bodySite":"JSON","collectedDateTime":"VARCHAR","collectedPeriod":{"end":"VARCHAR","start":"VARCHAR"},"method":"JSON","quantity":{"code":"VARCHAR","unit":"VARCHAR","value":"JSON"}},"id":"VARCHAR","parent":[{"reference":"VARCHAR"}],"receivedTime":"VARCHAR","resourceType":"VARCHAR","status":"VARCHAR","subject":{"reference":"VARCHAR"},"type":"JSON"}')) end as _resource,
        cast(src."resource" as varchar) as _text,
        src."submission_id",
        src."source_file",
        src."source_position",
        src."ingested_at",
        src."contained_keys",
        src."has_unknown_modifier"
      from {{ current_resources('Specimen') }} as src
    ),

    firsts as (
      select
        *,
        _resource.parent[1] as _first_parent
      from parsed
    )

    select
      case when _resource.id >= '[' and (_resource.id < '\' or _resource.id >= '{') and json_valid(_resource.id) and not contains(_text, to_json(_resource.id)) and not contains(cast(json(_text) as varchar), to_json(_resource.id)) then null else _resource.id end as "specimen_id",
      case when _resource.subject.reference >= '[' and (_resource.subject.reference < '\' or _resource.subject.reference >= '{') and json_valid(_resource.subject.reference) and not contains(_text, to_json(_resource.subject.reference)) and not contains(cast(json(_text) as varchar), to_json(_resource.subject.reference)) then null else _resource.subject.reference end as "patient_reference",
      try_cast(_resource.type as json) as "type_concept",
      case when _resource.status >= '[' and (_resource.status < '\' or _resource.status >= '{') and json_valid(_resource.status) and not contains(_text, to_json(_resource.status)) and not contains(cast(json(_text) as varchar), to_json(_resource.status)) then null else _resource.status end as "status",
      case when _resource.collection.collectedDateTime >= '[' and (_resource.collection.collectedDateTime < '\' or _resource.collection.collectedDateTime >= '{') and json_valid(_resource.collection.collectedDateTime) and not contains(_text, to_json(_resource.collection.collectedDateTime)) and not contains(cast(json(_text) as varchar), to_json(_resource.collection.collectedDateTime)) then null else _resource.collection.collectedDateTime end as "collected_at",
      case when _resource.collection.collectedPeriod.start >= '[' and (_resource.collection.collectedPeriod.start < '\' or _resource.collection.collectedPeriod.start >= '{') and json_valid(_resource.collection.collectedPeriod.start) and not contains(_text, to_json(_resource.collection.collectedPeriod.start)) and not contains(cast(json(_text) as varchar), to_json(_resource.collection.collectedPeriod.start)) then null else _resource.collection.collectedPeriod.start end as "collection_started_at",
      case when _resource.collection.collectedPeriod.end >= '[' and (_resource.collection.collectedPeriod.end < '\' or _resource.collection.collectedPeriod.end >= '{') and json_valid(_resource.collection.collectedPeriod.end) and not contains(_text, to_json(_resource.collection.collectedPeriod.end)) and not contains(cast(json(_text) as varchar), to_json(_resource.collection.collectedPeriod.end)) then null else _resource.collection.collectedPeriod.end end as "collection_ended_at",
      case when _resource.receivedTime >= '[' and (_resource.receivedTime < '\' or _resource.receivedTime >= '{') and json_valid(_resource.receivedTime) and not contains(_text, to_json(_resource.receivedTime)) and not contains(cast(json(_text) as varchar), to_json(_resource.receivedTime)) then null else _resource.receivedTime end as "received_at",
      nullif(nullif(try_cast(cast(_resource.collection.quantity.value as varchar) as double), 'infinity'), '-infinity') as "quantity",
      case when _resource.collection.quantity.unit >= '[' and (_resource.collection.quantity.unit < '\' or _resource.collection.quantity.unit >= '{') and json_valid(_resource.collection.quantity.unit) and not contains(_text, to_json(_resource.collection.quantity.unit)) and not contains(cast(json(_text) as varchar), to_json(_resource.collection.quantity.unit)) then null else _resource.collection.quantity.unit end as "quantity_unit",
      case when _resource.collection.quantity.code >= '[' and (_resource.collection.quantity.code < '\' or _resource.collection.quantity.code >= '{') and json_valid(_resource.collection.quantity.code) and not contains(_text, to_json(_resource.collection.quantity.code)) and not contains(cast(json(_text) as varchar), to_json(_resource.collection.quantity.code)) then null else _resource.collection.quantity.code end as "quantity_unit_code",
      try_cast(_resource.collection.bodySite as json) as "body_site_concept",
      try_cast(_resource.collection.method as json) as "method_concept",
      coalesce(case when _first_parent.reference >= '[' and (_first_parent.reference < '\' or _first_parent.reference >= '{') and json_valid(_first_parent.reference) and not contains(_text, to_json(_first_parent.reference)) and not contains(cast(json(_text) as varchar), to_json(_first_parent.reference)) then null else _first_parent.reference end, case when len(_resource.parent) > 1 then list_filter(list_transform(_resource.parent, lambda e_3: case when e_3.reference >= '[' and (e_3.reference < '\' or e_3.reference >= '{') and json_valid(e_3.reference) and not contains(_text, to_json(e_3.reference)) and not contains(cast(json(_text) as varchar), to_json(e_3.reference)) then null else e_3.reference end), lambda e_4: e_4 is not null)[1] end) as "parent_reference",
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
        {{ parsed_concept('viewed.body_site_concept') }} as body_site_concept__parsed,
        {{ parsed_concept('viewed.method_concept') }} as method_concept__parsed,
        {{ reference_id('viewed.patient_reference', 'Patient', 'patient_reference_target', 'viewed.specimen_id', 'viewed.contained_keys') }} as patient_id,
        {{ fhir_date('viewed.collected_at') }} as collected_at__checked,
        {{ fhir_date('viewed.collection_started_at') }} as collection_started_at__checked,
        {{ fhir_date('viewed.collection_ended_at') }} as collection_ended_at__checked,
        {{ fhir_date('viewed.received_at') }} as received_at__checked,
        {{ reference_id('viewed.parent_reference', 'Specimen', 'parent_reference_target', 'viewed.specimen_id', 'viewed.contained_keys') }} as parent_id
    from viewed
    left join memory.scratch.conditional_reference as patient_reference_target
        on {{ conditional_text('viewed.patient_reference') }} = patient_reference_target.reference_text
    left join memory.scratch.conditional_reference as parent_reference_target
        on {{ conditional_text('viewed.parent_reference') }} = parent_reference_target.reference_text
),

coded as (
    select
        tidied.*,
        {{ codings('type_concept__parsed.coding') }} as type_concept__codings,
        {{ codings('body_site_concept__parsed.coding') }} as body_site_concept__codings,
        {{ codings('method_concept__parsed.coding') }} as method_concept__codings
    from tidied
),

preferred as (
    select
        coded.*,
        {{ preferred_coding('type_concept__codings') }} as type_concept__coding,
        {{ preferred_coding('body_site_concept__codings') }} as body_site_concept__coding,
        {{ preferred_coding('method_concept__codings') }} as method_concept__coding
    from coded
)

select
    specimen_id,
    patient_id,
    type_concept__coding.code as code,
    type_concept__coding."system" as code_system,
    coalesce(type_concept__coding.display, type_concept__parsed.text) as display,
    type_concept__codings as codings,
    status,
    collected_at__checked as collected_at,
    collection_started_at__checked as collection_started_at,
    collection_ended_at__checked as collection_ended_at,
    received_at__checked as received_at,
    quantity,
    quantity_unit,
    quantity_unit_code,
    body_site_concept__coding.code as body_site_code,
    coalesce(body_site_concept__coding.display, body_site_concept__parsed.text) as body_site_display,
    method_concept__coding.code as method_code,
    coalesce(method_concept__coding.display, method_concept__parsed.text) as method_display,
    parent_id,
    {{ record_counts('Specimen') }} and not has_unknown_modifier as counts,
    submission_id,
    source_file,
    source_position,
    ingested_at,
    {{ issues([
        ['patient_id', reference_issue('patient_reference', 'patient_id')],
        ['collected_at', "case when collected_at is not null and collected_at__checked is null then 'not a date' end"],
        ['collection_started_at', "case when collection_started_at is not null and collection_started_at__checked is null then 'not a date' end"],
        ['collection_ended_at', "case when collection_ended_at is not null and collection_ended_at__checked is null then 'not a date' end"],
        ['received_at', "case when received_at is not null and received_at__checked is null then 'not a date' end"],
        ['parent_id', reference_issue('parent_reference', 'parent_id')],
        ['counts', "case when has_unknown_modifier then 'modifierExtension that is not known: the record does not count' end"]
    ]) }} as issues
from preferred
