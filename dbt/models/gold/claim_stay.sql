-- Grain: one row per stay in hospital, as claims tell of it.
-- Bills of one stay (interim bills, transfers to another hospital on the same day or the next) are one stay.
with bill as (
    select
        claim.claim_id,
        claim.patient_id,
        coalesce(claim.admission_date, claim.from_date) as admitted_on,
        coalesce(claim.discharge_date, claim.thru_date) as left_on,
        claim.discharge_status,
        claim.drg_code,
        claim.paid_amount,
        claim.admission_type
    from {{ counted('claim') }} as claim
    inner join {{ ref('claim_history') }} as history
        on claim.claim_id = history.claim_id and history.is_final_action and history.state not in ('void', 'denied', 'rejected')
    where claim.service_category = 'inpatient' and claim.patient_id is not null
),

marked as (
    select
        *,
        coalesce(
            admitted_on > max(left_on) over (
                partition by patient_id
                order by admitted_on, left_on, claim_id
                rows between unbounded preceding and 1 preceding
            ) + interval 1 day,
            true
        ) as begins
    from bill
    where admitted_on is not null and left_on >= admitted_on
),

numbered as (
    select
        *,
        count(*) filter (begins) over (
            partition by patient_id
            order by admitted_on, left_on, claim_id
        ) as stay_number
    from marked
),

stay as (
    select
        patient_id,
        stay_number::integer as stay_number,
        min(admitted_on) as admitted_on,
        max(left_on) as discharged_on,
        arg_max(discharge_status, (left_on, claim_id)) as discharge_status,
        arg_min(drg_code, (admitted_on, claim_id)) as drg_code,
        arg_min(admission_type, (admitted_on, claim_id)) as admission_type,
        sum(paid_amount)::decimal(18, 4) as paid_amount,
        count(*)::integer as bill_count
    from numbered
    group by patient_id, stay_number
)

-- A day of admission and discharge is one of length 1 (CMS counts days in hospital; the same day is one).
-- Discharge status 20, 40, 41 and 42: died; 30: still a patient.
select
    patient_id,
    stay_number,
    admitted_on,
    discharged_on,
    greatest(discharged_on - admitted_on, 1)::integer as length_days,
    discharge_status,
    drg_code,
    admission_type,
    paid_amount,
    bill_count,
    ltrim(discharge_status, '0') in ('20', '40', '41', '42') as died,
    coalesce(ltrim(discharge_status, '0') = '30', false) as is_still_patient,
    lead(admitted_on) over (partition by patient_id order by stay_number) as next_admitted_on,
    coalesce(
        lead(admitted_on) over (partition by patient_id order by stay_number) - discharged_on <= 30
        and not coalesce(ltrim(discharge_status, '0') in ('20', '40', '41', '42', '30'), false),
        false
    ) as is_readmitted_within_30_days
from stay
