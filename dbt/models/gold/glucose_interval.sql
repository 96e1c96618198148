-- Grain: one row per subject and local day with sensor readings: how many there are, and should be.

-- A day has as many minutes as its local calendar day: 23, 24 or 25 hours where clocks change. A sensor reads every
-- minute, 5 minutes or 15 minutes: which, the usual gap of the day says.
with gap as (
    select
        *,
        date_diff('second', lag(clock) over subject_day, clock) / 60.0 as gap_minutes
    from {{ ref('glucose_sensor') }}
    window subject_day as (partition by subject_id, local_date order by clock, system, record_key)
),

of_day as (
    select
        subject_id,
        local_date,
        count(*)::integer as reading_count,
        median(gap_minutes) as usual_gap,
        arg_min(utc_offset_minutes, clock) as first_offset,
        arg_max(utc_offset_minutes, clock) as last_offset,
        bool_and(system = 'libreview') as is_libre
    from gap
    group by subject_id, local_date
),

with_day_before as (
    select
        *,
        lag(local_date) over days = local_date - 1 as follows,
        lag(last_offset) over days as offset_before
    from of_day
    window days as (partition by subject_id order by local_date)
),

sized as (
    select
        *,
        case
            when usual_gap is null then if(is_libre, 15, 5)
            when usual_gap < 2.5 then 1
            when usual_gap < 10 then 5
            else 15
        end as interval_minutes,
        1440 - coalesce(last_offset - if(follows, offset_before, first_offset), 0) as day_minutes
    from with_day_before
)

select
    subject_id,
    local_date,
    reading_count,
    interval_minutes,
    day_minutes::integer as day_minutes,
    (day_minutes / interval_minutes)::integer as expected_count
from sized
