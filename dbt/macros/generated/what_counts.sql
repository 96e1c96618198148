{#- Generated from dbt/what_counts.yml by `lakehouse generate`; do not edit. -#}
{% macro uncounted() %}
    {{ return({
        'AllergyIntolerance': {'verification_status': ['refuted', 'entered-in-error']},
        'CarePlan': {'status': ['draft', 'entered-in-error'], 'intent': ['proposal', 'option']},
        'Claim': {'status': ['draft', 'cancelled', 'entered-in-error']},
        'Condition': {'verification_status': ['refuted', 'entered-in-error']},
        'Coverage': {'status': ['draft', 'cancelled', 'entered-in-error']},
        'Device': {'status': ['entered-in-error']},
        'DiagnosticReport': {'status': ['registered', 'cancelled', 'entered-in-error']},
        'DocumentReference': {'status': ['superseded', 'entered-in-error'], 'document_status': ['entered-in-error']},
        'Encounter': {'status': ['planned', 'cancelled', 'entered-in-error']},
        'ExplanationOfBenefit': {'status': ['draft', 'cancelled', 'entered-in-error']},
        'ImagingStudy': {'status': ['registered', 'cancelled', 'entered-in-error']},
        'Immunization': {'status': ['not-done', 'entered-in-error']},
        'Medication': {'status': ['entered-in-error']},
        'MedicationAdministration': {'status': ['not-done', 'entered-in-error']},
        'MedicationDispense': {'status': ['preparation', 'cancelled', 'declined', 'entered-in-error']},
        'MedicationRequest': {'status': ['draft', 'cancelled', 'entered-in-error'], 'intent': ['proposal', 'option'], 'do_not_perform': ['true']},
        'MedicationStatement': {'status': ['intended', 'not-taken', 'entered-in-error']},
        'Observation': {'status': ['registered', 'cancelled', 'entered-in-error']},
        'Procedure': {'status': ['preparation', 'not-done', 'entered-in-error']},
        'Specimen': {'status': ['entered-in-error']}
    }) }}
{% endmacro %}
