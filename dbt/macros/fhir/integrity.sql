{#-
    Counts references and those without their target, for `[table, column, target types]` each.
    A reference that could not even be read as an id (see silver.data_issue) counts as dangling; one
    to a contained resource is resolved.
-#}
{% macro count_references(references) -%}
    {%- set tables = references | map('first') | unique | list -%}
    with existing as (
        select distinct resource_type, resource_id from {{ ref('resource_identifier') }}
        union all
        select 'Claim', claim_id from {{ ref('claim') }}
    ),

    reference as (
        {%- for table in tables %}
        select unnest(
            [
                {%- for _, column, types in references if _ == table %}
                {
                    'source_table': '{{ table }}',
                    'column_name': '{{ column }}',
                    'target_type': '{{ types }}',
                    'resource_id': {{ column }}
                }{{ ',' if not loop.last }}
                {%- endfor %}
            ],
            recursive := true
        )
        from {{ ref(table) }}
        {{ 'union all' if not loop.last }}
        {%- endfor %}
    ),

    asked as (
        select source_table, column_name, target_type, resource_id, count(*) as reference_count
        from reference
        group by source_table, column_name, target_type, resource_id
    ),

    counted as (
        select
            asked.source_table,
            asked.column_name,
            asked.target_type,
            coalesce(sum(asked.reference_count) filter (asked.resource_id is not null), 0) as id_count,
            coalesce(
                sum(asked.reference_count) filter (
                    existing.resource_id is not null or contains(asked.resource_id, '#')
                ),
                0
            ) as found_count
        from asked
        left join existing
            on
                asked.resource_id = existing.resource_id
                and list_contains(string_split(asked.target_type, '|'), existing.resource_type)
        group by asked.source_table, asked.column_name, asked.target_type
    ),

    unread as (
        select table_name, column_name, count(*) as unread_count
        from {{ ref('data_issue') }}
        where reason like '%reference%'
        group by table_name, column_name
    )

    select
        counted.source_table,
        counted.column_name,
        counted.target_type,
        (counted.id_count + coalesce(unread.unread_count, 0))::bigint as reference_count,
        counted.found_count::bigint as resolved_count,
        (counted.id_count - counted.found_count + coalesce(unread.unread_count, 0))::bigint as dangling_count
    from counted
    left join unread
        on counted.source_table = unread.table_name and counted.column_name = unread.column_name
{%- endmacro %}
