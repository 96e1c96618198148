{#-
    The rows of a clinical Silver table that count (dbt/what_counts.yml), as Gold and marts read them:
    a record about a patient whose own record another one replaces is about that other patient. No
    model of these layers reads such a table in another way.
-#}
{% macro counted(table) -%}
    {%- if table == 'patient' -%}
    (
        select record.*
        from {{ ref('patient') }} as record
        anti join {{ ref('patient_merge') }} as merged on record.patient_id = merged.patient_id
    )
    {%- else -%}
    (
        select
            record.* replace (coalesce(merged.survivor_id, record.patient_id) as patient_id)
        from {{ ref(table) }} as record
        left join {{ ref('patient_merge') }} as merged on record.patient_id = merged.patient_id
        where record.counts
    )
    {%- endif -%}
{%- endmacro %}
