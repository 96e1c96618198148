-- Grain: one row per thing that happened to a patient and day, without identifiers.

-- For people who follow single patients; Superset shows it to one role alone (superset/access.yaml).
with event as (
    select
        'encounter' as kind,
        'Encounter/' || encounter_id as source,
        patient_id,
        {{ local_date('started_at') }} as happened_on,
        type_code as code,
        type_system as code_system,
        type_display as text,
        {{ class_in_words('class_code') }} as detail
    from {{ counted('encounter') }}
    union all
    select
        'condition',
        'Condition/' || condition_id,
        patient_id,
        {{ local_date('coalesce(onset_at, recorded_at)') }},
        code,
        code_system,
        display,
        clinical_status
    from {{ counted('condition') }}
    union all
    select
        'medication',
        'MedicationRequest/' || medication_request_id,
        patient_id,
        {{ local_date('authored_at') }},
        code,
        code_system,
        display,
        status
    from {{ counted('medication_request') }}
    union all
    select
        'procedure',
        'Procedure/' || procedure_id,
        patient_id,
        {{ local_date('coalesce(started_at, ended_at)') }},
        code,
        code_system,
        display,
        status
    from {{ counted('procedure') }}
    union all
    select
        'lab',
        'Observation/' || observation_id,
        patient_id,
        {{ local_date('coalesce(effective_at, effective_end_at)') }},
        code,
        code_system,
        display,
        concat_ws(' ', comparator, value::varchar, unit)
    from {{ counted('observation') }}
    where list_contains(categories, 'laboratory') and value is not null
    union all
    select
        'imaging',
        'ImagingStudy/' || study_id,
        patient_id,
        {{ local_date('coalesce(started_at, study_date)') }},
        modality,
        null,
        modality,
        {{ without_tag('body_site_display') }}
    from {{ counted('imaging_study') }}
)

select
    {{ pseudonym('event.source') }} as event_key,
    coalesce(profile.patient_key, {{ patient_key('event.patient_id') }}) as patient_key,
    event.happened_on,
    event.kind,
    {{ stated('coalesce(named.display, ' ~ published_code('event.code', 'event.text') ~ ')') }} as what,
    coalesce(event.detail, '') as detail
from event
left join {{ ref('patient_profile') }} as profile on event.patient_id = profile.patient_id
left join {{ ref('code_name') }} as named
    on event.code = named.code and event.code_system is not distinct from named.code_system
where event.patient_id is not null and event.happened_on is not null
