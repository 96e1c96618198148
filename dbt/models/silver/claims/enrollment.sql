-- Grain: one row per member and span of enrolment, as a payer's table has them. FHIR's are in silver.coverage.
{{ config(key=['member_id', 'enrollment_key']) }}

select
    member_id,
    enrollment_key,
    member_id as patient_id,
    payer,
    payer_type,
    plan,
    started_on,
    ended_on,
    months,
    submission_id,
    source_file,
    source_position,
    ingested_at
from {{ current_rows('enrollment_row') }}
