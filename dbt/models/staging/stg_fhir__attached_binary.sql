-- Grain: one row per Binary that the build recomputes.
-- Generated from views/attached_binary.json by `lakehouse generate`; do not edit.
{{ config(meta={'resource_type': 'Binary', 'key': 'resource_id'}) }}

with viewed as (
    with parsed as (
      select
        case when random() >= 0 then try(from_json(cast(src."resource" as varchar), '{"contentType":"VARCHAR","data":"VARCHAR","id":"VARCHAR","resourceType":"VARCHAR"}')) end as _resource,
        cast(src."resource" as varchar) as _text,
        src."submission_id",
        src."source_file",
        src."source_position",
        src."ingested_at",
        src."has_unknown_modifier"
      from {{ current_resources('Binary') }} as src
    ),

    matching as (
      select *
      from parsed
      where coalesce((case when _resource.data >= '[' and (_resource.data < '\' or _resource.data >= '{') and json_valid(_resource.data) and not contains(_text, to_json(_resource.data)) and not contains(cast(json(_text) as varchar), to_json(_resource.data)) then null else _resource.data end is not null), false)
    )

    select
      case when _resource.id >= '[' and (_resource.id < '\' or _resource.id >= '{') and json_valid(_resource.id) and not contains(_text, to_json(_resource.id)) and not contains(cast(json(_text) as varchar), to_json(_resource.id)) then null else _resource.id end as "resource_id",
      case when _resource.contentType >= '[' and (_resource.contentType < '\' or _resource.contentType >= '{') and json_valid(_resource.contentType) and not contains(_text, to_json(_resource.contentType)) and not contains(cast(json(_text) as varchar), to_json(_resource.contentType)) then null else _resource.contentType end as "content_type",
      case when _resource.data >= '[' and (_resource.data < '\' or _resource.data >= '{') and json_valid(_resource.data) and not contains(_text, to_json(_resource.data)) and not contains(cast(json(_text) as varchar), to_json(_resource.data)) then null else _resource.data end as "data",
      "submission_id",
      "source_file",
      "source_position",
      "ingested_at",
      "has_unknown_modifier"
    from matching
),

tidied as (
    select
        viewed.*
    from viewed
)

select
    resource_id,
    content_type,
    data,
    {{ record_counts('Binary') }} and not has_unknown_modifier as counts,
    submission_id,
    source_file,
    source_position,
    ingested_at,
    {{ issues([
        ['counts', "case when has_unknown_modifier then 'modifierExtension that is not known: the record does not count' end"]
    ]) }} as issues
from tidied
