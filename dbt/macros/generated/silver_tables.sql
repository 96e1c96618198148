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
        'medication_request',
        'observation',
        'patient',
        'procedure',
        'soap_note'
    ]) }}
{% endmacro %}
