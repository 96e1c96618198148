-- Grain: one row per episode of low or high glucose of a subject, and level.

-- An episode is 15 minutes or more beyond a limit, and ends with 15 minutes or more that are not (Danne et al., Diabetes
-- Care 2017;40:1631; Battelino et al. 2019). Level 1 of an episode includes what is level 2 in it. Where readings are
-- missing for so long it ends too: nobody knows what was.
with reading as (
    select sensor.*, counted.interval_minutes
    from {{ ref('glucose_sensor') }} as sensor
    inner join {{ ref('glucose_interval') }} as counted
        on sensor.subject_id = counted.subject_id and sensor.local_date = counted.local_date
),

beyond as (
    select 'low' as level, reading.* from reading where glucose_class in ('low', 'very_low')
    union all
    select 'very_low' as level, reading.* from reading where glucose_class = 'very_low'
    union all
    select 'high' as level, reading.* from reading where glucose_class in ('high', 'very_high')
    union all
    select 'very_high' as level, reading.* from reading where glucose_class = 'very_high'
),

begun as (
    select
        *,
        coalesce(
            date_diff('second', lag(clock) over in_order, clock) >= 60 * (15 + interval_minutes), true
        ) as begins
    from beyond
    window in_order as (partition by subject_id, level order by clock, system, record_key)
),

numbered as (
    select
        *,
        sum(begins::integer) over (
            partition by subject_id, level order by clock, system, record_key rows unbounded preceding
        ) as number
    from begun
),

episode as (
    select
        subject_id,
        level,
        arg_min(local_time, clock) as first_local,
        date_diff('second', min(clock), max(clock)) / 60.0 + arg_max(interval_minutes, clock) as minutes,
        count(*)::integer as reading_count,
        if(level in ('low', 'very_low'), min(glucose_mg_dl), max(glucose_mg_dl))::double as extreme_mg_dl
    from numbered
    group by subject_id, level, number
)

select
    subject_id,
    level,
    first_local as started_local,
    round(minutes, 1) as duration_minutes,
    reading_count,
    extreme_mg_dl,
    hour(first_local) < 6 as is_nocturnal
from episode
where minutes >= 15
