-- Grain: one row per sex, age group at the last encounter, race, ethnicity and state.
with counted as (
    select
        sex,
        age_group,
        race,
        ethnicity,
        state,
        count(*) as patient_count,
        count(*) filter (deceased) as deceased_count,
        sum(encounter_count)::bigint as encounter_count
    from {{ ref('patient_profile') }}
    group by sex, age_group, race, ethnicity, state
)

select
    sex,
    age_group,
    race,
    ethnicity,
    state,
    {{ shown('patient_count', 'patient_count') }} as patient_count,
    {{ shown('deceased_count', 'patient_count') }} as deceased_count,
    {{ shown('encounter_count', 'patient_count') }} as encounter_count,
    {{ is_small('patient_count') }} as suppressed
from counted
