-- Grain: one row per Patient record that another one replaces.

-- https://hl7.org/fhir/R4/patient-definitions.html#Patient.link.type: a record that is replaced-by another
-- must no longer be used; `replaces` says the same from the other side. Records that replace each other
-- in a ring, and those whose successor nobody sent, stay as they are.
with recursive link as (
    select patient_id, replaced_by_id as next_id from {{ ref('patient') }} where replaced_by_id is not null
    union
    select unnest(replaces_ids), patient_id from {{ ref('patient') }} where len(replaces_ids) > 0
),

known as (
    select link.patient_id, min(link.next_id) as next_id
    from link
    semi join {{ ref('patient') }} as successor on link.next_id = successor.patient_id
    where link.patient_id != link.next_id
    group by link.patient_id
),

reached as (
    select patient_id, next_id as survivor_id from known
    union
    select reached.patient_id, known.next_id
    from reached
    inner join known on reached.survivor_id = known.patient_id
)

select reached.patient_id, reached.survivor_id
from reached
anti join known on reached.survivor_id = known.patient_id
