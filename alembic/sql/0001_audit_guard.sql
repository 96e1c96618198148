-- The audit trail is append-only: also its owner has to disable this trigger before changing it,
-- and then the hash chain shows it.
create function refuse_audit_change() returns trigger
language plpgsql as $$
begin
    raise exception 'audit_event is append-only: % refused', tg_op
        using errcode = 'insufficient_privilege';
end
$$;

create trigger audit_event_rows_stay
    before update or delete on audit_event
    for each row execute function refuse_audit_change();

create trigger audit_event_table_stays
    before truncate on audit_event
    for each statement execute function refuse_audit_change();
