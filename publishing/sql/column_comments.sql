-- One row per commented column of a view.
select attname, col_description(attrelid, attnum) as comment
from pg_attribute
where
    attrelid = %(view)s
    and attnum > 0
    and not attisdropped
    and col_description(attrelid, attnum) is not null
