-- Grain: one row per Patient.
{{ config(unique_key='patient_id') }}

select
    patient_id,
    birth_date,
    gender,
    coalesce(race, race_category) as race,
    coalesce(ethnicity, ethnicity_category) as ethnicity,
    state,
    city,
    zip,
    coalesce(deceased, deceased_at is not null) as deceased,
    deceased_at,
    submission_id,
    source_file,
    source_position,
    ingested_at,
    issues
from {{ ref('stg_fhir__patient') }}
