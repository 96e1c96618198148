-- Whether no open transaction is older than the rows of a publication. Run after
-- VACUUM (FREEZE) of its table "publication", which is filled last: vacuum advances relfrozenxid
-- past the row's transaction only when no snapshot of this database is older.
select age(c.relfrozenxid) < age(p.xmin) as visible
from {publication} p
join pg_class c on c.oid = p.tableoid
