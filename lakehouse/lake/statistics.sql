-- The lake's catalog keeps the least and greatest value of each column and file. Of text that would be
-- names, notes and whole resources: they stay in the files. Reading needs none of them: a file is then
-- not left out by the catalog but by its own footer. Kept are numbers and times, and the two texts that
-- queries choose files by and that say nothing of anybody.
create or replace function lakehouse_is_plain(of_table bigint, of_column bigint) returns boolean
language sql stable as $$
    select exists (
        select 1
        from ducklake_column c
        where
            c.table_id = of_table
            and c.column_id = of_column
            and (
                c.column_type ~ '^(u?int|float|decimal|boolean|date|time)'
                or c.column_name in ('submission_id', 'resource_type')
            )
    )
$$;

create or replace function lakehouse_keep_text_out() returns trigger language plpgsql as $$
begin
    if coalesce(new.min_value, new.max_value, new.extra_stats) is not null
        and not lakehouse_is_plain(new.table_id, new.column_id)
    then
        new.min_value := null;
        new.max_value := null;
        new.extra_stats := null;
    end if;
    return new;
end
$$;

create or replace trigger lakehouse_keep_text_out
before insert or update on ducklake_file_column_stats
for each row execute function lakehouse_keep_text_out();

create or replace trigger lakehouse_keep_text_out
before insert or update on ducklake_table_column_stats
for each row execute function lakehouse_keep_text_out();
