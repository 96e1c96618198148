-- Grain: one row per pair of conditions or medications, sex, age group and year of the first of the pair (index).

-- Days from the first known day of the index to that of the event. Where one group of days is of too few
-- patients none is shown: the others and the sum would tell it.
with pair as (
    select
        index_of.kind as index_kind,
        index_of.code as index_code,
        index_of.code_system as index_code_system,
        index_of.name as index_name,
        event_of.kind as event_kind,
        event_of.code as event_code,
        event_of.code_system as event_code_system,
        event_of.name as event_name,
        index_of.sex,
        index_of.age_group,
        date_trunc('year', index_of.first_day)::date as index_year,
        date_diff('day', index_of.first_day, event_of.first_day) as days
    from {{ ref('cohort_feature') }} as index_of
    inner join {{ ref('cohort_feature') }} as event_of
        on
            index_of.patient_id = event_of.patient_id
            and (index_of.kind, index_of.code, index_of.code_system) != (event_of.kind, event_of.code, event_of.code_system)
),

counted as (
    select
        * exclude (days),
        count(*) as patient_count,
        count(*) filter (days < 0) as before_count,
        count(*) filter (days = 0) as same_day_count,
        count(*) filter (days between 1 and 30) as within_30_count,
        count(*) filter (days between 31 and 90) as within_90_count,
        count(*) filter (days between 91 and 365) as within_365_count,
        count(*) filter (days > 365) as later_count,
        count(*) filter (days is null) as undated_count,
        sum(days) filter (days > 0)::bigint as days_after_sum
    from pair
    group by all
),

{%- set groups = ['before', 'same_day', 'within_30', 'within_90', 'within_365', 'later', 'undated'] %}
guarded as (
    select
        *,
        least({% for group in groups %}nullif({{ group }}_count, 0){{ ', ' if not loop.last }}{% endfor %}) as smallest_group
    from counted
)

select
    index_kind,
    index_code,
    index_code_system,
    index_name,
    event_kind,
    event_code,
    event_code_system,
    event_name,
    sex,
    age_group,
    index_year,
    {{ shown('patient_count', 'patient_count') }} as patient_count,
    {% for group in groups -%}
    {{ shown(group ~ '_count', 'smallest_group') }} as {{ group }}_count,
    {% endfor -%}
    {{ shown('days_after_sum', 'smallest_group') }} as days_after_sum,
    {{ is_small('patient_count') }} as suppressed
from guarded
