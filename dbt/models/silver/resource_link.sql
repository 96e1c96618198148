-- Grain: one row per resource and other resource (or note group, or replaced document) that its Silver row depends on.
{{ config(
    has_issues=false,
    touched='select resource_id from memory.scratch.touched',
    delete_condition='(resource_type, resource_id) in (select (resource_type, resource_id) from memory.scratch.touched)'
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
