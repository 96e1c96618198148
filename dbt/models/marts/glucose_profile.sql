-- Grain: one row per person, month and local hour of the day: the ambulatory glucose profile.
select
    {{ patient_key('subject_id') }} as patient_key,
    * exclude (subject_id)
from {{ ref('glucose_hour') }}
