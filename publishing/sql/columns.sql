-- One row per column of a relation, in order, with its type as written in DDL.
select attname, format_type(atttypid, atttypmod) as type
from pg_attribute
where attrelid = %(relation)s::regclass and attnum > 0 and not attisdropped
order by attnum
