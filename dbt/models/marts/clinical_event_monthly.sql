-- Grain: one row per month, kind of event, code and code system.
with event as (
    select 'condition' as event_type, patient_id, coalesce(onset_at, recorded_at) as happened_at, code, code_system, display
    from {{ ref('condition') }}
    union all
    select 'medication', patient_id, authored_at, code, code_system, display
    from {{ ref('medication_request') }}
    union all
    select 'procedure', patient_id, started_at, code, code_system, display
    from {{ ref('procedure') }}
    union all
    select 'lab', patient_id, effective_at, code, code_system, display
    from {{ ref('observation') }}
    where list_contains(categories, 'laboratory')
    union all
    select 'note', patient_id, noted_at, source_resource, null, 'Clinical note'
    from {{ ref('soap_note') }}
    where counts
    union all
    select 'imaging', patient_id, coalesce(started_at, study_date), modality, null, modality
    from {{ ref('imaging_study') }}
    where counts
    union all
    select 'genomic', patient_id, reported_at, 'genomic report', null, 'Genomic report'
    from {{ ref('genomic_report') }}
    union all
    select 'ecg', patient_id, reported_at, 'ecg', null, 'Electrocardiogram'
    from {{ ref('ecg_metadata') }}
),

counted as (
    select
        date_trunc('month', {{ first_day('happened_at') }})::date as event_month,
        event_type,
        {{ stated('code') }} as code,
        {{ stated('code_system') }} as code_system,
        coalesce(min({{ coded('code', 'display') }}), {{ stated('code') }}) as display,
        count(*) as event_count,
        count(distinct patient_id) as patient_count
    from event
    where happened_at is not null
    group by 1, 2, 3, 4
)

select
    event_month,
    event_type,
    code,
    code_system,
    display,
    {{ shown('event_count', 'patient_count') }} as event_count,
    {{ shown('patient_count', 'patient_count') }} as patient_count,
    {{ is_small('patient_count') }} as suppressed
from counted
