-- Encounters of Silver that count and that Gold lacks, and rows of Gold without their encounter.
select
    summary.encounter_id as in_gold,
    encounter.encounter_id as in_silver
from {{ ref('encounter_summary') }} as summary
full outer join (select encounter_id from {{ ref('encounter') }} where counts) as encounter on summary.encounter_id = encounter.encounter_id
where summary.encounter_id is null or encounter.encounter_id is null
