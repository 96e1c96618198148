-- Grain: one row per electrocardiogram: an ECG report, or an ECG Observation that no report has.
{{ config(
    key='ecg_id',
    touched_by={
        'fhir_resource': "case resource_type when 'DiagnosticReport' then resource_id else resource_type || '/' || resource_id end"
    }
) }}

-- A lone Observation has the id `Observation/<id>`: ids are unique within a resource type only.
-- Numbers are in the unit of their measure (dbt/units); LOINC 8884-9 is the rhythm.
with report as (
    select
        report_id as ecg_id,
        patient_id,
        encounter_id,
        coalesce(effective_at, period_start, issued_at) as reported_at,
        status,
        conclusion,
        conclusion_display,
        result_references,
        has_media
        or len(list_filter(media_types, lambda m: starts_with(m, 'image/') or m in ('application/dicom', 'application/xml')))
        > 0 as has_media,
        counts,
        submission_id,
        source_file,
        source_position,
        ingested_at,
        issues
    from {{ ref('stg_fhir__ecg_report') }}
),

link as (
    select resource_id, target_id
    from {{ all_links() }}
    where resource_type = 'DiagnosticReport' and target_type = 'Observation'
),

lone as (
    select
        'Observation/' || ecg.observation_id as ecg_id,
        ecg.patient_id,
        ecg.encounter_id,
        coalesce(ecg.effective_at, ecg.issued_at) as reported_at,
        ecg.status,
        coalesce(ecg.interpretation, ecg.note_text) as conclusion,
        null::varchar as conclusion_display,
        false as has_media,
        ecg.counts,
        ecg.submission_id,
        ecg.source_file,
        ecg.source_position,
        ecg.ingested_at,
        ecg.issues
    from {{ ref('stg_fhir__ecg_observation') }} as ecg
    anti join link on ecg.observation_id = link.target_id
),

ecg as (
    select * exclude (result_references) from report
    union all
    select * from lone
),

measured_in as (
    select report.ecg_id, link.target_id as observation_id
    from report
    inner join link on report.ecg_id = link.resource_id
    union all
    select ecg_id, ecg_id[13:] from lone
),

result as (
    select
        measured_in.ecg_id,
        observation.codings,
        observation.measure,
        observation.standard_value,
        observation.value_text,
        observation.components
    from {{ ref('observation') }} as observation
    inner join measured_in on observation.observation_id = measured_in.observation_id
),

-- Results inside the report itself, which it names by `#id`.
contained_result as (
    select report.ecg_id, report.ecg_id || '#' || held.observation_id as observation_id, held.part
    from ({{ contained_observations('DiagnosticReport') }}) as held
    inner join report on held.resource_id = report.ecg_id
    where
        list_contains(report.result_references, '#' || held.observation_id)
        and held.status is distinct from 'entered-in-error'
),

contained_quantity as (
    select
        observation_id,
        part.place as place,
        part.codings as codings,
        part.value as value,
        part.unit_code as unit_code,
        part.unit as unit
    from contained_result
    where part.value is not null
),

contained_standard as (
    {{ standardised('contained_quantity') }}
),

measurement as (
    select ecg_id, codings, measure, standard_value, value_text from result
    union all
    select ecg_id, component.codings, component.measure, component.standard_value, component.value_text
    from (select ecg_id, unnest(components) as component from result)
    union all
    select
        contained.ecg_id,
        contained.part.codings,
        standard.measure,
        standard.standard_value,
        case
            when contained.part.is_waveform then '{{ waveform_text() }}'
            else coalesce({{ preferred_coding('contained.part.value_codings') }}.display, contained.part.text)
        end
    from contained_result as contained
    left join contained_standard as standard
        on contained.observation_id = standard.observation_id and contained.part.place = standard.place
),

per_ecg as (
    select
        ecg_id,
        min(standard_value) filter (measure = 'heart_rate') as heart_rate_bpm,
        min(standard_value) filter (measure = 'pr_interval') as pr_interval_ms,
        min(standard_value) filter (measure = 'qrs_duration') as qrs_duration_ms,
        min(value_text) filter ({{ has_code('codings', ['8884-9'], 'http://loinc.org') }}) as rhythm,
        bool_or(value_text = '{{ waveform_text() }}') as has_waveform
    from measurement
    group by ecg_id
)

select
    ecg.ecg_id,
    ecg.patient_id,
    ecg.encounter_id,
    ecg.reported_at,
    ecg.status,
    ecg.conclusion,
    coalesce(
        per_ecg.rhythm,
        ecg.conclusion_display,
        nullif(
            regexp_extract(
                ecg.conclusion,
                '(?i)(sinus (?:rhythm|bradycardia|tachycardia|arrhythmia)|atrial (?:fibrillation|flutter)|ventricular (?:fibrillation|tachycardia)|paced rhythm|junctional rhythm)'
            ),
            ''
        )
    ) as rhythm,
    per_ecg.heart_rate_bpm,
    per_ecg.pr_interval_ms,
    per_ecg.qrs_duration_ms,
    coalesce(ecg.has_media, false) or coalesce(per_ecg.has_waveform, false) as has_waveform,
    ecg.counts,
    ecg.submission_id,
    ecg.source_file,
    ecg.source_position,
    ecg.ingested_at,
    ecg.issues
from ecg
left join per_ecg on ecg.ecg_id = per_ecg.ecg_id
