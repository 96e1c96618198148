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
        where
            bronze.resource_type = '{{ resource_type }}'
            {%- if execute %}
            and bronze.rowid in (
                select bronze_row from memory.scratch.winner where resource_type = '{{ resource_type }}'
            )
            {%- endif %}
            {%- if texts %}
            and (
                {%- for text in texts %}
                {{ 'or ' if not loop.first }}contains(bronze.resource, '"{{ text }}"')
                {%- endfor %}
            )
            {%- endif %}
    )
{%- endmacro %}


{#- A Silver table that is exactly its staging model: the whole of such a model's file. -#}
{% macro silver_table(view) -%}
    select * from {{ ref('stg_fhir__' ~ view) }}
{%- endmacro %}
