-- Grain: one row per Encounter.
{{ config(unique_key='encounter_id') }}

select
    encounter_id,
    patient_id,
    type_code,
    coalesce(type_display, type_text) as type_display,
    class_code,
    started_at,
    ended_at,
    status,
    provider_id,
    reason_code,
    coalesce(reason_display, reason_text) as reason_display,
    submission_id,
    source_file,
    source_position,
    ingested_at,
    issues
from {{ ref('stg_fhir__encounter') }}
