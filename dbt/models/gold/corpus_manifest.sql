-- Grain: one row: what the corpus gold.encounter_summary holds, and how completely.
select
    '{{ contract_version() }}' as contract_version,
    count(*) as encounter_count,
    count(distinct patient_id) as patient_count,
    min(encounter_date) as first_encounter_date,
    max(encounter_date) as last_encounter_date,
    count(*) filter (note is not null) as with_note,
    count(*) filter (len(labs) > 0) as with_labs,
    count(*) filter (len(vitals) > 0) as with_vitals,
    count(*) filter (len(conditions) > 0) as with_conditions,
    count(*) filter (len(medications) > 0) as with_medications,
    count(*) filter (len(procedures) > 0) as with_procedures,
    count(*) filter (len(imaging) > 0) as with_imaging,
    count(*) filter (len(genomics) > 0) as with_genomics,
    count(*) filter (len(ecgs) > 0) as with_ecg,
    count(*) filter (encounter_date is null) as without_date,
    count(*) filter (age_years is null) as without_age,
    count(*) filter (
        note.has_subjective and note.has_objective and note.has_assessment and note.has_plan
    ) as with_complete_note,
    coalesce(avg(len(conditions)), 0) as conditions_per_encounter,
    coalesce(avg(len(medications)), 0) as medications_per_encounter,
    coalesce(avg(len(labs)), 0) as labs_per_encounter,
    coalesce(avg(len(vitals)), 0) as vitals_per_encounter,
    coalesce(avg(note.word_count), 0) as words_per_note,
    coalesce(count(*) / nullif(count(distinct patient_id), 0), 0)::double as encounters_per_patient,
    max(silver_snapshot_id) as silver_snapshot_id
from {{ ref('encounter_summary') }}
