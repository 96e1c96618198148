{#-
    Counts references and those without their target, by submission, for `[table, column, target types]`
    each; a column without any has one row, of no submission.
    A reference that could not even be read as an id (see silver.data_issue) counts as dangling; one
    to a contained resource that is there is resolved, and has the owner's id before `#`.
-#}
{% macro count_references(references) -%}
    {%- set targets = references | map(attribute=2) | unique | list -%}
    with existing as (
        select distinct resource_type, resource_id from {{ ref('resource_identifier') }}
        union all
        select 'Claim', claim_id from {{ ref('claim') }}
        union all
        select 'MedicationRequest', medication_request_id from {{ ref('medication_request') }}
        union all
        select 'Specimen', specimen_id from {{ ref('specimen') }}
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
        select {{ loop.index }} as place, {{ targets.index(types) + 1 }} as target, {{ column }} as resource_id, submission_id
        from {{ ref(table) if not column.endswith('_ids') else '(select unnest(' ~ column ~ ') as ' ~ column ~ ', submission_id from ' ~ ref(table) ~ ')' }}
        where {{ column }} is not null
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
            reference.submission_id,
            count(*) as id_count,
            count(*) filter (
                target.target_id is not null or contains(reference.resource_id, '#')
            ) as found_count
        from reference
        left join target
            on reference.target = target.target and reference.resource_id = target.target_id
        group by reference.place, reference.submission_id
        union all
        select place.place, issue.submission_id, count(*), 0
        from {{ ref('data_issue') }} as issue
        inner join place
            on issue.table_name = place.source_table and issue.column_name = place.column_name
        where issue.reason like '%reference%'
        group by place.place, issue.submission_id
    )

    select
        place.source_table,
        place.column_name,
        place.target_type,
        found.submission_id,
        coalesce(sum(found.id_count), 0)::bigint as reference_count,
        coalesce(sum(found.found_count), 0)::bigint as resolved_count,
        coalesce(sum(found.id_count - found.found_count), 0)::bigint as dangling_count
    from place
    left join found on place.place = found.place
    group by all
{%- endmacro %}
