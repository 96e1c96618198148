-- Keys of Gold's and the marts' tables of single encounters and studies that are null or not unique.
{{ broken_keys([
    ['encounter_summary', 'encounter_summary_id'],
    ['patient_merge', 'patient_id'],
    ['code_name', "coalesce(code_system, '') || '|' || code"],
    ['patient_encounter_summary', 'encounter_key'],
    ['imaging_inventory', 'study_key'],
]) }}
