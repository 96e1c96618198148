{#-
    What a value[x] of Observation says, for the types that are neither number nor text. The element
    itself is kept beside it as JSON. https://hl7.org/fhir/R4/datatypes.html
-#}

{#- A number as people write it: 5, not 5.0. -#}
{% macro number_text(number) -%}
    if(ends_with({{ number }}::varchar, '.0'), ({{ number }}::varchar)[:-3], {{ number }}::varchar)
{%- endmacro %}


{#- A Quantity as `< 5 mg`. -#}
{% macro quantity_text(quantity) -%}
    list_transform(
        [from_json({{ quantity }}, '{"comparator":"VARCHAR","value":"JSON","unit":"VARCHAR","code":"VARCHAR"}')],
        lambda q: case
            when q.value is not null
                then concat_ws(' ', q.comparator, {{ number_text('q.value') }}, coalesce(q.unit, q.code))
        end
    )[1]
{%- endmacro %}


{#-
    An Age in years: its unit is a UCUM unit of time (https://hl7.org/fhir/R4/datatypes.html#Age), of which
    a year has 365.25 days and twelve months (UCUM, table 10). Null with a comparator or another unit.
-#}
{% macro age_in_years(age) -%}
    list_transform(
        [from_json({{ age }}, '{"comparator":"VARCHAR","value":"DOUBLE","code":"VARCHAR","unit":"VARCHAR"}')],
        lambda q: case
            when q.comparator is null
                then q.value / case coalesce(q.code, q.unit)
                    when 'a' then 1
                    when 'mo' then 12
                    when 'wk' then 365.25 / 7
                    when 'd' then 365.25
                    when 'h' then 365.25 * 24
                end
        end
    )[1]
{%- endmacro %}


{#- A Range as `low - high unit`, with one end as `>= low unit` or `<= high unit`. -#}
{% macro range_text(range) -%}
    {%- set parsed -%}
        from_json({{ range }}, '{"low":{"value":"JSON","unit":"VARCHAR","code":"VARCHAR"},"high":{"value":"JSON","unit":"VARCHAR","code":"VARCHAR"}}')
    {%- endset -%}
    list_transform(
        [{{ parsed }}],
        lambda r: nullif(
            concat_ws(
                ' ',
                case when r.high.value is null and r.low.value is not null then '>=' when r.low.value is null and r.high.value is not null then '<=' end,
                {{ number_text('r.low.value') }},
                case when r.low.value is not null and r.high.value is not null then '-' end,
                {{ number_text('r.high.value') }},
                coalesce(r.low.unit, r.low.code, r.high.unit, r.high.code)
            ),
            ''
        )
    )[1]
{%- endmacro %}


{#- A Ratio as `numerator:denominator` (`1:128`, `< 5 mg:2 mL`). -#}
{% macro ratio_text(ratio) -%}
    list_transform(
        [
            from_json(
                {{ ratio }},
                '{"numerator":{"comparator":"VARCHAR","value":"JSON","unit":"VARCHAR","code":"VARCHAR"},"denominator":{"comparator":"VARCHAR","value":"JSON","unit":"VARCHAR","code":"VARCHAR"}}'
            )
        ],
        lambda r: nullif(
            concat_ws(' ', r.numerator.comparator, {{ number_text('r.numerator.value') }}, nullif(coalesce(r.numerator.unit, r.numerator.code), '1'))
            || ':'
            || concat_ws(' ', r.denominator.comparator, {{ number_text('r.denominator.value') }}, nullif(coalesce(r.denominator.unit, r.denominator.code), '1')),
            ':'
        )
    )[1]
{%- endmacro %}


{#- A Period as an ISO 8601 interval, `..` where an end is open. -#}
{% macro period_text(period) -%}
    list_transform(
        [from_json({{ period }}, '{"start":"VARCHAR","end":"VARCHAR"}')],
        lambda p: nullif(coalesce(p.start, '..') || '/' || coalesce(p."end", '..'), '../..')
    )[1]
{%- endmacro %}


{#- Fields of the first reference range that is the normal one: of type `normal`, or without a type. -#}
{% macro reference_range(ranges) -%}
    list_filter(
        list_transform(
            {{ ranges }},
            lambda range: from_json(
                range,
                '{"low":{"value":"DOUBLE","unit":"VARCHAR","code":"VARCHAR"},"high":{"value":"DOUBLE","unit":"VARCHAR","code":"VARCHAR"},"type":{"coding":[{"code":"VARCHAR"}],"text":"VARCHAR"},"text":"VARCHAR"}'
            )
        ),
        lambda range: coalesce(
            list_contains(list_transform(range.type.coding, lambda c: c.code), 'normal'),
            range.type.text is null or lower(range.type.text) in ('normal', 'normal range')
        )
    )[1]
{%- endmacro %}


{#- What `components` of an Observation hold; also in the documentation of silver.observation. -#}
{% macro component_type() -%}
    struct(
        code varchar,
        code_system varchar,
        display varchar,
        codings {{ codings_type() }},
        value double,
        comparator varchar,
        unit varchar,
        unit_code varchar,
        value_code varchar,
        value_text varchar,
        value_json varchar,
        measure varchar,
        standard_value double,
        standard_unit varchar,
        data_absent_reason varchar,
        interpretation varchar,
        reference_low double,
        reference_high double,
        reference_text varchar
    )
{%- endmacro %}
