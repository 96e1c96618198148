-- Grain: one row per resource of a type that conditional requests name, and per text that they may name it by.
{{ config(
    key=['resource_type', 'resource_id'],
    follows=true,
    touched='select resource_type, resource_id from memory.scratch.touched_identity'
) }}

-- Written after the tables that resolve references (see macros/build/conditional.sql).
{% for table in silver_tables() -%}
-- depends_on: {{ ref(table) }}
{% endfor %}
select
    resource_type,
    resource_id,
    identifier_key,
    condition
from memory.scratch.current_identity
