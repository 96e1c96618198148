-- Grain: one row per month of discharge and type of admission.
with counted_stay as (
    select
        date_trunc('month', discharged_on)::date as discharge_month,
        coalesce(admission_type, 'unknown') as admission_type,
        count(*) as stay_count,
        count(distinct patient_id) as patient_count,
        count(*) filter (not coalesce(died, false)) as discharged_alive_count,
        count(*) filter (is_readmitted_within_30_days) as readmitted_count,
        sum(length_days)::bigint as total_days,
        avg(length_days) as mean_days,
        median(length_days) as median_days,
        sum(paid_amount)::double as paid_amount
    from {{ ref('claim_stay') }}
    where not is_still_patient
    group by all
)

select
    discharge_month,
    admission_type,
    {% for statistic in ['stay_count', 'patient_count', 'discharged_alive_count', 'readmitted_count', 'total_days', 'mean_days', 'median_days', 'paid_amount'] -%}
    {{ shown(statistic, 'patient_count') }} as {{ statistic }},
    {% endfor -%}
    {{ is_small('patient_count') }} as suppressed
from counted_stay
