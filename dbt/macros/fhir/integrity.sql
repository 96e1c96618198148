{#-
    Counts references and those without their target, for `[table, column, target types]` each.
    A reference that could not even be read as an id (see silver.data_issue) counts as dangling; one
    to a contained resource is resolved.
-#}
{% macro count_references(references) -%}
    {#- The Medication of a request is no column of it: what it refers to is in resource_link. -#}
    {%- do references.append(['medication_request', 'medication_reference', 'Medication']) -%}
    {%- set targets = references | map(attribute=2) | unique | list -%}
    with existing as (
        select distinct resource_type, resource_id from {{ ref('resource_identifier') }}
        union all
        select 'Claim', claim_id from {{ ref('claim') }}
    ),

    target as (
        {%- for types in targets %}
        select distinct {{ loop.index }} as target, resource_id as target_id
        from existing
        where resource_type in ({{ sql_list(types.split('|')) }})
        {{ 'union all' if not loop.last }}
        {%- endfor %}
    ),

    reference as (
        {%- for table, column, types in references %}
        {%- if column == 'medication_reference' %}
        select {{ loop.index }} as place, {{ targets.index(types) + 1 }} as target, target_id as resource_id
        from {{ ref('resource_link') }}
        where target_type = 'Medication'
        {%- else %}
        select {{ loop.index }} as place, {{ targets.index(types) + 1 }} as target, {{ column }} as resource_id
        from {{ ref(table) }}
        where {{ column }} is not null
        {%- endif %}
        {{ 'union all' if not loop.last }}
        {%- endfor %}
    ),

    place as (
        select *
        from (
            values
            {%- for table, column, types in references %}
            ({{ loop.index }}, '{{ table }}', '{{ column }}', '{{ types }}'){{ ',' if not loop.last }}
            {%- endfor %}
        ) as places (place, source_table, column_name, target_type)
    ),

    found as (
        select
            reference.place,
            count(*) as id_count,
            count(*) filter (
                target.target_id is not null or contains(reference.resource_id, '#')
            ) as found_count
        from reference
        left join target
            on reference.target = target.target and reference.resource_id = target.target_id
        group by reference.place
    ),

    counted as (
        select
            place.source_table,
            place.column_name,
            place.target_type,
            coalesce(found.id_count, 0) as id_count,
            coalesce(found.found_count, 0) as found_count
        from place
        left join found on place.place = found.place
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
