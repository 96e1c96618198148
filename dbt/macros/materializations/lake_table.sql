{#- A table made anew in one transaction: readers see the old or the new one, never a gap. -#}
{% materialization lake_table, adapter = 'duckdb' %}
    {%- set target_relation = this.incorporate(type='table') -%}
    {% call statement('main') %}
        {{ replace_content(target_relation, model, compiled_code) }}
    {% endcall %}
    {% do adapter.commit() %}
    {{ return({'relations': [target_relation]}) }}
{% endmaterialization %}


{#-
    New content for a table. A table that the same models built has the same columns and is emptied
    and filled: a new table would be a change of schema, after which DuckLake reads its whole catalog
    again, in every transaction.
-#}
{% macro replace_content(relation, node, content) -%}
    {%- if build_state().built_by.get(node.schema ~ '.' ~ node.name) == fingerprint_of(node) %}
    truncate {{ relation }};
    insert into {{ relation }}
    {{ content }};
    {%- else %}
    create or replace table {{ relation }} as
    {{ content }};
    comment on table {{ relation }} is '{{ fingerprint_of(node) }}';
    {%- endif %}
{%- endmacro %}
