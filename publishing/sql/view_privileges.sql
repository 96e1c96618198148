-- One row per privilege on a view (column_name null) or on one of its columns; grantee null is PUBLIC.
select
    null::name as column_name,
    case when a.grantee = 0 then null else pg_get_userbyid(a.grantee) end as grantee,
    a.privilege_type,
    a.is_grantable
from pg_class c
cross join lateral aclexplode(c.relacl) a
where c.oid = %(view)s and a.grantee <> c.relowner

union all

select
    t.attname,
    case when a.grantee = 0 then null else pg_get_userbyid(a.grantee) end,
    a.privilege_type,
    a.is_grantable
from pg_attribute t
join pg_class c on c.oid = t.attrelid
cross join lateral aclexplode(t.attacl) a
where t.attrelid = %(view)s and t.attnum > 0 and not t.attisdropped and a.grantee <> c.relowner
