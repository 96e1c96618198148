-- Grain: one row per Medication that the build recomputes.
-- Generated from views/medication.json by `lakehouse views compile`; do not edit.
{{ config(meta={'resource_type': 'Medication', 'key': 'medication_id'}) }}

with viewed as (
    with parsed as (
      select
        case when random() >= 0 then try(from_json(cast(src."resource" as varchar), '{"code":{"coding":[{"code":"VARCHAR","display":"VARCHAR","system":"VARCHAR"}],"text":"VARCHAR"},"form":{"coding":[{"display":"VARCHAR"}]},"id":"VARCHAR","resourceType":"VARCHAR","status":"VARCHAR"}')) end as _resource,
        cast(src."resource" as varchar) as _text,
        src."submission_id",
        src."source_file",
        src."source_position",
        src."ingested_at"
      from {{ current_resources('Medication') }} as src
    ),

    firsts as (
      select
        *,
        _resource.code.coding[1] as _first_code_coding,
        _resource.form.coding[1] as _first_form_coding
      from parsed
    )

    select
      case when _resource.id >= '[' and (_resource.id < '\' or _resource.id >= '{') and json_valid(_resource.id) and not contains(_text, to_json(_resource.id)) and not contains(cast(json(_text) as varchar), to_json(_resource.id)) then null else _resource.id end as "medication_id",
      coalesce(case when _first_code_coding.code >= '[' and (_first_code_coding.code < '\' or _first_code_coding.code >= '{') and json_valid(_first_code_coding.code) and not contains(_text, to_json(_first_code_coding.code)) and not contains(cast(json(_text) as varchar), to_json(_first_code_coding.code)) then null else _first_code_coding.code end, case when len(_resource.code.coding) > 1 then list_filter(list_transform(_resource.code.coding, lambda e_3: case when e_3.code >= '[' and (e_3.code < '\' or e_3.code >= '{') and json_valid(e_3.code) and not contains(_text, to_json(e_3.code)) and not contains(cast(json(_text) as varchar), to_json(e_3.code)) then null else e_3.code end), lambda e_4: e_4 is not null)[1] end) as "code",
      coalesce(case when _first_code_coding.system >= '[' and (_first_code_coding.system < '\' or _first_code_coding.system >= '{') and json_valid(_first_code_coding.system) and not contains(_text, to_json(_first_code_coding.system)) and not contains(cast(json(_text) as varchar), to_json(_first_code_coding.system)) then null else _first_code_coding.system end, case when len(_resource.code.coding) > 1 then list_filter(list_transform(_resource.code.coding, lambda e_7: case when e_7.system >= '[' and (e_7.system < '\' or e_7.system >= '{') and json_valid(e_7.system) and not contains(_text, to_json(e_7.system)) and not contains(cast(json(_text) as varchar), to_json(e_7.system)) then null else e_7.system end), lambda e_8: e_8 is not null)[1] end) as "code_system",
      coalesce(case when _first_code_coding.display >= '[' and (_first_code_coding.display < '\' or _first_code_coding.display >= '{') and json_valid(_first_code_coding.display) and not contains(_text, to_json(_first_code_coding.display)) and not contains(cast(json(_text) as varchar), to_json(_first_code_coding.display)) then null else _first_code_coding.display end, case when len(_resource.code.coding) > 1 then list_filter(list_transform(_resource.code.coding, lambda e_11: case when e_11.display >= '[' and (e_11.display < '\' or e_11.display >= '{') and json_valid(e_11.display) and not contains(_text, to_json(e_11.display)) and not contains(cast(json(_text) as varchar), to_json(e_11.display)) then null else e_11.display end), lambda e_12: e_12 is not null)[1] end) as "display",
      case when _resource.code.text >= '[' and (_resource.code.text < '\' or _resource.code.text >= '{') and json_valid(_resource.code.text) and not contains(_text, to_json(_resource.code.text)) and not contains(cast(json(_text) as varchar), to_json(_resource.code.text)) then null else _resource.code.text end as "text",
      case when _resource.status >= '[' and (_resource.status < '\' or _resource.status >= '{') and json_valid(_resource.status) and not contains(_text, to_json(_resource.status)) and not contains(cast(json(_text) as varchar), to_json(_resource.status)) then null else _resource.status end as "status",
      coalesce(case when _first_form_coding.display >= '[' and (_first_form_coding.display < '\' or _first_form_coding.display >= '{') and json_valid(_first_form_coding.display) and not contains(_text, to_json(_first_form_coding.display)) and not contains(cast(json(_text) as varchar), to_json(_first_form_coding.display)) then null else _first_form_coding.display end, case when len(_resource.form.coding) > 1 then list_filter(list_transform(_resource.form.coding, lambda e_15: case when e_15.display >= '[' and (e_15.display < '\' or e_15.display >= '{') and json_valid(e_15.display) and not contains(_text, to_json(e_15.display)) and not contains(cast(json(_text) as varchar), to_json(e_15.display)) then null else e_15.display end), lambda e_16: e_16 is not null)[1] end) as "form",
      "submission_id",
      "source_file",
      "source_position",
      "ingested_at"
    from firsts
),

tidied as (
    select
        viewed.*
    from viewed
)

select
    medication_id,
    code,
    code_system,
    display,
    text,
    status,
    form,
    {{ record_counts('Medication') }} as counts,
    submission_id,
    source_file,
    source_position,
    ingested_at,
    null::struct(column_name varchar, reason varchar)[] as issues
from tidied
