-- Grain: one row per MedicationAdministration.
{{ config(key='medication_administration_id') }}

with named as (
    {{ with_named_medication('stg_fhir__medication_administration', 'medication_administration_id') }}
)

select
    named.medication_administration_id,
    named.patient_id,
    named.encounter_id,
    {{ named_medication('named') }},
    named.request_id,
    named.status,
    named.effective_at,
    named.started_at,
    named.ended_at,
    named.dosage_text,
    named.dose,
    coalesce(named.dose_unit, named.dose_unit_code) as dose_unit,
    named.route_code,
    named.route_system,
    named.route_display,
    named.site_display,
    named.method_display,
    coalesce(
        {{ number_text('named.rate') }} || coalesce(' ' || coalesce(named.rate_unit, named.rate_unit_code), ''),
        {{ ratio_text('named.rate_ratio') }}
    ) as rate_text,
    named.counts,
    named.submission_id,
    named.source_file,
    named.source_position,
    named.ingested_at,
    named.issues
from named
