{#- What the source of a Bronze table declares of it (ingestion/tables.py): `models/sources.yml`. -#}
{% macro declared(table) %}
    {{ return(graph.sources['source.lakehouse.bronze.' ~ table].config.meta) }}
{% endmacro %}
{% macro record_key(table) %}
    {{ return(declared(table).key) }}
{% endmacro %}
{% macro bronze_relation(table) -%}
    lake.bronze.{{ table }}
{%- endmacro %}


{#-
    The rows of a Bronze table that a Silver model reads: of each record whose key the build recomputes,
    the version that counts.
-#}
{% macro current_rows(table) -%}
    {%- if execute and model.config.materialized != 'touched_keys' -%}
        {{ exceptions.raise_compiler_error('current_rows is for Silver tables: only those have keys that a build recomputes.') }}
    {%- endif -%}
    (
        select bronze.*
        from {{ source('bronze', table) }} as bronze
        {%- if is_building() %}
        {%- set latest = 'memory.scratch.' ~ model.name ~ '__' ~ table %}
        {#- Where they come from few submissions these are named: files of others are then not opened. #}
        {%- set few = run_query('select string_agg(distinct submission_id, chr(10)) from ' ~ latest ~ ' having count(distinct submission_id) <= 200').rows %}
        where
            bronze.rowid in (select bronze_row from {{ latest }})
            {%- if few %}
            and bronze.submission_id in ({{ sql_list((few[0][0] or '').split('\n')) }})
            {%- endif %}
        {%- endif %}
    )
{%- endmacro %}


{#-
    The live row that counts of each record whose key a Silver table recomputes: the greatest by the
    columns of the declared order, then the latest arrival; a record whose version says that it is deleted
    has none. Most records have one row: only the others are ranked.
-#}
{% macro latest_versions(table, node) -%}
    {%- set key = record_key(table) | join(', ') -%}
    {%- set order = declared(table).order or [] -%}
    {%- set is_deleted = 'coalesce(' ~ declared(table).deleted ~ ', false)' if declared(table).deleted else 'false' -%}
    with live_row as (
        select
            {% for column in record_key(table) + order if column not in ['submission_id', 'source_file', 'source_position'] -%}
            {{ column }},
            {% endfor -%}
            {{ is_deleted }} as is_deleted,
            submission_id,
            source_file,
            source_position,
            rowid as bronze_row
        from {{ bronze_relation(table) }}
        where
            submission_id in (select submission_id from memory.scratch.live_submission)
            {%- if not is_anew(node.name) %}
            and ({{ key_from(node, table) | join(', ') }}) in (
                select ({{ key_of(node) | join(', ') }}) from memory.scratch.{{ node.name }}__touched
            )
            {%- endif %}
    ),

    per_record as (
        select
            {{ key }},
            count(*) as row_count,
            any_value(live_row.submission_id) as any_submission,
            any_value(bronze_row) as any_row,
            bool_or(is_deleted) as is_deleted
        from live_row
        group by {{ key }}
    ),

    ranked as (
        select
            *,
            row_number() over (
                partition by {{ key }}
                order by
                    {% for column in order -%}
                    {{ column }} desc nulls last,
                    {% endfor -%}
                    submission_id desc, source_file desc, source_position desc, bronze_row desc
            ) as place
        from live_row
        where ({{ key }}) in (select ({{ key }}) from per_record where row_count > 1)
    )

    select any_submission as submission_id, any_row as bronze_row
    from per_record
    where row_count = 1 and not is_deleted
    union all
    select submission_id, bronze_row
    from ranked
    where place = 1 and not is_deleted
{%- endmacro %}
