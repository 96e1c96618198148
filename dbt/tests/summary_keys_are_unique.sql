-- Keys of Gold's and the marts' tables of single encounters and studies that are null or not unique.
{%- set keyed_tables = [
    ['encounter_summary', 'encounter_summary_id'],
    ['patient_encounter_summary', 'encounter_key'],
    ['imaging_inventory', 'study_key'],
] %}

{% for table, key in keyed_tables %}
select '{{ table }}' as table_name, {{ key }}::varchar as row_key, count(*) as row_count
from {{ ref(table) }}
group by {{ key }}
having count(*) > 1 or {{ key }} is null
{{ 'union all' if not loop.last }}
{% endfor %}
