-- Keys of Silver's tables that are null, or not the only one of their value.
{{ broken_keys([
    ['patient', 'patient_id'],
    ['encounter', 'encounter_id'],
    ['condition', 'condition_id'],
    ['observation', 'observation_id'],
    ['procedure', 'procedure_id'],
    ['medication_request', 'medication_request_id'],
    ['soap_note', 'note_id'],
    ['imaging_study', 'study_id'],
    ['genomic_report', 'report_id'],
    ['ecg_metadata', 'ecg_id'],
    ['resource_link', "resource_type || '/' || resource_id || ' ' || target_type || '/' || target_id"],
    ['resource_identifier', "resource_type || '/' || resource_id || ' ' || coalesce(identifier_key, '')"],
    ['resource_identity', "resource_type || '/' || resource_id || ' ' || coalesce(identifier_key, '')"],
    ['data_issue', "table_name || ' ' || resource_type || '/' || resource_id || ' ' || column_name || ' ' || reason"],
] + view_tables()) }}
