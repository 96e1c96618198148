-- Grain: one row per MedicationRequest.
{{ config(key='medication_request_id') }}

with named as (
    {{ with_named_medication('stg_fhir__medication_request', 'medication_request_id') }}
),

instructed as (
    select *, {{ dosages('dosage_instructions') }} as dosages from named
)

select
    instructed.medication_request_id,
    instructed.patient_id,
    instructed.encounter_id,
    {{ named_medication('instructed') }},
    instructed.status,
    instructed.intent,
    instructed.do_not_perform,
    instructed.authored_at,
    instructed.ended_at,
    {{ dosage_columns('instructed') }},
    instructed.counts,
    instructed.submission_id,
    instructed.source_file,
    instructed.source_position,
    instructed.ingested_at,
    instructed.issues
from instructed
