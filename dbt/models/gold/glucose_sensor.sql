-- Grain: one row per sensor reading, with the clock by which a person's readings follow each other.
{{ config(materialized='ephemeral') }}

-- Instants, where all of a person's readings have them; else what the devices showed.
select
    subject_id,
    system,
    record_key,
    local_time,
    local_time::date as local_date,
    utc_offset_minutes,
    glucose_mg_dl,
    glucose_class,
    out_of_range is null as is_measured,
    case
        when bool_and(measured_at is not null) over (partition by subject_id)
            then measured_at at time zone 'UTC'
        else local_time
    end as clock
from {{ ref('glucose_reading') }}
where kind = 'sensor'
