-- Everything of one view that dropping it would lose, but its columns.
select
    pg_get_viewdef(c.oid) as definition,
    pg_get_userbyid(c.relowner) as owner,
    coalesce(c.reloptions, '{}') as options,
    obj_description(c.oid, 'pg_class') as comment,
    c.relacl is not null as has_privileges
from pg_class c
where c.oid = %(view)s
