-- Keys of Silver's tables that are null, or not the only one of their value.
{{ broken_keys(keyed_tables() + [
    ['resource_link', "resource_type || '/' || resource_id || ' ' || target_type || '/' || target_id"],
    ['resource_identifier', "resource_type || '/' || resource_id || ' ' || coalesce(identifier_key, '')"],
    ['resource_identity', "resource_type || '/' || resource_id || ' ' || coalesce(identifier_key, '')"],
    ['data_issue', "table_name || ' ' || resource_type || '/' || resource_id || ' ' || column_name || ' ' || reason"],
]) }}
