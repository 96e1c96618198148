-- Codes of required value sets (https://hl7.org/fhir/R4/valuesets.html) that are none of theirs.
{{ config(severity='warn') }}

{%- set accepted = [
    ['patient', 'gender', ['male', 'female', 'other', 'unknown']],
    ['encounter', 'status', ['planned', 'arrived', 'triaged', 'in-progress', 'onleave', 'finished', 'cancelled', 'entered-in-error', 'unknown']],
    ['condition', 'clinical_status', ['active', 'recurrence', 'relapse', 'inactive', 'remission', 'resolved']],
    ['observation', 'status', ['registered', 'preliminary', 'final', 'amended', 'corrected', 'cancelled', 'entered-in-error', 'unknown']],
    ['procedure', 'status', ['preparation', 'in-progress', 'not-done', 'on-hold', 'stopped', 'completed', 'entered-in-error', 'unknown']],
    ['medication_request', 'status', ['active', 'on-hold', 'cancelled', 'completed', 'entered-in-error', 'stopped', 'draft', 'unknown']],
    ['medication_administration', 'status', ['in-progress', 'not-done', 'on-hold', 'completed', 'entered-in-error', 'stopped', 'unknown']],
    ['medication_dispense', 'status', ['preparation', 'in-progress', 'cancelled', 'on-hold', 'completed', 'entered-in-error', 'stopped', 'declined', 'unknown']],
    ['medication_statement', 'status', ['active', 'completed', 'entered-in-error', 'intended', 'stopped', 'on-hold', 'unknown', 'not-taken']],
    ['specimen', 'status', ['available', 'unavailable', 'unsatisfactory', 'entered-in-error']],
    ['soap_note', 'source_resource', ['DocumentReference', 'DiagnosticReport']],
] %}

{% for table, column, values in accepted %}
select '{{ table }}' as table_name, '{{ column }}' as column_name, {{ column }} as code, count(*) as row_count
from {{ ref(table) }}
where {{ column }} not in ({{ sql_list(values) }})
group by {{ column }}
{{ 'union all' if not loop.last }}
{% endfor %}
