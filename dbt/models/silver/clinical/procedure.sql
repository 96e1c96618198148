-- Grain: one row per Procedure.
{{ config(key='procedure_id') }}

select
    procedure_id,
    patient_id,
    encounter_id,
    code,
    code_system,
    display,
    codings,
    status,
    coalesce(started_at, period_start) as started_at,
    ended_at,
    counts,
    submission_id,
    source_file,
    source_position,
    ingested_at,
    issues
from {{ ref('stg_fhir__procedure') }}
