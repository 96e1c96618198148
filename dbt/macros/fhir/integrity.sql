{#-
    Counts references and those without their target, for `[table, column, target types]` each.
    A reference that could not even be read as an id (see silver.data_issue) counts as dangling; one
    to a contained resource is resolved.
-#}
{% macro count_references(references) -%}
    {%- set keys = {'Patient': 'patient', 'Encounter': 'encounter', 'Claim': 'claim'} -%}
    with identified as (
        select distinct resource_type, resource_id from {{ ref('resource_identifier') }}
    ),

    unread as (
        select table_name, column_name, count(*) as unread_count
        from {{ ref('data_issue') }}
        where reason like '%reference%'
        group by table_name, column_name
    ),

    counted as (
        {%- for table, column, types in references %}
        select
            '{{ table }}' as source_table,
            '{{ column }}' as column_name,
            '{{ types }}' as target_type,
            count(*) as id_count,
            count(*) filter (target.resource_id is not null or contains(referring.{{ column }}, '#')) as found_count
        from {{ ref(table) }} as referring
        left join (
            {%- if types in keys %}
            select {{ keys[types] }}_id as resource_id from {{ ref(keys[types]) }}
            {%- else %}
            select distinct resource_id from identified where resource_type in ({{ sql_list(types.split('|')) }})
            {%- endif %}
        ) as target
            on referring.{{ column }} = target.resource_id
        where referring.{{ column }} is not null
        {{ 'union all' if not loop.last }}
        {%- endfor %}
    )

    select
        counted.source_table,
        counted.column_name,
        counted.target_type,
        counted.id_count + coalesce(unread.unread_count, 0) as reference_count,
        counted.found_count as resolved_count,
        counted.id_count - counted.found_count + coalesce(unread.unread_count, 0) as dangling_count
    from counted
    left join unread
        on counted.source_table = unread.table_name and counted.column_name = unread.column_name
{%- endmacro %}
