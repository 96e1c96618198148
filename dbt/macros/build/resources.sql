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
    {%- set known = build_state().get('submissions') or winning_submissions() %}
    {%- set submissions = [] %}
    {%- for type in resource_types %}{% do submissions.append(known.get(type, [])) %}{% endfor %}
    {%- if none not in submissions %}
            and bronze.submission_id in ({{ sql_list(submissions | sum(start=[]) | unique) }})
    {%- endif %}
            and bronze.rowid in (
                select bronze_row
                from memory.scratch.winner
                where resource_type in ({{ sql_list(resource_types) }})
            )
    {%- endif %}
{%- endmacro %}


{#- Of each resource type, the submissions of its winners; none where there are too many to name. -#}
{% macro winning_submissions() %}
    {% set counted %}
        select
            resource_type,
            case when count(distinct submission_id) <= 200 then string_agg(distinct submission_id, ',') end
        from memory.scratch.winner
        group by resource_type
    {% endset %}
    {% set found = {} %}
    {% for type, submissions in run_query(counted).rows %}
        {% do found.update({type: submissions.split(',') if submissions else none}) %}
    {% endfor %}
    {{ return(found) }}
{% endmacro %}


{#- A Silver table that is exactly its staging model: the whole of such a model's file. -#}
{% macro silver_table(view) -%}
    select * from {{ ref('stg_fhir__' ~ view) }}
{%- endmacro %}
