-- Grain: one row per Silver table, reference column and submission.
-- Generated from dbt/views by `lakehouse generate`; do not edit.
{{ config(materialized='lake_table') }}
-- depends_on: {{ ref('allergy_intolerance') }}
-- depends_on: {{ ref('care_plan') }}
-- depends_on: {{ ref('claim') }}
-- depends_on: {{ ref('condition') }}
-- depends_on: {{ ref('coverage') }}
-- depends_on: {{ ref('device') }}
-- depends_on: {{ ref('diagnostic_report') }}
-- depends_on: {{ ref('ecg_metadata') }}
-- depends_on: {{ ref('encounter') }}
-- depends_on: {{ ref('explanation_of_benefit') }}
-- depends_on: {{ ref('genomic_report') }}
-- depends_on: {{ ref('imaging_study') }}
-- depends_on: {{ ref('immunization') }}
-- depends_on: {{ ref('medication_administration') }}
-- depends_on: {{ ref('medication_dispense') }}
-- depends_on: {{ ref('medication_request') }}
-- depends_on: {{ ref('medication_statement') }}
-- depends_on: {{ ref('observation') }}
-- depends_on: {{ ref('patient') }}
-- depends_on: {{ ref('procedure') }}
-- depends_on: {{ ref('soap_note') }}
-- depends_on: {{ ref('specimen') }}

{{ count_references([
    ['patient', 'replaced_by_id', 'Patient'],
    ['patient', 'replaces_ids', 'Patient'],
    ['encounter', 'patient_id', 'Patient'],
    ['encounter', 'provider_id', 'Practitioner|PractitionerRole|RelatedPerson'],
    ['encounter', 'part_of_id', 'Encounter'],
    ['encounter', 'location_id', 'Location'],
    ['condition', 'patient_id', 'Patient'],
    ['condition', 'encounter_id', 'Encounter'],
    ['observation', 'patient_id', 'Patient'],
    ['observation', 'encounter_id', 'Encounter'],
    ['observation', 'specimen_id', 'Specimen'],
    ['procedure', 'patient_id', 'Patient'],
    ['procedure', 'encounter_id', 'Encounter'],
    ['medication_request', 'patient_id', 'Patient'],
    ['medication_request', 'encounter_id', 'Encounter'],
    ['medication_request', 'medication_id', 'Medication'],
    ['medication_administration', 'patient_id', 'Patient'],
    ['medication_administration', 'encounter_id', 'Encounter'],
    ['medication_administration', 'medication_id', 'Medication'],
    ['medication_administration', 'request_id', 'MedicationRequest'],
    ['medication_dispense', 'patient_id', 'Patient'],
    ['medication_dispense', 'encounter_id', 'Encounter'],
    ['medication_dispense', 'medication_id', 'Medication'],
    ['medication_dispense', 'request_id', 'MedicationRequest'],
    ['medication_statement', 'patient_id', 'Patient'],
    ['medication_statement', 'encounter_id', 'Encounter'],
    ['medication_statement', 'medication_id', 'Medication'],
    ['soap_note', 'patient_id', 'Patient'],
    ['soap_note', 'encounter_id', 'Encounter'],
    ['imaging_study', 'patient_id', 'Patient'],
    ['imaging_study', 'encounter_id', 'Encounter'],
    ['genomic_report', 'patient_id', 'Patient'],
    ['genomic_report', 'encounter_id', 'Encounter'],
    ['ecg_metadata', 'patient_id', 'Patient'],
    ['ecg_metadata', 'encounter_id', 'Encounter'],
    ['claim', 'patient_id', 'Patient'],
    ['claim', 'encounter_id', 'Encounter'],
    ['claim', 'provider_id', 'Practitioner|PractitionerRole|Organization'],
    ['allergy_intolerance', 'patient_id', 'Patient'],
    ['allergy_intolerance', 'encounter_id', 'Encounter'],
    ['care_plan', 'patient_id', 'Patient'],
    ['care_plan', 'encounter_id', 'Encounter'],
    ['coverage', 'patient_id', 'Patient'],
    ['device', 'patient_id', 'Patient'],
    ['diagnostic_report', 'patient_id', 'Patient'],
    ['diagnostic_report', 'encounter_id', 'Encounter'],
    ['explanation_of_benefit', 'patient_id', 'Patient'],
    ['explanation_of_benefit', 'encounter_id', 'Encounter'],
    ['explanation_of_benefit', 'claim_id', 'Claim'],
    ['immunization', 'patient_id', 'Patient'],
    ['immunization', 'encounter_id', 'Encounter'],
    ['specimen', 'patient_id', 'Patient'],
    ['specimen', 'parent_id', 'Specimen'],
]) }}
