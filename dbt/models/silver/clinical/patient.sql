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
    list_filter(
        list_transform(replaces_references, lambda other: {{ reference_id('other', 'Patient', none, 'patient_id') }}),
        lambda id: id is not null
    ) as replaces_ids,
    submission_id,
    source_file,
    source_position,
    ingested_at,
    issues
from housed
