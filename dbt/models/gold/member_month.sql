-- Grain: one row per member and month in which he was enrolled for at least one day.
-- An enrolment that has not ended lasts until the last month that claims or enrolments tell of.
with span as (
    select patient_id, payer, started_on, ended_on, months
    from {{ ref('enrollment') }}
    union all
    select patient_id, payor, {{ first_day('started_at') }}, {{ last_day_of('ended_at') }}, null
    from {{ counted('coverage') }}
    where patient_id is not null and started_at is not null
),

horizon as (
    select max(day) as last_day
    from (
        select max(coalesce(ended_on, started_on)) as day from span
        union all
        select max(coalesce(thru_date, from_date)) from {{ counted('claim') }}
    )
),

month_of_span as (
    select
        span.patient_id,
        span.payer,
        span.months,
        unnest(range(
            date_trunc('month', span.started_on)::date,
            (date_trunc('month', least(coalesce(span.ended_on, horizon.last_day), greatest(horizon.last_day, span.started_on))) + interval 1 month)::date,
            interval 1 month
        ))::date as enrolled_month
    from span
    cross join horizon
    where span.started_on is not null
)

select
    patient_id,
    enrolled_month,
    count(distinct payer)::integer as payer_count,
    min(payer) as payer
from month_of_span
where months is null or list_contains(months, month(enrolled_month))
group by patient_id, enrolled_month
