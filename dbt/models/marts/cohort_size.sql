-- Grain: one row per condition or medication, sex, age group and year in which it was first known.
with counted as (
    select
        kind as index_kind,
        code as index_code,
        code_system as index_code_system,
        name as index_name,
        sex,
        age_group,
        date_trunc('year', first_day)::date as index_year,
        count(*) as patient_count
    from {{ ref('cohort_feature') }}
    group by all
)

select
    index_kind,
    index_code,
    index_code_system,
    index_name,
    sex,
    age_group,
    index_year,
    {{ shown('patient_count', 'patient_count') }} as patient_count,
    {{ is_small('patient_count') }} as suppressed
from counted
