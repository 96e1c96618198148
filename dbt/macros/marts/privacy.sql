{#- Ten-year groups; everybody over 89 is one group (45 CFR 164.514(b)(2)(i)(C)). -#}
{% macro age_group(age) -%}
    case
        when {{ age }} is null then 'unknown'
        when {{ age }} < 18 then '0-17'
        when {{ age }} < 30 then '18-29'
        when {{ age }} >= 90 then '90+'
        else ({{ age }} // 10 * 10)::integer::varchar || '-' || ({{ age }} // 10 * 10 + 9)::integer::varchar
    end
{%- endmacro %}


{#- An age, those over 89 as 90; an unknown one stays unknown (`least` passes over null). -#}
{% macro capped_age(age) -%}
    case when {{ age }} >= 90 then 90 else {{ age }} end
{%- endmacro %}


{#- Whether fewer patients than SMALL_CELL_MINIMUM stand behind a row; never where that is 0. -#}
{% macro is_small(patient_count) -%}
    ({{ patient_count }} < getvariable('small_cell_minimum'))
{%- endmacro %}


{#- A statistic of a row, or null where the row is too small to show it. -#}
{% macro shown(statistic, patient_count) -%}
    case when not {{ is_small(patient_count) }} then {{ statistic }} end
{%- endmacro %}


{% macro stated(text) -%}
    coalesce(nullif(trim({{ text }}), ''), 'unknown')
{%- endmacro %}


{#-
    A code as a published mart shows it. Text without a code is somebody's own words: all of it is one
    group there, while Silver and Gold tell it apart.
-#}
{% macro published_code(code, text) -%}
    coalesce(
        nullif(trim({{ code }}), ''),
        case when trim({{ text }}) != '' then 'text only, no code' end
    )
{%- endmacro %}
