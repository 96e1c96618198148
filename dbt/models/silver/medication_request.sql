-- Grain: one row per MedicationRequest.
{{ config(unique_key='medication_request_id') }}

-- The code is in the request, in a Medication contained in it, or in a Medication of its own.
select
    request.medication_request_id,
    request.patient_id,
    request.encounter_id,
    coalesce(request.code, request.contained_code, medication.code) as code,
    coalesce(
        request.code_system, request.contained_code_system, medication.code_system
    ) as code_system,
    coalesce(
        request.display,
        request.text,
        request.contained_display,
        request.contained_text,
        medication.display,
        medication.text
    ) as display,
    request.status,
    request.intent,
    request.authored_at,
    request.ended_at,
    request.dosage_text,
    request.do_not_perform,
    request.counts,
    request.submission_id,
    request.source_file,
    request.source_position,
    request.ingested_at,
    request.issues
from {{ ref('stg_fhir__medication_request') }} as request
left join {{ ref('medication') }} as medication
    on request.medication_id = medication.medication_id
