{#- The winning Bronze rows of one resource type: what a staging model extracts from. -#}
{% macro current_resources(resource_type, texts=none) -%}
    (
        select
            bronze.resource,
            bronze.submission_id,
            bronze.source_file,
            bronze.source_position,
            bronze.ingested_at
        from {{ source('bronze', 'fhir_resource') }} as bronze
        where {{ is_winner([resource_type]) }}
            {%- if texts %}
            and (
                {%- for text in texts %}
                {{ 'or ' if not loop.first }}contains(bronze.resource, '"{{ text }}"')
                {%- endfor %}
            )
            {%- endif %}
    )
{%- endmacro %}


{#-
    The condition that a Bronze row (alias `bronze`) is a winner of one of these types. Where they
    come from few submissions it names them: files of other submissions are then not opened.
-#}
{% macro is_winner(resource_types) -%}
    bronze.resource_type in ({{ sql_list(resource_types) }})
    {%- if execute and flags.WHICH in ('run', 'build') %}
    {%- set submissions = run_query("select distinct submission_id from memory.scratch.winner where resource_type in (" ~ sql_list(resource_types) ~ ") order by 1 limit 201").columns[0].values() %}
    {%- if submissions | length <= 200 %}
            and bronze.submission_id in ({{ sql_list(submissions) }})
    {%- endif %}
            and bronze.rowid in (
                select bronze_row
                from memory.scratch.winner
                where resource_type in ({{ sql_list(resource_types) }})
            )
    {%- endif %}
{%- endmacro %}


{#- A Silver table that is exactly its staging model: the whole of such a model's file. -#}
{% macro silver_table(view) -%}
    select * from {{ ref('stg_fhir__' ~ view) }}
{%- endmacro %}
