-- Tables of the lake's schema marts at the given snapshot.
select distinct t.table_name
from {catalog}.ducklake_table t
join {catalog}.ducklake_schema s on s.schema_id = t.schema_id and s.schema_name = 'marts'
where
    t.begin_snapshot <= {snapshot}
    and coalesce(t.end_snapshot > {snapshot}, true)
    and s.begin_snapshot <= {snapshot}
    and coalesce(s.end_snapshot > {snapshot}, true)
order by t.table_name
