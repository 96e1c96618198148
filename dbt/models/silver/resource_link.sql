-- Grain: one row per resource and other resource (or note group, or replaced document) that its Silver row depends on.
{{ config(
    key=['resource_type', 'resource_id'],
    follows=true,
    touched='select resource_type, resource_id from memory.scratch.touched'
) }}

-- Written after the tables that use it (see macros/build/dependents.sql).
{% for table in silver_tables() -%}
-- depends_on: {{ ref(table) }}
{% endfor %}
select
    resource_type,
    resource_id,
    target_type,
    target_id,
    submission_id,
    source_file,
    source_position,
    ingested_at
from memory.scratch.current_link
