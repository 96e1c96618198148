-- Grain: one row per ImagingStudy, and per DICOM study that no ImagingStudy describes.
{{ config(
    key='study_id',
    touched_by={'dicom_instance': "'urn:oid:' || study_instance_uid"},
    touched="select resource_id from memory.scratch.touched where is_touched and resource_type = 'ImagingStudy'
             union all
             select 'urn:oid:' || study_instance_uid from memory.scratch.touched_study"
) }}

-- Header values win over what the ImagingStudy says; placeholders such as UNKNOWN count as nothing.
-- What describes the device comes from acquired series; where several have it, from the first of them.
-- A study that only files tell of has the id `urn:oid:<study UID>` and no patient: the number in
-- the header is the modality's own.
with instance as (
    select
        dicom.*,
        dicom.submission_id || chr(0) || dicom.source_file || chr(0) || dicom.source_position as arrival,
        {{ is_acquired('dicom.modality') }} as is_acquired
    from {{ current_rows('dicom_instance') }} as dicom
),

placed as (
    select
        *,
        row_number() over (
            partition by study_instance_uid
            order by
                is_acquired desc, series_number nulls last, series_instance_uid,
                instance_number nulls last, sop_instance_uid
        ) as place
    from instance
),

header as (
    select
        study_instance_uid,
        arg_min({{ known('modality') }}, place) filter (is_acquired) as modality,
        arg_min({{ known('modality') }}, place) as any_modality,
        arg_min({{ known('body_part_examined') }}, place) as body_part,
        arg_min({{ dicom_date('study_date') }}, place) as study_date,
        bool_or({{ is_unread_dicom_date('study_date') }}) as has_unread_date,
        arg_max({{ known('study_description') }}, arrival) as study_description,
        arg_min({{ known('series_description') }}, place) as series_description,
        arg_min({{ known('manufacturer') }}, place) filter (is_acquired) as manufacturer,
        arg_min(magnetic_field_strength, place) filter (is_acquired) as magnetic_field_strength,
        max(slice_thickness_mm) filter (is_acquired) as slice_thickness_mm,
        max("rows") filter (is_acquired) as "rows",
        max("columns") filter (is_acquired) as "columns",
        count(distinct series_instance_uid)::integer as series_count,
        count(*)::integer as instance_count,
        max_by(submission_id, arrival) as submission_id,
        max_by(source_file, arrival) as source_file,
        max_by(source_position, arrival) as source_position,
        max_by(ingested_at, arrival) as ingested_at
    from placed
    group by study_instance_uid
),

described as (
    select
        * replace ({{ bare_uid('study_instance_uid') }} as study_instance_uid),
        list_filter(
            list_transform(
                list_concat(series_modalities, study_modalities), lambda code: {{ known('code') }}
            ),
            lambda code: code is not null
        ) as modalities
    from {{ ref('stg_fhir__imaging_study') }}
),

file_only as (
    select header.*
    from header
    anti join described on header.study_instance_uid = described.study_instance_uid
    {%- if keeps_rows('imaging_study') %}
    anti join (
        select study_instance_uid
        from lake.silver.imaging_study
        where
            not starts_with(study_id, 'urn:oid:')
            and study_id not in (
                select study_id from memory.scratch.imaging_study__touched
            )
    ) as kept on header.study_instance_uid = kept.study_instance_uid
    {%- endif %}
)

select
    described.study_id,
    described.patient_id,
    described.encounter_id,
    described.started_at,
    described.status,
    described.counts,
    coalesce(
        header.modality,
        list_filter(described.modalities, lambda code: {{ is_acquired('code') }})[1],
        header.any_modality,
        described.modalities[1]
    ) as modality,
    {{ known('described.body_site_code') }} as body_site_code,
    case when {{ known('described.body_site_code') }} is not null then described.body_site_system end as body_site_system,
    case
        when {{ known('described.body_site_code') }} is not null then {{ known('described.body_site_display') }}
        else coalesce({{ known('described.body_site_display') }}, header.body_part)
    end as body_site_display,
    coalesce(described.series_count, nullif(len(described.series_uids), 0), header.series_count)::integer as series_count,
    coalesce(
        described.instance_count, nullif(len(described.instance_uids), 0), header.instance_count
    )::integer as instance_count,
    described.study_instance_uid,
    coalesce(header.study_description, {{ known('described.study_description') }}) as study_description,
    coalesce(
        header.series_description, {{ known('described.series_description') }}
    ) as series_description,
    coalesce(header.study_date, described.started_at[1:10]) as study_date,
    header.manufacturer,
    header.magnetic_field_strength,
    header.slice_thickness_mm,
    header."rows",
    header."columns",
    header.study_instance_uid is not null as dicom_extracted,
    described.submission_id,
    described.source_file,
    described.source_position,
    described.ingested_at,
    nullif(list_concat(described.issues, {{ issues([
        ['study_date', "case when header.study_date is null and header.has_unread_date then 'not a date' end"]
    ]) }}), []) as issues
from described
left join header on described.study_instance_uid = header.study_instance_uid
union all
select
    'urn:oid:' || study_instance_uid,
    null,
    null,
    study_date,
    null,
    true,
    coalesce(modality, any_modality),
    null,
    null,
    body_part,
    series_count,
    instance_count,
    study_instance_uid,
    study_description,
    series_description,
    study_date,
    manufacturer,
    magnetic_field_strength,
    slice_thickness_mm,
    "rows",
    "columns",
    true,
    submission_id,
    source_file,
    source_position,
    ingested_at,
    {{ issues([
        ['study_date', "case when study_date is null and has_unread_date then 'not a date' end"]
    ]) }}
from file_only
