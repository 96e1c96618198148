-- Grain: one row per Encounter.
{{ config(key='encounter_id') }}

select
    encounter_id,
    patient_id,
    type_code,
    type_system,
    type_display,
    type_codings,
    class_code,
    started_at,
    ended_at,
    status,
    provider_id,
    reason_code,
    reason_system,
    reason_display,
    reason_codings,
    part_of_id,
    location_id,
    location_display,
    admit_source_code,
    admit_source_display,
    discharge_disposition_code,
    discharge_disposition_display,
    counts,
    submission_id,
    source_file,
    source_position,
    ingested_at,
    issues
from {{ ref('stg_fhir__encounter') }}
