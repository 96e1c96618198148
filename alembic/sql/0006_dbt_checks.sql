-- One row per rule, as its layer was evaluated last: what each rule says now. A rule that was
-- corrected or deleted since is not in the newest evaluation, and so not here. Rules that are nodes of
-- dbt (`dbt_…`) are evaluated when dbt runs, the others also in between.
create or replace view ops.current_check as
select
    check_result.layer,
    check_result.table_name,
    check_result.rule,
    check_result.column_name,
    check_result.severity,
    check_result.passed,
    check_result.observed,
    check_result.expected,
    check_result.message,
    check_result.build_id,
    check_result.run_id,
    check_result.checked_at
from
    (values ('bronze'), ('silver'), ('gold'), ('marts'), ('published')) as layers (layer)
cross join (values (true), (false)) as kinds (is_node)
cross join lateral (
    select evaluated.checked_at
    from check_result as evaluated
    where
        evaluated.layer = layers.layer
        and starts_with(evaluated.rule, 'dbt_') = kinds.is_node
    order by evaluated.checked_at desc
    limit 1
) as newest
inner join check_result
    on
        layers.layer = check_result.layer
        and newest.checked_at = check_result.checked_at
        and starts_with(check_result.rule, 'dbt_') = kinds.is_node;
