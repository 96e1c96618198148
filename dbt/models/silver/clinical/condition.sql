-- Grain: one row per Condition.
{{ config(key='condition_id') }}

select
    condition_id,
    patient_id,
    encounter_id,
    code,
    code_system,
    display,
    codings,
    categories,
    clinical_status,
    verification_status,
    coalesce(onset_at, onset_period_start) as onset_at,
    coalesce({{ quantity_text('onset_age') }}, {{ range_text('onset_range') }}, onset_string) as onset_text,
    {{ age_in_years('onset_age') }} as onset_age_years,
    coalesce(abatement_at, abatement_period_end, abatement_period_start) as abatement_at,
    coalesce({{ quantity_text('abatement_age') }}, {{ range_text('abatement_range') }}, abatement_string) as abatement_text,
    {{ age_in_years('abatement_age') }} as abatement_age_years,
    recorded_at,
    counts,
    submission_id,
    source_file,
    source_position,
    ingested_at,
    issues
from {{ ref('stg_fhir__condition') }}
