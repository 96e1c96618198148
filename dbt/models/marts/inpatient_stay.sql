-- Grain: one row per stay of an inpatient, without identifiers.

-- Encounters of the inpatient classes that follow each other without a gap are one stay (a transfer). An
-- end more than ten years after the beginning is flagged and not believed.
with encounter as (
    select
        *,
        case
            when
                coalesce({{ length_hours('started_at', 'ended_at') }}, 0) <= {{ longest_stay_hours() }}
                and {{ instant_of('ended_at') }} >= started
                then {{ instant_of('ended_at') }}
        end as ended
    from (
        select
            encounter_id,
            patient_id,
            class_code,
            reason_code,
            reason_system,
            reason_display,
            discharge_disposition_code,
            started_at,
            ended_at,
            {{ instant_of('started_at') }} as started,
            {{ local_date('started_at') }} as first_day
        from {{ counted('encounter') }}
        where
            class_code in ('IMP', 'ACUTE', 'NONAC')
            and patient_id is not null
            and {{ local_date('started_at') }} is not null
    )
),

gap as (
    select
        *,
        max(ended) over (
            partition by patient_id
            order by started, encounter_id
            rows between unbounded preceding and 1 preceding
        ) as former_end
    from encounter
),

numbered as (
    select
        *,
        count(*) filter (former_end is null or started > former_end) over (
            partition by patient_id order by started, encounter_id
        ) as stay_number
    from gap
),

stay as (
    select
        patient_id,
        stay_number,
        arg_min(encounter_id, (started, encounter_id)) as first_encounter_id,
        arg_min(class_code, (started, encounter_id)) as class_code,
        arg_min(reason_code, (started, encounter_id)) as reason_code,
        arg_min(reason_system, (started, encounter_id)) as reason_system,
        arg_min(reason_display, (started, encounter_id)) as reason_display,
        arg_max(discharge_disposition_code, (ended, encounter_id)) as disposition,
        min(started) as started,
        min(first_day) as admitted_on,
        case when bool_and(ended is not null) then max(ended) end as ended,
        case
            when bool_and(ended is not null) then arg_max({{ last_day_of('ended_at') }}, (ended, encounter_id))
        end as discharged_on,
        bool_and(length(started_at) > 10 and length(ended_at) > 10) as has_times,
        count(*) as encounter_count
    from numbered
    group by patient_id, stay_number
),

-- Who left so late that thirty days are not over in what has come in, cannot be said to have stayed away.
known_until as (
    select max(greatest({{ local_date('started_at') }}, {{ local_date('ended_at') }})) as last_day
    from {{ counted('encounter') }}
    where coalesce({{ length_hours('started_at', 'ended_at') }}, 0) <= {{ longest_stay_hours() }}
),

followed as (
    select
        *,
        lead(admitted_on) over (partition by patient_id order by started) as next_admitted_on
    from stay
),

judged as (
    select
        followed.*,
        patient.birth_date,
        date_diff('day', followed.discharged_on, followed.next_admitted_on) as days_to_readmission,
        followed.discharged_on is not null
        and followed.discharged_on + interval 30 day <= known_until.last_day
        and followed.disposition is distinct from 'exp'
        and coalesce({{ first_day('patient.deceased_at') }} > followed.discharged_on, true) as is_index
    from followed
    cross join known_until
    left join {{ counted('patient') }} as patient on followed.patient_id = patient.patient_id
),

measured as (
    select
        *,
        case
            when ended is null then null
            when has_times then date_diff('second', started, ended) / 86400
            else date_diff('day', admitted_on, discharged_on)
        end::double as stay_days
    from judged
)

select
    {{ pseudonym("'Stay/' || measured.first_encounter_id") }} as stay_key,
    coalesce(profile.patient_key, {{ patient_key('measured.patient_id') }}) as patient_key,
    measured.admitted_on,
    measured.discharged_on,
    case
        when not profile.is_rare then {{ age_group(age_years('measured.birth_date', 'measured.admitted_on')) }}
        else 'unknown'
    end as age_group,
    case when not profile.is_rare then profile.sex else 'unknown' end as sex,
    {{ class_in_words('measured.class_code') }} as encounter_class,
    {{ stated('coalesce(reason_name.display, ' ~ published_code('measured.reason_code', 'measured.reason_display') ~ ')') }} as reason,
    measured.encounter_count::integer as encounter_count,
    measured.stay_days,
    case
        when measured.stay_days is null then 'unknown'
        when measured.stay_days < 1 then 'a: less than a day'
        when measured.stay_days < 3 then 'b: 1 to 2 days'
        when measured.stay_days < 7 then 'c: 3 to 6 days'
        when measured.stay_days < 14 then 'd: 7 to 13 days'
        when measured.stay_days < 30 then 'e: 14 to 29 days'
        else 'f: 30 days and more'
    end as length_group,
    measured.is_index,
    case when measured.is_index then coalesce(measured.days_to_readmission <= 30, false) end as readmitted_within_30_days,
    measured.days_to_readmission::integer as days_to_readmission
from measured
left join {{ ref('patient_profile') }} as profile on measured.patient_id = profile.patient_id
left join {{ ref('code_name') }} as reason_name
    on
        measured.reason_code = reason_name.code
        and measured.reason_system is not distinct from reason_name.code_system
