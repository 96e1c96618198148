{#-
    Whether a record counts: none of the modifier elements of its resource type has a value with which
    it tells of something that is not so (dbt/what_counts.yml). `columns` names expressions that are not
    columns of these names.
-#}
{% macro record_counts(resource_type, columns={}) -%}
    {%- for column, values in uncounted().get(resource_type, {}).items() %}
    {{- ' and ' if not loop.first -}}
    coalesce(({{ columns.get(column, column) }})::varchar, '') not in ({{ sql_list(values) }})
    {%- else -%}
    true
    {%- endfor %}
{%- endmacro %}
