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
    part_of_id,
    location_id,
    location_display,
    admit_source_code,
    coalesce(admit_source_display, admit_source_text) as admit_source_display,
    discharge_disposition_code,
    coalesce(discharge_disposition_display, discharge_disposition_text) as discharge_disposition_display,
    submission_id,
    source_file,
    source_position,
    ingested_at,
    issues
from {{ ref('stg_fhir__encounter') }}
