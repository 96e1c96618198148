-- Grain: one row per encounter, without identifiers.
with summary as (
    select
        *,
        {% for sign in vital_signs() -%}
        list_filter(vitals, lambda v: v.vital_sign = '{{ sign }}' and v.comparator is null)[-1].value as {{ sign }},
        {% endfor -%}
        {{ capped_age('age_years') }} as capped_age
    from {{ ref('encounter_summary') }}
)

select
    {{ pseudonym("'Encounter/' || summary.encounter_id") }} as encounter_key,
    coalesce(profile.patient_key, {{ patient_key('summary.patient_id') }}) as patient_key,
    summary.encounter_date,
    date_trunc('month', summary.encounter_date)::date as encounter_month,
    year(summary.encounter_date)::integer as encounter_year,
    (datesub('month', summary.encounter_date, max(summary.encounter_date) over ()) // 12)::integer as years_back,
    case when not profile.is_rare then summary.capped_age end as age_at_encounter,
    case when not profile.is_rare then {{ age_group('summary.capped_age') }} else 'unknown' end as age_group,
    case when not profile.is_rare then profile.sex else 'unknown' end as sex,
    case when not profile.has_rare_origin then profile.race else 'unknown' end as race,
    case when not profile.has_rare_origin then profile.ethnicity else 'unknown' end as ethnicity,
    case when not profile.has_rare_origin then profile.state else 'unknown' end as state,
    {{ class_in_words('summary.encounter_class') }} as encounter_class,
    {{ stated('summary.encounter_type_code') }} as encounter_type_code,
    {{ stated('coalesce(type_name.display, ' ~ published_code('summary.encounter_type_code', 'summary.encounter_type_display') ~ ')') }} as encounter_type,
    {{ stated('summary.encounter_status') }} as encounter_status,
    coalesce(reason_name.display, {{ published_code('summary.reason_code', 'summary.reason_display') }}) as reason,
    {{ length_hours('summary.encounter_started_at', 'summary.encounter_ended_at') }} as length_hours,
    len(summary.conditions)::integer as condition_count,
    len(summary.medications)::integer as medication_count,
    len(summary.vitals)::integer as vital_count,
    len(summary.labs)::integer as lab_count,
    len(summary.procedures)::integer as procedure_count,
    len(summary.imaging)::integer as imaging_count,
    len(summary.genomics)::integer as genomic_count,
    len(summary.ecgs)::integer as ecg_count,
    summary.note is not null as has_note,
    summary.note.word_count as note_word_count,
    (
        summary.note.has_subjective::integer
        + summary.note.has_objective::integer
        + summary.note.has_assessment::integer
        + summary.note.has_plan::integer
    )::integer as note_section_count,
    {% for sign in vital_signs() -%}
    summary.{{ sign }}{{ ',' if not loop.last }}
    {% endfor -%}
from summary
left join {{ ref('patient_profile') }} as profile on summary.patient_id = profile.patient_id
left join {{ ref('code_name') }} as type_name
    on
        summary.encounter_type_code = type_name.code
        and summary.encounter_type_system is not distinct from type_name.code_system
left join {{ ref('code_name') }} as reason_name
    on
        summary.reason_code = reason_name.code
        and summary.reason_system is not distinct from reason_name.code_system
