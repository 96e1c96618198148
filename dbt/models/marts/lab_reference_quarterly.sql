-- Grain: one row per quarter, laboratory code, code system, unit, whose range it is, sex and age group.

-- A number is judged by the range that its result carries in the same unit; without one, of an adult, by the
-- usual range of its measure. A result that is no number, or only a limit, is what its interpretation says
-- (HL7 v3 ObservationInterpretation).
with result as (
    select
        patient_id,
        {{ local_date('coalesce(effective_at, effective_end_at)') }} as day,
        code,
        code_system,
        display,
        unit,
        value,
        comparator,
        measure,
        standard_value,
        interpretation,
        reference_low,
        reference_high,
        reference_unit
    from {{ counted('observation') }}
    where list_contains(categories, 'laboratory') and code is not null
),

described as (
    select
        result.* exclude (reference_low, reference_high, reference_unit, value, comparator),
        case when result.comparator is null then result.value end as number,
        case when coalesce(result.reference_unit, result.unit, '') = coalesce(result.unit, '') then result.reference_low end as own_low,
        case when coalesce(result.reference_unit, result.unit, '') = coalesce(result.unit, '') then result.reference_high end as own_high,
        coalesce(profile.sex, 'unknown') as sex,
        {{ age_years('patient.birth_date', 'result.day') }} as age
    from result
    left join {{ counted('patient') }} as patient on result.patient_id = patient.patient_id
    left join {{ ref('patient_profile') }} as profile on result.patient_id = profile.patient_id
    where result.day is not null
),

judged as (
    select
        described.*,
        case
            when described.number is not null and coalesce(described.own_low, described.own_high) is not null
                then 'of the result'
            when {{ interpreted('described.interpretation') }} is not null then 'of the result'
            when described.number is not null and typical.measure is not null then 'usual of adults'
            else 'none'
        end as range_source,
        case
            when described.number is not null and coalesce(described.own_low, described.own_high) is not null
                then {{ position('described.number', 'described.own_low', 'described.own_high') }}
            when {{ interpreted('described.interpretation') }} is not null
                then {{ interpreted('described.interpretation') }}
            when described.number is not null and typical.measure is not null
                then {{ position('described.standard_value', 'typical.low', 'typical.high') }}
        end as position
    from described
    left join {{ ref('typical_range') }} as typical
        on
            described.measure = typical.measure
            and described.age >= 18
            and described.standard_value is not null
            and (typical.sex is null or described.sex = typical.sex)
),

counted as (
    select
        date_trunc('quarter', day)::date as quarter,
        code,
        code_system,
        {{ stated('unit') }} as unit,
        range_source,
        sex,
        {{ age_group('age') }} as age_group,
        count(*) as result_count,
        count(*) filter (position is not null) as judged_count,
        count(*) filter (position = 'below') as below_count,
        count(*) filter (position = 'above') as above_count,
        count(*) filter (position = 'outside') as abnormal_count,
        count(distinct patient_id) as patient_count
    from judged
    group by all
)

select
    counted.quarter,
    counted.code,
    {{ stated('counted.code_system') }} as code_system,
    coalesce(named.display, counted.code) as test,
    counted.unit,
    counted.range_source,
    counted.sex,
    counted.age_group,
    {{ shown('counted.result_count', 'counted.patient_count') }} as result_count,
    {% for statistic in ['judged_count', 'below_count', 'above_count', 'abnormal_count'] -%}
    {{ shown('counted.' ~ statistic, 'counted.patient_count') }} as {{ statistic }},
    {% endfor -%}
    {{ shown('counted.patient_count', 'counted.patient_count') }} as patient_count,
    {{ is_small('counted.patient_count') }} as suppressed
from counted
left join {{ ref('code_name') }} as named
    on counted.code = named.code and counted.code_system is not distinct from named.code_system
