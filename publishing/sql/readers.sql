-- Sessions that hold a lock on a published table or view, or an old snapshot. Other roles' details
-- are null unless this role may see them (pg_read_all_stats).
select
    a.pid,
    a.usename as role,
    extract(epoch from clock_timestamp() - a.xact_start)::int as seconds
from pg_stat_activity a
where
    a.datname = current_database()
    and a.pid <> pg_backend_pid()
    and (
        a.backend_xmin is not null
        or exists (
            select 1
            from pg_locks l
            join pg_class c on c.oid = l.relation
            join pg_namespace s on s.oid = c.relnamespace
            where l.pid = a.pid and s.nspname like 'marts%%'
        )
    )
order by a.xact_start nulls last
limit 3
