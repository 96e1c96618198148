-- Grain: one row per year, weekday and hour of arrival, sex and age group at arrival.

-- Weekday and hour are those of the clock where the patient arrived: the date and time as written.
with arrival as (
    select
        encounter.patient_id,
        encounter.encounter_id,
        {{ local_date('encounter.started_at') }} as day,
        case when length(encounter.started_at) > 10 then encounter.started_at[12:13] else 'unknown' end as hour,
        patient.birth_date
    from {{ counted('encounter') }} as encounter
    left join {{ counted('patient') }} as patient on encounter.patient_id = patient.patient_id
    where encounter.class_code = 'EMER' and {{ local_date('encounter.started_at') }} is not null
),

counted as (
    select
        date_trunc('year', arrival.day)::date as year,
        isodow(arrival.day)::integer as weekday_number,
        arrival.hour,
        coalesce(profile.sex, 'unknown') as sex,
        {{ age_group(age_years('arrival.birth_date', 'arrival.day')) }} as age_group,
        count(*) as arrival_count,
        count(distinct arrival.patient_id) as patient_count
    from arrival
    left join {{ ref('patient_profile') }} as profile on arrival.patient_id = profile.patient_id
    group by all
)

select
    year,
    weekday_number::varchar || ' ' || ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'][weekday_number] as weekday,
    hour,
    sex,
    age_group,
    {{ shown('arrival_count', 'patient_count') }} as arrival_count,
    {{ shown('patient_count', 'patient_count') }} as patient_count,
    {{ is_small('patient_count') }} as suppressed
from counted
