-- Grain: one row per Patient whose record no other replaces, as the marts may show it.
{{ config(materialized='ephemeral') }}

-- Age is that at the patient's last encounter, so that it does not change by itself. Where too few
-- patients share what would be shown (SMALL_CELL_MINIMUM), it is not shown.
with last_encounter as (
    select
        patient_id,
        max({{ local_date('started_at') }}) as last_date,
        count(*) as encounter_count
    from {{ counted('encounter') }}
    group by patient_id
),

profile as (
    select
        patient.patient_id,
        {{ patient_key('patient.patient_id') }} as patient_key,
        case when patient.gender in ('female', 'male', 'other') then patient.gender else 'unknown' end as sex,
        {{ age_group(age_years('patient.birth_date', 'last_encounter.last_date')) }} as age_group,
        {{ stated('patient.race') }} as race,
        {{ stated('patient.ethnicity') }} as ethnicity,
        {{ stated('patient.state') }} as state,
        patient.deceased,
        coalesce(last_encounter.encounter_count, 0) as encounter_count
    from {{ counted('patient') }} as patient
    left join last_encounter on patient.patient_id = last_encounter.patient_id
)

select
    *,
    {{ is_small('count(*) over (partition by sex, age_group)') }} as is_rare,
    {{ is_small('count(*) over (partition by sex, age_group, race, ethnicity, state)') }} as has_rare_origin
from profile
