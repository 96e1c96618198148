{#- Generated from dbt/models/silver by `lakehouse views compile`; do not edit. -#}
{% macro silver_tables() %}
    {{ return([
        'allergy_intolerance',
        'care_plan',
        'claim',
        'condition',
        'coverage',
        'device',
        'diagnostic_report',
        'ecg_metadata',
        'encounter',
        'explanation_of_benefit',
        'genomic_report',
        'imaging_study',
        'immunization',
        'medication',
        'medication_administration',
        'medication_dispense',
        'medication_request',
        'medication_statement',
        'observation',
        'patient',
        'procedure',
        'soap_note',
        'specimen'
    ]) }}
{% endmacro %}


{#- Tables that are exactly their view, with their key. -#}
{% macro view_tables() %}
    {{ return([
        ['allergy_intolerance', 'allergy_intolerance_id'],
        ['care_plan', 'care_plan_id'],
        ['claim', 'claim_id'],
        ['coverage', 'coverage_id'],
        ['device', 'device_id'],
        ['diagnostic_report', 'diagnostic_report_id'],
        ['explanation_of_benefit', 'explanation_of_benefit_id'],
        ['immunization', 'immunization_id'],
        ['medication', 'medication_id'],
        ['specimen', 'specimen_id']
    ]) }}
{% endmacro %}
