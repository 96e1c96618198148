-- Newest lake snapshot, up to the given one, that changed a table of schema marts (DuckLake
-- specification: begin_snapshot made a row of the catalog valid, end_snapshot ended it).
with mart as (
    select t.table_id, t.begin_snapshot, t.end_snapshot
    from {catalog}.ducklake_table t
    join {catalog}.ducklake_schema s on s.schema_id = t.schema_id and s.schema_name = 'marts'
),

change as (
    select unnest([begin_snapshot, end_snapshot]) as snapshot_id from mart
    union all
    select unnest([f.begin_snapshot, f.end_snapshot])
    from {catalog}.ducklake_data_file f
    join mart on mart.table_id = f.table_id
    union all
    select unnest([f.begin_snapshot, f.end_snapshot])
    from {catalog}.ducklake_delete_file f
    join mart on mart.table_id = f.table_id
    union all
    select unnest([c.begin_snapshot, c.end_snapshot])
    from {catalog}.ducklake_column c
    join mart on mart.table_id = c.table_id
)

select coalesce(max(snapshot_id), 0)
from change
where snapshot_id <= {snapshot}
