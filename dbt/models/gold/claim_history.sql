-- Grain: one row per version of a claim: what it replaced, what replaced it, and the days between which it held.
-- On a day D those versions held with `effective_from <= D and (effective_to is null or D < effective_to)`; the
-- final action as of today is `is_final_action`. A version stands in a group with others that the source says are
-- of one claim: by its group's number, or because it names the number of the version that it replaces. A group
-- in which several are called final is no group of versions: its members stand for themselves.
with recursive version as (
    select
        claim_id,
        patient_id,
        payer,
        source_system,
        claim_number,
        claim_group,
        control_number,
        replaces_number,
        action,
        adjudication,
        is_final_as_told,
        coalesce(processed_date, paid_date, thru_date, from_date) as processed_on,
        superseded_date
    from {{ counted('claim') }}
    where told_as = 'adjudicated' and coalesce(use, 'claim') = 'claim'
),

-- The version that another one names as the one it replaces: of the same member and payer.
replaced as (
    select successor.claim_id, min(predecessor.claim_id) as replaces_claim_id
    from version as successor
    inner join version as predecessor
        on
            successor.replaces_number in (predecessor.control_number, predecessor.claim_number)
            and successor.source_system = predecessor.source_system
            and successor.patient_id is not distinct from predecessor.patient_id
            and successor.payer is not distinct from predecessor.payer
            and successor.claim_id != predecessor.claim_id
    where successor.replaces_number is not null
    group by successor.claim_id
),

-- The first version of each chain; a ring of versions that replace each other has none and is left apart.
root as (
    select claim_id, claim_id as root_id, 0 as depth
    from version
    where claim_id not in (select claim_id from replaced)
    union all
    select replaced.claim_id, root.root_id, root.depth + 1
    from replaced
    inner join root on replaced.replaces_claim_id = root.claim_id
),

grouped as (
    select
        version.*,
        replaced.replaces_claim_id as replaces_as_told,
        coalesce(root.depth, 0) as depth,
        case
            when
                version.claim_group is not null
                and count(*) filter (version.is_final_as_told) over (
                    partition by version.source_system, version.patient_id, version.claim_group
                ) <= 1
                and root.root_id is not distinct from version.claim_id
                then concat_ws('|', version.source_system, version.patient_id, version.claim_group)
            else coalesce(root.root_id, version.claim_id)
        end as group_key
    from version
    left join root on version.claim_id = root.claim_id
    left join replaced on version.claim_id = replaced.claim_id
),

-- A version that says which one it replaces stands in the group of that one.
joined as (
    select
        grouped.* exclude (group_key),
        coalesce(first_version.group_key, grouped.group_key) as claim_key
    from grouped
    left join grouped as first_version
        on grouped.group_key = first_version.claim_id and grouped.claim_id != first_version.claim_id
),

ordered as (
    select
        *,
        row_number() over versions as version_number,
        lag(claim_id) over versions as previous_id,
        lead(claim_id) over versions as next_id,
        lead(processed_on) over versions as next_on,
        last_value(action) over (versions rows between unbounded preceding and unbounded following) as last_action
    from joined
    window versions as (
        partition by claim_key
        order by
            processed_on nulls first,
            coalesce(is_final_as_told, false),
            depth,
            case action when 'original' then 0 when 'adjustment' then 1 else 2 end,
            claim_id
    )
)

select
    claim_id,
    claim_key,
    version_number::integer as version_number,
    patient_id,
    source_system,
    action,
    adjudication,
    coalesce(replaces_as_told, previous_id) as replaces_claim_id,
    next_id as replaced_by_claim_id,
    processed_on as effective_from,
    coalesce(next_on, superseded_date) as effective_to,
    next_id is null as is_final_action,
    case
        when next_id is not null then if(last_action = 'void', 'voided', 'replaced')
        when action = 'void' then 'void'
        else coalesce(adjudication, 'unknown')
    end as state
from ordered
