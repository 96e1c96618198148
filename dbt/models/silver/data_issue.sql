-- Grain: one row per value that a Silver table had to drop: table, resource, column and reason.
{{ config(
    has_issues=false,
    touched='select resource_id from memory.scratch.touched
             union all
             select study_instance_uid from memory.scratch.touched_study',
    delete_condition="(resource_type, resource_id) in (
        select (resource_type, resource_id) from memory.scratch.touched
        union all
        select ('ImagingStudy', 'urn:oid:' || study_instance_uid) from memory.scratch.touched_study
    )"
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
