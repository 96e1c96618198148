-- Grain: one row per Patient.
{{ config(key='patient_id') }}

with housed as (
    select
        *,
        {{ current_address('addresses', 'ingested_at::date') }} as address
    from {{ ref('stg_fhir__patient') }}
)

select
    patient_id,
    birth_date,
    gender,
    coalesce(race, race_category) as race,
    coalesce(ethnicity, ethnicity_category) as ethnicity,
    address.state,
    address.city,
    address."postalCode" as zip,
    coalesce(deceased, deceased_at is not null) as deceased,
    deceased_at,
    active,
    replaced_by_id,
    replaces_ids,
    submission_id,
    source_file,
    source_position,
    ingested_at,
    issues
from housed
