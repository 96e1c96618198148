-- Grain: one row per reading of a person's glucose, whichever systems have it.
{{ config(key=['subject_id', 'system', 'record_key'], touched=touched_glucose_days()) }}

-- A reading that several systems have is the manufacturer's own. Sensor readings of two systems less than half of
-- five minutes apart are one: each passes on what the same sensor measured, by clocks of its own. Other readings are one
-- where time and value are the same. Within a system two readings of one instant are one.
with reading as (
    select
        *,
        local_time::date as day,
        {{ glucose_system_rank('system') }} as system_rank
    from {{ current_rows('monitor_reading') }}
    where glucose_mg_dl is not null and local_time is not null
),

-- Instants are compared where both are known, else what the clocks showed. A reading is looked for in its own
-- 150 seconds and those beside them.
timed as (
    select *, 'instant' as compared, epoch(measured_at) as second
    from reading
    where measured_at is not null
    union all
    select *, 'local' as compared, epoch(local_time) as second
    from reading
),

near as (
    select *, floor(second / 150)::bigint + unnest([-1, 0, 1]) as bucket
    from timed
),

duplicate as (
    select distinct timed.subject_id, timed.system, timed.record_key
    from timed
    inner join near
        on
            timed.subject_id = near.subject_id
            and timed.kind = near.kind
            and timed.day = near.day
            and timed.compared = near.compared
            and floor(timed.second / 150)::bigint = near.bucket
            and (timed.compared = 'instant' or timed.measured_at is null or near.measured_at is null)
            and (
                (
                    near.system_rank < timed.system_rank
                    and abs(timed.second - near.second) < 150
                    and (timed.kind = 'sensor' or timed.glucose_mg_dl = near.glucose_mg_dl)
                )
                or (
                    near.system = timed.system
                    and near.second = timed.second
                    and near.record_key > timed.record_key
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
