-- Grain: one row per month, kind of event, code and code system.

-- An event without a date of its own happened when the encounter did that it names. One of which only
-- the year is known happened in no month that is known.
with event as (
    select
        'condition' as event_type,
        patient_id,
        encounter_id,
        coalesce(onset_at, recorded_at) as happened_at,
        code,
        code_system,
        display as text,
        null as label
    from {{ counted('condition') }}
    union all
    select 'medication', patient_id, encounter_id, authored_at, code, code_system, display, null
    from {{ counted('medication_request') }}
    union all
    select 'procedure', patient_id, encounter_id, coalesce(started_at, ended_at), code, code_system, display, null
    from {{ counted('procedure') }}
    union all
    select 'lab', patient_id, encounter_id, coalesce(effective_at, effective_end_at), code, code_system, display, null
    from {{ counted('observation') }}
    where list_contains(categories, 'laboratory')
    union all
    select 'note', patient_id, encounter_id, noted_at, source_resource, null, null, 'Clinical note'
    from {{ counted('soap_note') }}
    union all
    select 'imaging', patient_id, encounter_id, coalesce(started_at, study_date), modality, null, null, modality
    from {{ counted('imaging_study') }}
    union all
    select 'genomic', patient_id, encounter_id, reported_at, 'genomic report', null, null, 'Genomic report'
    from {{ counted('genomic_report') }}
    union all
    select 'ecg', patient_id, encounter_id, reported_at, 'ecg', null, null, 'Electrocardiogram'
    from {{ counted('ecg_metadata') }}
),

dated as (
    select
        event.* replace (
            coalesce(event.happened_at, encounter.started_at, encounter.ended_at) as happened_at,
            {{ published_code('event.code', 'event.text') }} as code,
            case when event.code is not null then event.code_system end as code_system
        )
    from event
    left join {{ counted('encounter') }} as encounter
        on event.encounter_id = encounter.encounter_id and event.happened_at is null
),

counted as (
    select
        date_trunc('month', {{ first_day('happened_at') }})::date as event_month,
        event_type,
        code,
        code_system,
        min(label) as label,
        count(*) as event_count,
        count(distinct patient_id) as patient_count
    from dated
    where length(happened_at) >= 7
    group by 1, 2, 3, 4
)

select
    counted.event_month,
    counted.event_type,
    {{ stated('counted.code') }} as code,
    {{ stated('counted.code_system') }} as code_system,
    coalesce(counted.label, named.display, {{ stated('counted.code') }}) as display,
    {{ shown('counted.event_count', 'counted.patient_count') }} as event_count,
    {{ shown('counted.patient_count', 'counted.patient_count') }} as patient_count,
    {{ is_small('counted.patient_count') }} as suppressed
from counted
left join {{ ref('code_name') }} as named
    on counted.code = named.code and counted.code_system is not distinct from named.code_system
