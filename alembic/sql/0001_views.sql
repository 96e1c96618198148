-- One row per submission that the running build adds to Silver or removes from it.
create view pending_submission as
select
    build_submission.submission_id,
    build_submission.change,
    build_submission.build_id
from build_submission
inner join build on build_submission.build_id = build.build_id
where build.status = 'running';

-- One row per submission whose rows belong in Silver: what the last successful build left there,
-- with the changes of the running build. It stands still while a build runs, whatever is withdrawn
-- meanwhile.
create view live_submission as
select submission.submission_id
from submission
left join pending_submission
    on submission.submission_id = pending_submission.submission_id
where
    coalesce(pending_submission.change = 'added', submission.in_silver);

create schema ops;

-- One row per submission, without group, drop and file names.
create view ops.submission as
select
    submission_id,
    submitter,
    file_type,
    state,
    file_count,
    byte_count,
    supersedes,
    superseded_by,
    in_silver,
    received_at,
    staged_at,
    landed_at,
    integrated_at,
    published_at,
    withdrawn_at,
    extract(epoch from published_at - received_at)::double precision as seconds_to_publish
from submission;

-- One row per submission, file type and reason for which input was not taken.
create view ops.quarantine_reason as
select
    quarantine.submission_id,
    submission.submitter,
    submission_file.file_type,
    quarantine.reason,
    count(*) as items,
    sum(quarantine.record_count)::bigint as records,
    max(quarantine.created_at) as newest_at
from quarantine
inner join submission on quarantine.submission_id = submission.submission_id
left join submission_file
    on
        quarantine.submission_id = submission_file.submission_id
        and quarantine.path = submission_file.path
group by
    quarantine.submission_id,
    submission.submitter,
    submission_file.file_type,
    quarantine.reason;

-- One row per submission and file type: files by outcome and records that arrived, were accepted
-- or quarantined.
create view ops.file_balance as
select
    submission_id,
    file_type,
    outcome,
    count(*) as files,
    sum(size)::bigint as bytes,
    coalesce(sum(arrived), 0)::bigint as arrived,
    coalesce(sum(accepted), 0)::bigint as accepted,
    coalesce(sum(quarantined), 0)::bigint as quarantined
from submission_file
group by submission_id, file_type, outcome;

-- One row per rule and evaluation.
create view ops.check_result as
select
    id,
    build_id,
    run_id,
    layer,
    table_name,
    rule,
    column_name,
    severity,
    passed,
    observed,
    expected,
    message,
    checked_at
from check_result;

-- One row per stage: when something last reached it, and how long ago.
create view ops.freshness as
select
    stage,
    newest_at,
    extract(epoch from now() - newest_at)::double precision as age_seconds
from (
    select 'received' as stage, 1 as position, max(received_at) as newest_at from submission
    union all
    select 'staged', 2, max(staged_at) from submission
    union all
    select 'landed', 3, max(landed_at) from submission
    union all
    select 'integrated', 4, max(integrated_at) from submission
    union all
    select 'checked', 5, max(checked_at) from check_result
    union all
    select 'published', 6, max(published_at) from publish
) as stages
order by position;

-- One row per build.
create view ops.build as
select
    build.build_id,
    build.status,
    build.full_refresh,
    build.run_id,
    build.silver_snapshot,
    build.started_at,
    build.finished_at,
    extract(epoch from build.finished_at - build.started_at)::double precision as seconds,
    (
        select count(*) from build_submission
        where build_submission.build_id = build.build_id and build_submission.change = 'added'
    ) as added,
    (
        select count(*) from build_submission
        where build_submission.build_id = build.build_id and build_submission.change = 'removed'
    ) as removed
from build;

-- One row per publish.
create view ops.publish as
select
    n,
    schema_name,
    build_id,
    snapshot_id,
    state,
    row_counts,
    published_at,
    actor
from publish;
