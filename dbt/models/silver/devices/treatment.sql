-- Grain: one row per treatment or entry of a diary, in the system that it comes from.
{{ config(key=['subject_id', 'system', 'record_key']) }}

-- Alarms and what devices say of themselves stay in Bronze.
select
    subject_id,
    system,
    record_key,
    kind,
    measured_at as started_at,
    local_time,
    utc_offset_minutes,
    event_name,
    insulin_units,
    carbohydrates_g,
    ketone_mmol_l,
    duration_minutes,
    rate_units_per_hour,
    has_note,
    device,
    submission_id,
    source_file,
    source_position,
    ingested_at
from {{ current_rows('monitor_event') }}
where kind not in ('alert', 'device') and local_time is not null
