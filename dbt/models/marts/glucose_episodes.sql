-- Grain: one row per episode of low or high glucose of a person, and level.
select
    {{ patient_key('subject_id') }} as patient_key,
    * exclude (subject_id)
from {{ ref('glucose_episode') }}
