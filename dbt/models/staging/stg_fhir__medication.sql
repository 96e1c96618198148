-- Grain: one row per Medication that the build recomputes.
-- Generated from views/medication.json by `lakehouse generate`; do not edit.
{{ config(meta={'resource_type': 'Medication', 'key': 'medication_id'}) }}

with viewed as (
    with parsed as (
      select
        case when random() >= 0 then try(from_json(cast(src."resource" as varchar), '{"code":"JSON","form":"JSON","id":"VARCHAR","resourceType":"VARCHAR","status":"VARCHAR"}')) end as _resource,
        cast(src."resource" as varchar) as _text,
        src."submission_id",
        src."source_file",
        src."source_position",
        src."ingested_at",
        src."has_unknown_modifier"
      from {{ current_resources('Medication') }} as src
    )

    select
      case when _resource.id >= '[' and (_resource.id < '\' or _resource.id >= '{') and json_valid(_resource.id) and not contains(_text, to_json(_resource.id)) and not contains(cast(json(_text) as varchar), to_json(_resource.id)) then null else _resource.id end as "medication_id",
      try_cast(_resource.code as json) as "code_concept",
      case when _resource.status >= '[' and (_resource.status < '\' or _resource.status >= '{') and json_valid(_resource.status) and not contains(_text, to_json(_resource.status)) and not contains(cast(json(_text) as varchar), to_json(_resource.status)) then null else _resource.status end as "status",
      try_cast(_resource.form as json) as "form_concept",
      "submission_id",
      "source_file",
      "source_position",
      "ingested_at",
      "has_unknown_modifier"
    from parsed
),

tidied as (
    select
        viewed.*,
        {{ parsed_concept('viewed.code_concept') }} as code_concept__parsed,
        {{ parsed_concept('viewed.form_concept') }} as form_concept__parsed
    from viewed
),

coded as (
    select
        tidied.*,
        {{ codings('code_concept__parsed.coding') }} as code_concept__codings,
        {{ codings('form_concept__parsed.coding') }} as form_concept__codings
    from tidied
),

preferred as (
    select
        coded.*,
        {{ preferred_coding('code_concept__codings') }} as code_concept__coding,
        {{ preferred_coding('form_concept__codings') }} as form_concept__coding
    from coded
)

select
    medication_id,
    code_concept__coding.code as code,
    code_concept__coding."system" as code_system,
    coalesce(code_concept__coding.display, code_concept__parsed.text) as display,
    code_concept__codings as codings,
    status,
    coalesce(form_concept__coding.display, form_concept__parsed.text) as form,
    {{ record_counts('Medication') }} and not has_unknown_modifier as counts,
    submission_id,
    source_file,
    source_position,
    ingested_at,
    {{ issues([
        ['counts', "case when has_unknown_modifier then 'modifierExtension that is not known: the record does not count' end"]
    ]) }} as issues
from preferred
