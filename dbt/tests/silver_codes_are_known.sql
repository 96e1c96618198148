-- Codes of required value sets (https://hl7.org/fhir/R4/valuesets.html) that are none of theirs.
{{ config(severity='warn') }}

{%- set accepted = [
    ['patient', 'gender', ['male', 'female', 'other', 'unknown']],
    ['encounter', 'status', ['planned', 'arrived', 'triaged', 'in-progress', 'onleave', 'finished', 'cancelled', 'entered-in-error', 'unknown']],
    ['condition', 'clinical_status', ['active', 'recurrence', 'relapse', 'inactive', 'remission', 'resolved']],
    ['observation', 'status', ['registered', 'preliminary', 'final', 'amended', 'corrected', 'cancelled', 'entered-in-error', 'unknown']],
    ['procedure', 'status', ['preparation', 'in-progress', 'not-done', 'on-hold', 'stopped', 'completed', 'entered-in-error', 'unknown']],
    ['medication_request', 'status', ['active', 'on-hold', 'cancelled', 'completed', 'entered-in-error', 'stopped', 'draft', 'unknown']],
    ['soap_note', 'source_resource', ['DocumentReference', 'DiagnosticReport']],
] %}

{% for table, column, values in accepted %}
select '{{ table }}' as table_name, '{{ column }}' as column_name, {{ column }} as code, count(*) as row_count
from {{ ref(table) }}
where {{ column }} not in ({{ sql_list(values) }})
group by {{ column }}
{{ 'union all' if not loop.last }}
{% endfor %}
