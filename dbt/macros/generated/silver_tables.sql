{#- Generated from dbt/models/silver by `lakehouse generate`; do not edit. -#}
{% macro silver_tables() %}
    {{ return([
        'allergy_intolerance',
        'care_plan',
        'claim',
        'claim_line',
        'condition',
        'coverage',
        'device',
        'diagnostic_report',
        'ecg_metadata',
        'encounter',
        'enrollment',
        'explanation_of_benefit',
        'genomic_report',
        'glucose_reading',
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
        'specimen',
        'treatment'
    ]) }}
{% endmacro %}


{#- The same with their keys. -#}
{% macro keyed_tables() %}
    {{ return([
        ['allergy_intolerance', "allergy_intolerance_id"],
        ['care_plan', "care_plan_id"],
        ['claim', "claim_id"],
        ['claim_line', "claim_id::varchar || '|' || line_key::varchar"],
        ['condition', "condition_id"],
        ['coverage', "coverage_id"],
        ['device', "device_id"],
        ['diagnostic_report', "diagnostic_report_id"],
        ['ecg_metadata', "ecg_id"],
        ['encounter', "encounter_id"],
        ['enrollment', "member_id::varchar || '|' || enrollment_key::varchar"],
        ['explanation_of_benefit', "explanation_of_benefit_id"],
        ['genomic_report', "report_id"],
        ['glucose_reading', "subject_id::varchar || '|' || system::varchar || '|' || record_key::varchar"],
        ['imaging_study', "study_id"],
        ['immunization', "immunization_id"],
        ['medication', "medication_id"],
        ['medication_administration', "medication_administration_id"],
        ['medication_dispense', "medication_dispense_id"],
        ['medication_request', "medication_request_id"],
        ['medication_statement', "medication_statement_id"],
        ['observation', "observation_id"],
        ['patient', "patient_id"],
        ['procedure', "procedure_id"],
        ['soap_note', "note_id"],
        ['specimen', "specimen_id"],
        ['treatment', "subject_id::varchar || '|' || system::varchar || '|' || record_key::varchar"]
    ]) }}
{% endmacro %}
