-- Grain: one row per resource that others may name by identifier, and per text that names it.
{{ config(
    key=['resource_type', 'resource_id'],
    follows=true,
    touched='select resource_type, resource_id from memory.scratch.touched'
) }}

-- Written after the tables that resolve references (see macros/build/dependents.sql).
{% for table in silver_tables() -%}
-- depends_on: {{ ref(table) }}
{% endfor %}
select
    resource_type,
    resource_id,
    identifier_key,
    submission_id,
    source_file,
    source_position,
    ingested_at
from memory.scratch.current_identifier
