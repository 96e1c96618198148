-- One row per view that reads one of the given views, directly or through others, deepest last.
with recursive dependent (oid, depth) as (
    select unnest(%(views)s::oid[]), 0
    union
    select r.ev_class, dependent.depth + 1
    from dependent
    join pg_depend d
        on d.refclassid = 'pg_class'::regclass
        and d.refobjid = dependent.oid
        and d.classid = 'pg_rewrite'::regclass
    join pg_rewrite r on r.oid = d.objid and r.ev_class <> dependent.oid
    where dependent.depth < 100
)

select
    c.oid,
    s.nspname as schema,
    c.relname as name,
    c.relkind::text as kind,
    max(dependent.depth) as depth
from dependent
join pg_class c on c.oid = dependent.oid
join pg_namespace s on s.oid = c.relnamespace
where dependent.depth > 0 and c.oid <> all (%(views)s::oid[])
group by c.oid, s.nspname, c.relname, c.relkind
order by depth, c.oid
