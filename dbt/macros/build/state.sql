{#-
    The state of the running build, kept in dbt's `graph`, which all its nodes share:

    built_by         of each table there is (`schema.table`), the fingerprint of the models that built it
    rebuilds_all     whether all of Silver is made anew
    anew             the Silver tables that are made anew: missing, or built by other models
    anew_types       resource types of which such tables need every resource
    finds_by_condition  whether a condition names another resource than the one with the id made from it
    renamed_rows     the table of rows in which ids are replaced, once it is made
    submissions      of each resource type, the submissions of its winners; none where they are too many
                     to name
-#}
{% macro build_state() -%}
    {{ return(graph.build_state) }}
{%- endmacro %}


{#- Whether dbt builds: it also compiles, to write its documentation. -#}
{% macro is_building() -%}
    {{ return(execute and flags.WHICH in ('run', 'build')) }}
{%- endmacro %}


{#-
    Of each table that dbt makes (`schema.table`), what stands for everything that decides its rows: its
    SQL, the macros that it uses, the models that it reads, what its Bronze tables declare. Parents come
    first. Given by transformation.dbt_runner.
-#}
{% macro fingerprints() -%}
    {{ return(fromjson(env_var('LAKEHOUSE_MODELS', '{}'))) }}
{%- endmacro %}
{% macro fingerprint_of(node) -%}
    {{ return(fingerprints().get(node.schema ~ '.' ~ node.name, 'unknown')) }}
{%- endmacro %}


{#- The models of Silver that are built from touched keys, each after those that it reads. -#}
{% macro silver_models() %}
    {% set by_table = {} %}
    {% for node in graph.nodes.values() if node.resource_type == 'model' and node.config.materialized == 'touched_keys' %}
        {% do by_table.update({node.schema ~ '.' ~ node.name: node}) %}
    {% endfor %}
    {% set ordered = [] %}
    {% for table in fingerprints() if table in by_table %}{% do ordered.append(by_table.pop(table)) %}{% endfor %}
    {{ return(ordered + by_table.values() | list) }}
{% endmacro %}


{#- Whether a Silver table is among the selected models. -#}
{% macro builds_silver() %}
    {% for unique_id in selected_resources if unique_id in graph.nodes and graph.nodes[unique_id].config.materialized == 'touched_keys' %}
        {{ return(true) }}
    {% endfor %}
    {{ return(false) }}
{% endmacro %}


{#- Whether a Silver table is made anew, with all its keys. -#}
{% macro is_anew(table) %}
    {{ return(build_state().rebuilds_all or table in build_state().anew) }}
{% endmacro %}


{#- Whether rows of a Silver table that this build does not touch stay in it. -#}
{% macro keeps_rows(table) %}
    {{ return(is_building() and not is_anew(table)) }}
{% endmacro %}


{#-
    The lake's tables and the fingerprint of the models that built them (their comment), read from
    DuckLake's own tables: information_schema would load the catalog of every attached database.
-#}
{% macro lake_tables() -%}
    select schemas.schema_name || '.' || tables.table_name as name, tags.value as built_by
    from __ducklake_metadata_lake.ducklake_table as tables
    inner join __ducklake_metadata_lake.ducklake_schema as schemas on tables.schema_id = schemas.schema_id
    left join __ducklake_metadata_lake.ducklake_tag as tags
        on tables.table_id = tags.object_id and tags.key = 'comment' and tags.end_snapshot is null
    where
        tables.end_snapshot is null
        and schemas.end_snapshot is null
        and schemas.schema_name in ('silver', 'gold', 'marts')
{%- endmacro %}


{#- dbt asks which schemas there are before each run; lakehouse.lake made them. -#}
{% macro duckdb__list_schemas(database) -%}
    {{ return(run_query('select schema_name from __ducklake_metadata_lake.ducklake_schema where end_snapshot is null')) }}
{%- endmacro %}


{#- A list of literals; never empty, so that `in (…)` stays valid. -#}
{% macro sql_list(values) -%}
    {%- for value in values %}'{{ value }}'{{ ', ' if not loop.last }}{% else %}null{% endfor -%}
{%- endmacro %}
