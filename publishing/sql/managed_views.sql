-- One row per view of schema marts that publishing owns: it reads the table of its own name in a
-- schema marts_<n>. Views that people made themselves do not match and are left alone.
select
    v.oid,
    v.relname as name,
    substring(ts.nspname from '^marts_([0-9]+)$')::int as n
from pg_class v
join pg_namespace vs on vs.oid = v.relnamespace and vs.nspname = 'marts'
join pg_rewrite r on r.ev_class = v.oid
join pg_depend d
    on d.classid = 'pg_rewrite'::regclass
    and d.objid = r.oid
    and d.refclassid = 'pg_class'::regclass
join pg_class t on t.oid = d.refobjid and t.relkind = 'r' and t.relname = v.relname
join pg_namespace ts on ts.oid = t.relnamespace and ts.nspname ~ '^marts_[0-9]+$'
where v.relkind = 'v'
group by v.oid, v.relname, ts.nspname
order by v.relname
