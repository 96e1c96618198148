-- Grain: one row per condition code, code system, sex and age group at the patient's last encounter.
with profile as (
    select patient_id, sex, age_group from {{ ref('patient_profile') }}
),

population as (
    select sex, age_group, count(*) as group_patient_count from profile group by sex, age_group
),

per_patient as (
    select
        {{ published_code('code', 'display') }} as published_code,
        case when code is not null then code_system end as code_system,
        patient_id,
        bool_or(not {{ is_over() }}) as is_active,
        min({{ condition_kind('code', 'code_system', 'categories', 'codings') }}) as kind
    from {{ counted('condition') }}
    where code is not null or display is not null
    group by 1, 2, 3
),

counted as (
    select
        per_patient.published_code as code,
        per_patient.code_system,
        profile.sex,
        profile.age_group,
        -- One kind for a code, whoever sent it.
        min(min(per_patient.kind)) over (partition by per_patient.published_code, per_patient.code_system) as kind,
        count(*) as patient_count,
        count(*) filter (per_patient.is_active) as active_patient_count
    from per_patient
    inner join profile on per_patient.patient_id = profile.patient_id
    group by per_patient.published_code, per_patient.code_system, profile.sex, profile.age_group
)

select
    counted.code,
    {{ stated('counted.code_system') }} as code_system,
    coalesce(named.display, counted.code) as condition,
    counted.kind[3:] as kind,
    counted.sex,
    counted.age_group,
    {{ shown('counted.patient_count', 'counted.patient_count') }} as patient_count,
    {{ shown('counted.active_patient_count', 'counted.patient_count') }} as active_patient_count,
    {{ shown('population.group_patient_count', 'counted.patient_count') }} as group_patient_count,
    (select count(*) from profile) as patient_total,
    {{ shown('counted.patient_count / population.group_patient_count', 'counted.patient_count') }} as prevalence,
    {{ is_small('counted.patient_count') }} as suppressed
from counted
inner join population on counted.sex = population.sex and counted.age_group = population.age_group
left join {{ ref('code_name') }} as named
    on counted.code = named.code and counted.code_system is not distinct from named.code_system
