-- Grain: one row per patient and condition or medication that is among the most frequent, when it was first known.
{{ config(materialized='ephemeral') }}

-- A pair of features is a row of cohort_overlap: without a limit their number grows with the square of codes.
{%- set features_of_a_kind = 150 %}

with event as (
    select
        'condition' as kind,
        patient_id,
        {{ published_code('code', 'display') }} as code,
        case when code is not null then code_system end as code_system,
        {{ local_date('coalesce(onset_at, recorded_at)') }} as day
    from {{ counted('condition') }}
    union all
    select
        'medication',
        patient_id,
        {{ published_code('code', 'display') }},
        case when code is not null then code_system end,
        {{ local_date('authored_at') }}
    from {{ counted('medication_request') }}
),

had as (
    select kind, patient_id, code, code_system, min(day) as first_day
    from event
    where code is not null
    group by kind, patient_id, code, code_system
),

frequent as (
    select kind, code, code_system
    from had
    group by kind, code, code_system
    qualify row_number() over (partition by kind order by count(*) desc, code, code_system) <= {{ features_of_a_kind }}
)

select
    had.kind,
    had.code,
    {{ stated('had.code_system') }} as code_system,
    coalesce(named.display, had.code) as name,
    had.patient_id,
    had.first_day,
    profile.sex,
    {{ age_group(age_years('patient.birth_date', 'had.first_day')) }} as age_group
from had
inner join frequent
    on had.kind = frequent.kind and had.code = frequent.code and had.code_system is not distinct from frequent.code_system
inner join {{ ref('patient_profile') }} as profile on had.patient_id = profile.patient_id
inner join {{ counted('patient') }} as patient on had.patient_id = patient.patient_id
left join {{ ref('code_name') }} as named
    on had.code = named.code and had.code_system is not distinct from named.code_system
