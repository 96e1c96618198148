-- Grain: one row per month of service and service category.

-- Final actions only: what was replaced, voided, denied or rejected is no cost. The denominator is the months of
-- enrolment of everybody, whether they had claims or not; where nobody is enrolled it is unknown.
with final as (
    select
        date_trunc('month', claim.from_date)::date as service_month,
        coalesce(claim.service_category, 'unknown') as service_category,
        claim.patient_id,
        claim.paid_amount,
        claim.allowed_amount,
        claim.charge_amount,
        claim.item_count,
        history.state
    from {{ counted('claim') }} as claim
    inner join {{ ref('claim_history') }} as history
        on claim.claim_id = history.claim_id and history.is_final_action
    where claim.from_date is not null and history.state != 'void'
),

spent as (
    select
        service_month,
        service_category,
        count(*) filter (state not in ('denied', 'rejected')) as claim_count,
        count(*) filter (state in ('denied', 'rejected')) as denied_count,
        sum(item_count) filter (state not in ('denied', 'rejected'))::bigint as line_count,
        count(distinct patient_id) as patient_count,
        sum(paid_amount) filter (state not in ('denied', 'rejected'))::double as paid_amount,
        sum(allowed_amount) filter (state not in ('denied', 'rejected'))::double as allowed_amount,
        sum(charge_amount) filter (state not in ('denied', 'rejected'))::double as charge_amount
    from final
    group by service_month, service_category
),

enrolled as (
    select enrolled_month, count(*) as member_months
    from {{ ref('member_month') }}
    group by enrolled_month
)

select
    spent.service_month,
    spent.service_category,
    {% for statistic in ['claim_count', 'denied_count', 'line_count', 'patient_count', 'paid_amount', 'allowed_amount', 'charge_amount'] -%}
    {{ shown('spent.' ~ statistic, 'spent.patient_count') }} as {{ statistic }},
    {% endfor -%}
    enrolled.member_months,
    {{ shown('spent.paid_amount / enrolled.member_months', 'spent.patient_count') }} as paid_per_member_month,
    {{ shown('1000.0 * spent.claim_count / enrolled.member_months', 'spent.patient_count') }} as claims_per_1000_member_months,
    {{ is_small('spent.patient_count') }} as suppressed
from spent
left join enrolled on spent.service_month = enrolled.enrolled_month
