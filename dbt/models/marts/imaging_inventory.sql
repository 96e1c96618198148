-- Grain: one row per imaging study that counts, without identifiers.
with study as (
    select
        *,
        coalesce(try_cast(study_date as date), {{ local_date('started_at') }}) as day
    from {{ counted('imaging_study') }}
)

select
    {{ pseudonym("'ImagingStudy/' || study.study_id") }} as study_key,
    case when study.patient_id is not null then {{ patient_key('study.patient_id') }} end as patient_key,
    study.day as study_date,
    date_trunc('month', study.day)::date as study_month,
    case
        when not profile.is_rare
            then {{ capped_age(age_years('patient.birth_date', 'study.day')) }}
    end as age_at_study,
    case
        when not profile.is_rare
            then {{ age_group(age_years('patient.birth_date', 'study.day')) }}
        else 'unknown'
    end as age_group,
    case when not profile.is_rare then profile.sex else 'unknown' end as sex,
    {{ stated('study.modality') }} as modality,
    {{ stated(without_tag('study.body_site_display')) }} as body_site,
    {{ stated('study.status') }} as status,
    study.series_count,
    study.instance_count,
    study.manufacturer,
    study.magnetic_field_strength,
    study.slice_thickness_mm,
    study."rows" as image_rows,
    study."columns" as image_columns,
    study.dicom_extracted,
    study.encounter_id is not null as has_encounter
from study
left join {{ counted('patient') }} as patient on study.patient_id = patient.patient_id
left join {{ ref('patient_profile') }} as profile on study.patient_id = profile.patient_id
