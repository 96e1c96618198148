-- Grain: one row per month, encounter class, encounter type, sex and age group at the encounter.
-- What the quality rules flag as longer than an encounter lasts is in no sum of hours.
with measured as (
    select
        *,
        case when length_hours <= {{ longest_stay_hours() }} then length_hours end as plausible_hours,
        case when length(encounter_started_at) >= 7 then encounter_started_at else encounter_ended_at end as happened_at
    from (
        select *, {{ length_hours('encounter_started_at', 'encounter_ended_at') }} as length_hours
        from {{ ref('encounter_summary') }}
    )
),

counted as (
    select
        date_trunc('month', {{ first_day('summary.happened_at') }})::date as encounter_month,
        {{ class_in_words('summary.encounter_class') }} as encounter_class,
        {{ stated('coalesce(type_name.display, ' ~ published_code('summary.encounter_type_code', 'summary.encounter_type_display') ~ ')') }} as encounter_type,
        coalesce(profile.sex, 'unknown') as sex,
        {{ age_group('summary.age_years') }} as age_group,
        count(*) as encounter_count,
        count(distinct summary.patient_id) as patient_count,
        sum(summary.plausible_hours) as total_hours,
        avg(summary.plausible_hours) as mean_hours,
        sum(len(summary.procedures))::bigint as procedure_count,
        sum(len(summary.imaging))::bigint as imaging_count,
        count(summary.note) as note_count
    from measured as summary
    left join {{ ref('patient_profile') }} as profile on summary.patient_id = profile.patient_id
    left join {{ ref('code_name') }} as type_name
        on
            summary.encounter_type_code = type_name.code
            and summary.encounter_type_system is not distinct from type_name.code_system
    where length(summary.happened_at) >= 7
    group by all
)

select
    encounter_month,
    encounter_class,
    encounter_type,
    sex,
    age_group,
    {% for statistic in ['encounter_count', 'patient_count', 'total_hours', 'mean_hours', 'procedure_count', 'imaging_count', 'note_count'] -%}
    {{ shown(statistic, 'patient_count') }} as {{ statistic }},
    {% endfor -%}
    {{ is_small('patient_count') }} as suppressed
from counted
