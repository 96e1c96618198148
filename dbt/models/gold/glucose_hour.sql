-- Grain: one row per subject, month and local hour of the day with sensor readings.

-- The ambulatory glucose profile: percentiles 5, 25, 50, 75 and 95 (Johnson et al., Diabetes Technol Ther 2019;21:17).
-- A reading beyond the sensor's limits is where the limit is: it is lower or higher than every measured one.
select
    subject_id,
    date_trunc('month', local_time)::date as month,
    hour(local_time)::integer as hour_of_day,
    count(*)::integer as reading_count,
    count(distinct local_time::date)::integer as day_count,
    round(quantile_cont(glucose_mg_dl::double, 0.05), 1) as p05_mg_dl,
    round(quantile_cont(glucose_mg_dl::double, 0.25), 1) as p25_mg_dl,
    round(quantile_cont(glucose_mg_dl::double, 0.5), 1) as median_mg_dl,
    round(quantile_cont(glucose_mg_dl::double, 0.75), 1) as p75_mg_dl,
    round(quantile_cont(glucose_mg_dl::double, 0.95), 1) as p95_mg_dl
from {{ ref('glucose_reading') }}
where kind = 'sensor'
group by all
