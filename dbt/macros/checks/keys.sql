{#- Keys, of tables given as [table, key expression], that are null or not the only one of their value. -#}
{% macro broken_keys(keyed_tables) -%}
    {% for table, key in keyed_tables %}
    select '{{ table }}' as table_name, keyed.row_key::varchar as row_key, count(*) as row_count
    from (select {{ key }} as row_key from {{ ref(table) }}) as keyed
    group by keyed.row_key
    having count(*) > 1 or keyed.row_key is null
    {{ 'union all' if not loop.last }}
    {% endfor %}
{%- endmacro %}
