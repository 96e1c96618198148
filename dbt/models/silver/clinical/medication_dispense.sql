-- Grain: one row per MedicationDispense.
{{ config(key='medication_dispense_id') }}

with named as (
    {{ with_named_medication('stg_fhir__medication_dispense', 'medication_dispense_id') }}
),

instructed as (
    select *, {{ dosages('dosage_instructions') }} as dosages from named
)

select
    instructed.medication_dispense_id,
    instructed.patient_id,
    instructed.encounter_id,
    {{ named_medication('instructed') }},
    instructed.request_id,
    instructed.status,
    instructed.type_code,
    instructed.type_display,
    instructed.prepared_at,
    instructed.handed_over_at,
    instructed.quantity,
    coalesce(instructed.quantity_unit, instructed.quantity_unit_code) as quantity_unit,
    instructed.days_supply,
    coalesce(instructed.days_supply_unit, instructed.days_supply_unit_code) as days_supply_unit,
    {{ dosage_columns('instructed') }},
    instructed.counts,
    instructed.submission_id,
    instructed.source_file,
    instructed.source_position,
    instructed.ingested_at,
    instructed.issues
from instructed
