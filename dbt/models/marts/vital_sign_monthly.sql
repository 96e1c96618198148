-- Grain: one row per month and vital sign.

-- Numbers are in the unit of their measure (dbt/units/measures.csv), which `unit` says. A number that is
-- only a limit ("> 250") is no measurement of it: it is counted beside them.
with measurement as (
    select
        patient_id,
        date_trunc('month', encounter_date)::date as month,
        unnest(vitals) as vital
    from {{ ref('encounter_summary') }}
    where encounter_date is not null and len(vitals) > 0
),

counted as (
    select
        month,
        vital.vital_sign as vital_sign,
        vital.unit as unit,
        count(*) filter (vital.comparator is null) as measurement_count,
        count(distinct patient_id) filter (vital.comparator is null) as patient_count,
        count(*) filter (vital.comparator is not null) as limit_count,
        count(distinct patient_id) filter (vital.comparator is not null) as limit_patient_count,
        avg(vital.value) filter (vital.comparator is null) as mean_value,
        quantile_cont(vital.value, [0.05, 0.5, 0.95]) filter (vital.comparator is null) as quantiles
    from measurement
    where vital.vital_sign is not null
    group by all
)

select
    month,
    vital_sign,
    unit,
    {{ shown('measurement_count', 'patient_count') }} as measurement_count,
    {{ shown('patient_count', 'patient_count') }} as patient_count,
    {{ shown('mean_value', 'patient_count') }} as mean_value,
    {{ shown('quantiles[2]', 'patient_count') }} as median_value,
    {{ shown('quantiles[1]', 'patient_count') }} as p05_value,
    {{ shown('quantiles[3]', 'patient_count') }} as p95_value,
    {{ shown('limit_count', 'limit_patient_count') }} as limit_count,
    {{ is_small('patient_count') }} as suppressed
from counted
