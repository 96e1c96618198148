-- Grain: one row per person and local calendar day with sensor readings.
select
    {{ patient_key('subject_id') }} as patient_key,
    local_date,
    date_trunc('month', local_date)::date as month,
    * exclude (subject_id, local_date)
from {{ ref('glucose_day') }}
