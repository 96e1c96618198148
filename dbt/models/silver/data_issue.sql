-- Grain: one row per value that a Silver table had to drop: table, resource, column and reason.
{{ config(
    key=['table_name', 'resource_type', 'resource_id'],
    follows=true,
    touched='select table_name, resource_type, resource_id from memory.scratch.touched_issue
             union all
             select table_name, null, null from memory.scratch.anew_table',
    delete_condition='(table_name, resource_type, resource_id) in (
        select (table_name, resource_type, resource_id) from memory.scratch.touched_issue
    )
    or table_name in (select table_name from memory.scratch.anew_table)'
) }}

{% for table in silver_tables() -%}
-- depends_on: {{ ref(table) }}
{% endfor %}
select
    table_name,
    resource_type,
    resource_id,
    column_name,
    reason,
    submission_id
from memory.scratch.data_issue
