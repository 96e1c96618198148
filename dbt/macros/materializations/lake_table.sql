{#- A table made anew in one transaction: readers see the old or the new one, never a gap. -#}
{% materialization lake_table, adapter = 'duckdb' %}
    {%- set target_relation = this.incorporate(type='table') -%}
    {% call statement('main') %}
        create or replace table {{ target_relation }} as {{ compiled_code }}
    {% endcall %}
    {% do adapter.commit() %}
    {{ return({'relations': [target_relation]}) }}
{% endmaterialization %}
