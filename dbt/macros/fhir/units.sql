{#-
    Numbers in the unit of their measure. Units, spellings and measures are the lists in dbt/units; what
    is done with them is decision 0038: exact arithmetic in whole
    numbers, from the digits that were sent.
-#}

{#-
    A unit as the lists spell it: one sign for micro, no annotations (`{beats}/min` is `/min`, `{score}`
    is `1`: UCUM, section 6), no full stop of an abbreviation. The same as transformation.units.tidied.
-#}
{% macro tidied_unit(text) -%}
    case
        when contains({{ text }}, '{')
            then
                case
                    when trim(regexp_replace({{ text }}, '\{[^{}]*\}', '', 'g')) = '' then '1'
                    else rtrim(rtrim(rtrim(trim(regexp_replace(translate({{ text }}, 'µμ', 'uu'), '\{[^{}]*\}', '', 'g')), '/'), '.'))
                end
        else nullif(rtrim(rtrim(trim(translate({{ text }}, 'µμ', 'uu')), '.')), '')
    end
{%- endmacro %}


{#-
    Of each number in `quantities` that is known as a measure: the measure, its unit and the number in it.

    `quantities` is a relation (observation_id, place, codings, value, unit_code, unit), where
    `place` tells the numbers of one Observation apart. Gives (observation_id, place, measure,
    standard_value, standard_unit, reason); `reason` says why there is no standard_value.
    Any of the codings may say what was measured; of several measures the first of the list counts.
-#}
{% macro standardised(quantities) -%}
    with measured as (
        select
            quantity.observation_id,
            quantity.place,
            arg_min(known.measure, known.rank) as measure,
            any_value(quantity.value) as value,
            any_value(quantity.unit_code) as unit_code,
            any_value(quantity.unit) as unit
        from (select *, unnest(codings) as coding from {{ quantities }}) as quantity
        inner join ({{ measure_codes() }}) as known
            on
                quantity.coding.code = known.code
                and coalesce({{ canonical_system('quantity.coding."system"') }}, 'http://loinc.org') = known.system
        group by quantity.observation_id, quantity.place
    ),

    spelling as (
        {{ unit_spellings() }}
    ),

    written as (
        select unit_code, unit, {{ tidied_unit('unit_code') }} as tidy_code, {{ tidied_unit('unit') }} as tidy_unit
        from (select distinct unit_code, unit from measured)
    ),

    -- the coded unit goes before the shown one; as it is written before capitals
    known_unit as (
        select
            written.unit_code,
            written.unit,
            coalesce(by_code.unit, by_code_in_capitals.unit, by_text.unit, by_text_in_capitals.unit) as ucum,
            coalesce(written.tidy_code, written.tidy_unit) is not null as has_unit
        from written
        left join spelling as by_code on written.tidy_code = by_code.spelling
        left join spelling as by_code_in_capitals on upper(written.tidy_code) = by_code_in_capitals.spelling
        left join spelling as by_text on written.tidy_unit = by_text.spelling
        left join spelling as by_text_in_capitals on upper(written.tidy_unit) = by_text_in_capitals.spelling
    ),

    converting as (
        select
            measured.observation_id,
            measured.place,
            measured.measure,
            measured.value,
            try_cast(measured.value::varchar as decimal(38, 18)) as exact,
            shown.standard_unit,
            known_unit.has_unit,
            if(known_unit.has_unit, known_unit.ucum, shown.unit_if_none) as ucum,
            conversion.numerator,
            conversion.addend,
            conversion.denominator
        from measured
        inner join ({{ measure_units() }}) as shown on measured.measure = shown.measure
        left join known_unit
            on
                measured.unit_code is not distinct from known_unit.unit_code
                and measured.unit is not distinct from known_unit.unit
        left join ({{ unit_conversions() }}) as conversion
            on
                measured.measure = conversion.measure
                and if(known_unit.has_unit, known_unit.ucum, shown.unit_if_none) = conversion.unit
    ),

    -- The text of a double has the digits that were sent, up to the 15 that it can hold.
    -- Whole numbers of 10^-18: `exact` times numerator, plus addend, by denominator
    converted as (
        select
            *,
            case
                when numerator = denominator and addend = 0 then null
                else try(
                    (replace(exact::varchar, '.', '')::hugeint * numerator + addend * 1000000000000000000::hugeint)
                    // denominator
                )
            end as attos
        from converting
    )

    select
        observation_id,
        place,
        measure,
        standard_unit,
        case
            when numerator = denominator and addend = 0 then value
            when attos is not null
                then (
                    if(attos < 0, '-', '')
                    || (abs(attos) // 1000000000000000000)::varchar
                    || '.'
                    || lpad((abs(attos) % 1000000000000000000)::varchar, 18, '0')
                )::double
        end as standard_value,
        case
            when not has_unit and ucum is null then 'number without a unit'
            when ucum is null then 'unknown unit'
            when numerator is null then 'unit does not fit the measure'
            when (numerator != denominator or addend != 0) and attos is null then 'number too large to convert'
        end as reason
    from converted
{%- endmacro %}
