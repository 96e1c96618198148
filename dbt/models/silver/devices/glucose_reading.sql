-- Grain: one row per reading of a person's glucose, whichever systems have it.
{{ config(key=['subject_id', 'system', 'record_key'], touched=touched_glucose_days()) }}

-- A reading that several systems have is the manufacturer's own. Sensor readings of two systems less than half of
-- five minutes apart are one: each passes on what the same sensor measured, by clocks of its own. Other readings are one
-- where time and value are the same. Within a system two readings of one instant are one.
with reading as (
    select
        *,
        coalesce(measured_at at time zone 'UTC', local_time) as clock,
        {{ glucose_system_rank('system') }} as system_rank
    from {{ current_rows('monitor_reading') }}
    where glucose_mg_dl is not null and local_time is not null
),

near as (
    select
        subject_id,
        kind,
        local_time::date as day,
        system,
        record_key,
        system_rank,
        clock,
        glucose_mg_dl,
        unnest([-1, 0, 1]) + floor(epoch(clock) / 150)::bigint as bucket
    from reading
),

duplicate as (
    select distinct reading.subject_id, reading.system, reading.record_key
    from reading
    inner join near
        on
            reading.subject_id = near.subject_id
            and reading.kind = near.kind
            and reading.local_time::date = near.day
            and floor(epoch(reading.clock) / 150)::bigint = near.bucket
            and (
                (
                    near.system_rank < reading.system_rank
                    and abs(epoch(reading.clock) - epoch(near.clock)) < 150
                    and (reading.kind = 'sensor' or reading.glucose_mg_dl = near.glucose_mg_dl)
                )
                or (
                    near.system = reading.system
                    and near.clock = reading.clock
                    and near.record_key > reading.record_key
                )
            )
)

select
    subject_id,
    system,
    record_key,
    kind,
    measured_at,
    local_time,
    utc_offset_minutes,
    glucose_mg_dl,
    {{ glucose_class('glucose_mg_dl', 'value_as_written', 'unit') }} as glucose_class,
    out_of_range,
    value_as_written,
    unit,
    device,
    submission_id,
    source_file,
    source_position,
    ingested_at
from reading
anti join duplicate using (subject_id, system, record_key)
