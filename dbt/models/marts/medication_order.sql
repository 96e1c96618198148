-- Grain: one row per request for a medication that counts, without identifiers.

-- A request without a date was written when the encounter was that it names. A medication of fewer patients
-- than SMALL_CELL_MINIMUM is not named.
with request as (
    select
        request.medication_request_id,
        request.patient_id,
        {{ published_code('request.code', 'request.display') }} as code,
        case when request.code is not null then request.code_system end as code_system,
        request.status,
        {{ local_date('coalesce(request.authored_at, encounter.started_at)') }} as ordered_on
    from {{ counted('medication_request') }} as request
    left join {{ counted('encounter') }} as encounter
        on request.encounter_id = encounter.encounter_id and request.authored_at is null
),

medication as (
    select
        code,
        code_system,
        {{ is_small('count(distinct patient_id)') }} as is_rare
    from request
    group by code, code_system
)

select
    {{ pseudonym("'MedicationRequest/' || request.medication_request_id") }} as order_key,
    coalesce(profile.patient_key, {{ patient_key('request.patient_id') }}) as patient_key,
    request.ordered_on,
    case when medication.is_rare then 'rare' else {{ stated('request.code') }} end as code,
    case when medication.is_rare then 'rare' else {{ stated('request.code_system') }} end as code_system,
    case
        when medication.is_rare then 'of too few patients to be named'
        else coalesce(named.display, {{ stated('request.code') }})
    end as medication,
    {{ stated('request.status') }} as status,
    case
        when not profile.is_rare then {{ age_group(age_years('patient.birth_date', 'request.ordered_on')) }}
        else 'unknown'
    end as age_group,
    case when not profile.is_rare then profile.sex else 'unknown' end as sex
from request
inner join medication
    on request.code is not distinct from medication.code and request.code_system is not distinct from medication.code_system
left join {{ counted('patient') }} as patient on request.patient_id = patient.patient_id
left join {{ ref('patient_profile') }} as profile on request.patient_id = profile.patient_id
left join {{ ref('code_name') }} as named
    on request.code = named.code and request.code_system is not distinct from named.code_system
