-- Readers see the operations views and nothing else of this database. Run after every migration:
-- the role may be made before or after it, and new views have to be readable too.
do $$
begin
    if exists (select 1 from pg_roles where rolname = 'bi_reader') then
        grant usage on schema ops to bi_reader;
        grant select on all tables in schema ops to bi_reader;
    end if;
end
$$;
