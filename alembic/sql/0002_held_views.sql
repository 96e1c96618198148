-- One row per rule, as its layer was evaluated last: what each rule says now. A rule that was
-- corrected or deleted since is not in the newest evaluation, and so not here.
create view ops.current_check as
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
from (values ('bronze'), ('silver'), ('gold'), ('marts'), ('published')) as layers (layer)
cross join lateral (
    select evaluated.checked_at
    from check_result as evaluated
    where evaluated.layer = layers.layer
    order by evaluated.checked_at desc
    limit 1
) as newest
inner join check_result
    on layers.layer = check_result.layer and newest.checked_at = check_result.checked_at;

-- One row per rule that fails now.
create view ops.failing_check as
select
    layer,
    table_name,
    rule,
    column_name,
    severity,
    observed,
    expected,
    message,
    build_id,
    checked_at
from ops.current_check
where not passed;

-- One row per submission that is held and error rule that its rows break.
create view ops.held_submission as
select
    submission.submission_id,
    submission.submitter,
    submission.file_type,
    submission_hold.layer,
    submission_hold.table_name,
    submission_hold.rule,
    submission_hold.column_name,
    submission_hold.observed,
    submission_hold.expected,
    submission_hold.message,
    submission_hold.build_id,
    submission_hold.held_at,
    (submission_hold.observed ->> 'unexpected')::double precision as unexpected,
    (submission_hold.observed ->> 'checked')::double precision as checked,
    (submission_hold.observed ->> 'share')::double precision as share
from submission
inner join submission_hold on submission.submission_id = submission_hold.submission_id
where submission.state = 'HELD' and submission_hold.status = 'held';
