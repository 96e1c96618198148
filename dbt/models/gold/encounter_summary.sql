-- Grain: one row per Encounter that takes or took place.

-- Everything is aggregated once per encounter (or joined once per patient) and then looked up. Lists
-- are sorted when they are whole, by their first fields: ordered aggregates are four times slower. A list
-- that is null is made empty by appending nothing: coalesce copies value by value. An encounter of which
-- only the end is known as a day is on that day.
with encounter as (
    select
        encounter_id,
        patient_id,
        coalesce({{ local_date('started_at') }}, {{ local_date('ended_at') }}) as encounter_date,
        started_at,
        ended_at,
        class_code,
        type_code,
        type_system,
        type_display,
        status,
        reason_code,
        reason_system,
        reason_display,
        provider_id
    from {{ counted('encounter') }}
),

dated as (
    select encounter_id, patient_id, encounter_date from encounter where encounter_date is not null
),

-- A condition is active from the day of its onset up to, not including, the day it abated; one that
-- began and abated on a day is active on it. Without an onset the day it was recorded counts. One
-- that is over without a date is known to have been active on its first day only. One without any date
-- belongs to the encounter that it names.
condition_span as (
    select
        *,
        coalesce(
            {{ last_day_of('abatement_at') }},
            case when {{ is_over() }} then first_day end
        ) as abated_on
    from (
        select
            condition_id,
            patient_id,
            encounter_id,
            code,
            code_system,
            display,
            clinical_status,
            verification_status,
            onset_at,
            abatement_at,
            abatement_text,
            {{ first_day('coalesce(onset_at, recorded_at)') }} as first_day
        from {{ counted('condition') }}
    )
),

condition_on as (
    select dated.encounter_id, span.* exclude (encounter_id)
    from dated
    inner join condition_span as span
        on
            dated.patient_id = span.patient_id
            and dated.encounter_date >= span.first_day
            and (
                span.abated_on is null
                or dated.encounter_date < span.abated_on
                or dated.encounter_date = span.first_day
            )
    union all
    select encounter_id, * exclude (encounter_id)
    from condition_span
    where first_day is null and encounter_id is not null
),

active_condition as (
    select
        encounter_id,
        {{ in_order('onset_at', "{
            'onset_at': onset_at,
            'condition_id': condition_id,
            'code': code,
            'code_system': code_system,
            'display': display,
            'clinical_status': clinical_status,
            'verification_status': verification_status,
            'abatement_at': abatement_at
        }") }} as conditions
    from condition_on
    group by encounter_id
),

-- A medication is active from the day it was written to the last day of its dispense validity; else
-- to the day on which a later request for the same medication stops it; else, where it was stopped or
-- completed on a day that nobody wrote down, on its first day only; else still. The same medication is the
-- same code of one system, or, where there is none, the same text. A request without a date belongs to
-- the encounter that it names.
request as (
    select
        medication_request_id,
        patient_id,
        encounter_id,
        code,
        code_system,
        display,
        status,
        authored_at,
        ended_at,
        dosage_text,
        case
            when code is not null then coalesce(code_system, '') || '|' || code
            else coalesce(
                'text:' || lower(trim(regexp_replace(display, '\s+', ' ', 'g'))), 'id:' || medication_request_id
            )
        end as medication,
        {{ first_day('authored_at') }} as first_day,
        {{ last_day_of('ended_at') }} as valid_until,
        coalesce(status in ('stopped', 'completed'), false) as is_over
    from {{ counted('medication_request') }}
),

medication_span as (
    select
        *,
        case
            when valid_until is not null then valid_until
            when is_over then first_day
            else min(case when is_over then first_day end) over (
                partition by patient_id, medication
                order by first_day
                range between interval 1 day following and unbounded following
            )
        end as last_day
    from request
    where first_day is not null
),

medication_on as (
    select dated.encounter_id, span.* exclude (encounter_id)
    from dated
    inner join medication_span as span
        on
            dated.patient_id = span.patient_id
            and dated.encounter_date >= span.first_day
            and (span.last_day is null or dated.encounter_date <= span.last_day)
    union all
    select encounter_id, * exclude (encounter_id), null
    from request
    where first_day is null and encounter_id is not null
),

active_medication as (
    select
        encounter_id,
        {{ in_order('authored_at', "{
            'authored_at': authored_at,
            'medication_request_id': medication_request_id,
            'code': code,
            'code_system': code_system,
            'display': display,
            'status': status,
            'ended_at': ended_at,
            'dosage_text': dosage_text
        }") }} as medications
    from medication_on
    group by encounter_id
),

-- Values of an Observation and of its components (blood pressure) alike. What names no category is a
-- vital sign by its measure.
measured as (
    select
        observation_id,
        encounter_id,
        code,
        code_system,
        display,
        categories,
        value,
        comparator,
        unit,
        value_code,
        value_text,
        measure,
        standard_value,
        standard_unit,
        reference_low,
        reference_high,
        interpretation,
        effective_at,
        components
    from {{ counted('observation') }}
    where
        encounter_id is not null
        and (len(categories) = 0 or list_has_any(categories, ['vital-signs', 'laboratory']))
),

measurement as (
    select * exclude (components) from measured
    where coalesce(value::varchar, value_code, value_text) is not null
    union all
    select
        observation_id,
        encounter_id,
        component.code,
        component.code_system,
        component.display,
        categories,
        component.value,
        component.comparator,
        component.unit,
        component.value_code,
        component.value_text,
        component.measure,
        component.standard_value,
        component.standard_unit,
        component.reference_low,
        component.reference_high,
        component.interpretation,
        effective_at
    from (select *, unnest(components) as component from measured where len(components) > 0)
),

-- A vital sign is shown in the unit of its measure only; a number in none of its units is none.
shown as (
    select
        *,
        coalesce({{ instant_of('effective_at') }}, '-infinity'::timestamptz) as instant,
        case when measure in ({{ sql_list(vital_signs()) }}) then measure end as vital_sign,
        list_contains(categories, 'laboratory') as is_lab,
        list_contains(categories, 'vital-signs')
        or (len(categories) = 0 and coalesce(measure in ({{ sql_list(vital_signs()) }}), false)) as is_vital
    from measurement
),

observed as (
    select
        encounter_id,
        list_transform(
            list_sort(list({
                'instant': instant,
                'vital': {
                    'effective_at': effective_at,
                    'observation_id': observation_id,
                    'code': code,
                    'vital_sign': vital_sign,
                    'display': display,
                    'value': if(vital_sign is null, value, standard_value),
                    'unit': if(vital_sign is null, unit, standard_unit),
                    'comparator': comparator,
                    'source_value': value,
                    'source_unit': unit
                }
            }) filter (is_vital and if(vital_sign is null, value, standard_value) is not null)),
            lambda timed: timed.vital
        ) as vitals,
        list_transform(
            list_sort(list({
                'instant': instant,
                'lab': {
                    'effective_at': effective_at,
                    'observation_id': observation_id,
                    'code': code,
                    'code_system': code_system,
                    'display': display,
                    'value': value,
                    'unit': unit,
                    'comparator': comparator,
                    'value_code': value_code,
                    'value_text': value_text,
                    'measure': measure,
                    'standard_value': standard_value,
                    'standard_unit': standard_unit,
                    'reference_low': reference_low,
                    'reference_high': reference_high,
                    'interpretation': interpretation
                }
            }) filter (is_lab)),
            lambda timed: timed.lab
        ) as labs
    from shown
    group by encounter_id
),

performed as (
    select
        encounter_id,
        {{ in_order('started_at', "{
            'started_at': started_at,
            'procedure_id': procedure_id,
            'code': code,
            'code_system': code_system,
            'display': display,
            'status': status,
            'ended_at': ended_at
        }") }} as procedures
    from {{ counted('procedure') }}
    where encounter_id is not null
    group by encounter_id
),

-- Of several notes of one encounter the latest that counts and can be read is the note.
last_note as (
    select
        encounter_id,
        max({
            'noted_at': coalesce({{ instant_of('noted_at') }}, '-infinity'::timestamptz),
            'note_id': note_id
        }) as newest,
        count(*) as note_count
    from {{ counted('soap_note') }}
    where encounter_id is not null and note_text is not null
    group by encounter_id
),

noted as (
    select
        last_note.encounter_id,
        last_note.note_count,
        {
            'note_id': note.note_id,
            'noted_at': note.noted_at,
            'text': note.note_text,
            'has_subjective': note.has_subjective,
            'has_objective': note.has_objective,
            'has_assessment': note.has_assessment,
            'has_plan': note.has_plan,
            'char_count': note.char_count,
            'word_count': note.word_count
        } as note
    from {{ counted('soap_note') }} as note
    inner join last_note
        on note.encounter_id = last_note.encounter_id and note.note_id = last_note.newest.note_id
),

imaged as (
    select
        encounter_id,
        {{ in_order('started_at', "{
            'started_at': started_at,
            'study_id': study_id,
            'study_instance_uid': study_instance_uid,
            'modality': modality,
            'body_site_code': body_site_code,
            'body_site_display': body_site_display,
            'series_count': series_count,
            'instance_count': instance_count,
            'study_description': study_description,
            'dicom_extracted': dicom_extracted
        }") }} as imaging
    from {{ counted('imaging_study') }}
    where encounter_id is not null
    group by encounter_id
),

sequenced as (
    select
        encounter_id,
        {{ in_order('reported_at', "{
            'reported_at': reported_at,
            'report_id': report_id,
            'panel_name': panel_name,
            'result_summary': result_summary,
            'has_pathogenic_variant': has_pathogenic_variant,
            'data_limitation': data_limitation
        }") }} as genomics
    from {{ counted('genomic_report') }}
    where encounter_id is not null
    group by encounter_id
),

traced as (
    select
        encounter_id,
        {{ in_order('reported_at', "{
            'reported_at': reported_at,
            'ecg_id': ecg_id,
            'conclusion': conclusion,
            'rhythm': rhythm,
            'heart_rate_bpm': heart_rate_bpm,
            'pr_interval_ms': pr_interval_ms,
            'qrs_duration_ms': qrs_duration_ms,
            'has_waveform': has_waveform
        }") }} as ecgs
    from {{ counted('ecg_metadata') }}
    where encounter_id is not null
    group by encounter_id
)

select
    {{ uuid5("'Encounter/' || encounter.encounter_id") }} as encounter_summary_id,
    '{{ contract_version() }}' as contract_version,
    encounter.encounter_id,
    encounter.patient_id,
    encounter.encounter_date,
    encounter.started_at as encounter_started_at,
    encounter.ended_at as encounter_ended_at,
    encounter.class_code as encounter_class,
    encounter.type_code as encounter_type_code,
    encounter.type_system as encounter_type_system,
    encounter.type_display as encounter_type_display,
    encounter.status as encounter_status,
    encounter.reason_code,
    encounter.reason_system,
    encounter.reason_display,
    encounter.provider_id,
    {{ age_years('patient.birth_date', 'encounter.encounter_date') }} as age_years,
    patient.gender as sex,
    list_concat(active_condition.conditions, []) as conditions,
    list_concat(active_medication.medications, []) as medications,
    list_concat(observed.vitals, []) as vitals,
    list_concat(observed.labs, []) as labs,
    list_concat(performed.procedures, []) as procedures,
    noted.note,
    coalesce(noted.note_count, 0)::integer as note_count,
    list_concat(traced.ecgs, []) as ecgs,
    list_concat(imaged.imaging, []) as imaging,
    list_concat(sequenced.genomics, []) as genomics,
    {{ silver_snapshot() }}::bigint as silver_snapshot_id
from encounter
left join {{ counted('patient') }} as patient on encounter.patient_id = patient.patient_id
left join active_condition on encounter.encounter_id = active_condition.encounter_id
left join active_medication on encounter.encounter_id = active_medication.encounter_id
left join observed on encounter.encounter_id = observed.encounter_id
left join performed on encounter.encounter_id = performed.encounter_id
left join noted on encounter.encounter_id = noted.encounter_id
left join traced on encounter.encounter_id = traced.encounter_id
left join imaged on encounter.encounter_id = imaged.encounter_id
left join sequenced on encounter.encounter_id = sequenced.encounter_id
