-- Grain: one row per MedicationStatement.
{{ config(key='medication_statement_id') }}

with named as (
    {{ with_named_medication('stg_fhir__medication_statement', 'medication_statement_id') }}
),

instructed as (
    select *, {{ dosages('dosage_instructions') }} as dosages from named
)

select
    instructed.medication_statement_id,
    instructed.patient_id,
    instructed.encounter_id,
    {{ named_medication('instructed') }},
    instructed.status,
    instructed.category_code,
    instructed.category_display,
    coalesce(instructed.effective_at, instructed.started_at) as started_at,
    instructed.ended_at,
    instructed.asserted_at,
    instructed.reason_code,
    instructed.reason_display,
    {{ dosage_columns('instructed') }},
    instructed.counts,
    instructed.submission_id,
    instructed.source_file,
    instructed.source_position,
    instructed.ingested_at,
    instructed.issues
from instructed
