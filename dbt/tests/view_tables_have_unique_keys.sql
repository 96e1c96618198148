-- Keys of the tables that are exactly their view (and of the support tables) that are null or not unique.
with key as (
    {%- for table, column in view_tables() %}
    select '{{ table }}' as table_name, {{ column }} as row_key from {{ ref(table) }}
    union all
    {%- endfor %}
    select 'resource_link', resource_type || '/' || resource_id || ' ' || target_type || '/' || target_id
    from {{ ref('resource_link') }}
    union all
    select 'resource_identifier', resource_type || '/' || resource_id || ' ' || coalesce(identifier_key, '')
    from {{ ref('resource_identifier') }}
    union all
    select 'data_issue', table_name || ' ' || resource_type || '/' || resource_id || ' ' || column_name || ' ' || reason
    from {{ ref('data_issue') }}
)

select table_name, row_key, count(*) as row_count
from key
group by table_name, row_key
having count(*) > 1 or row_key is null
