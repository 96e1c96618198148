-- Grain: one row per subject and local calendar day with sensor readings.

-- The ten core metrics of the international consensus (Battelino et al., Diabetes Care 2019;42:1593) with the tight range.
-- Readings beyond the sensor's limits count in their class and in no mean: their number is not known. GMI in percent is
-- 3.31 + 0.02392 x mean in mg/dL (Bergenstal et al., Diabetes Care 2018;41:2275); LBGI and HBGI are Kovatchev's (Diabetes
-- Care 2006;29:2433), as means over the readings of the day.
with reading as (
    select * replace (glucose_mg_dl::double as glucose_mg_dl)
    from {{ ref('glucose_sensor') }}
),

with_change as (
    select
        *,
        1.509 * (power(ln(greatest(glucose_mg_dl, 1.0)), 1.084) - 5.381) as risk,
        lag(is_measured) over days as was_measured,
        glucose_mg_dl - lag(glucose_mg_dl) over days as change,
        date_diff('second', lag(clock) over days, clock) / 60.0 as gap_minutes
    from reading
    window days as (partition by subject_id, local_date order by clock, system, record_key)
),

of_day as (
    select
        subject_id,
        local_date,
        count(*) filter (glucose_class = 'very_low') as very_low,
        count(*) filter (glucose_class = 'low') as low,
        count(*) filter (glucose_class = 'tight_target') as tight,
        count(*) filter (glucose_class in ('tight_target', 'target')) as target,
        count(*) filter (glucose_class = 'high') as high,
        count(*) filter (glucose_class = 'very_high') as very_high,
        count(*) filter (not is_measured) as out_of_range_count,
        avg(glucose_mg_dl order by clock, system, record_key) filter (is_measured) as mean,
        stddev_samp(glucose_mg_dl order by clock, system, record_key) filter (is_measured) as sd,
        avg(if(risk < 0, 10 * risk * risk, 0) order by clock, system, record_key) filter (is_measured) as lbgi,
        avg(if(risk > 0, 10 * risk * risk, 0) order by clock, system, record_key) filter (is_measured) as hbgi,
        avg(abs(change) / gap_minutes order by clock, system, record_key) filter (
            is_measured and was_measured and gap_minutes between 0.5 and 22.5
        ) as rate_of_change
    from with_change
    group by subject_id, local_date
)

select
    of_day.subject_id,
    of_day.local_date,
    counted.reading_count,
    counted.interval_minutes,
    counted.expected_count,
    round(least(100.0 * counted.reading_count / counted.expected_count, 100), 2) as active_percent,
    counted.reading_count >= 0.7 * counted.expected_count as is_sufficient,
    round(100.0 * of_day.very_low / counted.reading_count, 2) as very_low_percent,
    round(100.0 * of_day.low / counted.reading_count, 2) as low_percent,
    round(100.0 * of_day.target / counted.reading_count, 2) as in_range_percent,
    round(100.0 * of_day.tight / counted.reading_count, 2) as tight_range_percent,
    round(100.0 * of_day.high / counted.reading_count, 2) as high_percent,
    round(100.0 * of_day.very_high / counted.reading_count, 2) as very_high_percent,
    of_day.out_of_range_count::integer as out_of_range_count,
    round(of_day.mean, 2) as mean_mg_dl,
    round(of_day.mean / 18.0156, 3) as mean_mmol_l,
    round(of_day.sd, 2) as sd_mg_dl,
    round(100 * of_day.sd / of_day.mean, 2) as cv_percent,
    round(3.31 + 0.02392 * of_day.mean, 2) as gmi_percent,
    round(of_day.lbgi, 3) as lbgi,
    round(of_day.hbgi, 3) as hbgi,
    round(of_day.rate_of_change, 3) as mean_rate_of_change_mg_dl_min
from of_day
inner join {{ ref('glucose_interval') }} as counted
    on of_day.subject_id = counted.subject_id and of_day.local_date = counted.local_date
