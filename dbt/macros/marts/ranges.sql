{#- Where a number lies in a range of which either end may be open; its ends belong to it. -#}
{% macro position(number, low, high) -%}
    case
        when {{ number }} < {{ low }} then 'below'
        when {{ number }} > {{ high }} then 'above'
        else 'within'
    end
{%- endmacro %}


{#-
    What an interpretation says of the range; null where it says nothing of it.
    https://terminology.hl7.org/CodeSystem-v3-ObservationInterpretation.html
-#}
{% macro interpreted(code) -%}
    case
        when {{ code }} in ('L', 'LL', 'LU', '<') then 'below'
        when {{ code }} in ('H', 'HH', 'HU', '>') then 'above'
        when {{ code }} = 'N' then 'within'
        when {{ code }} in ('A', 'AA') then 'outside'
    end
{%- endmacro %}
