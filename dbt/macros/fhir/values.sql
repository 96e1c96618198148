{#-
    A FHIR date, dateTime or instant exactly as written (offset and partial precision kept), or null
    where it is none. The usual full forms are decided by casts; patterns see only the rest.
    https://hl7.org/fhir/R4/datatypes.html#dateTime
-#}
{% macro fhir_date(text) -%}
    case
        when {{ text }} is null then null
        when length({{ text }}) > 19 and {{ text }}[11] = 'T' and try_cast({{ text }} as timestamptz) is not null
            then {{ text }}
        when
            regexp_full_match(
                {{ text }},
                '[0-9]{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12][0-9]|3[01])(T([01][0-9]|2[0-3]):[0-5][0-9](:([0-5][0-9]|60)([.][0-9]+)?)?(Z|[+-][0-9]{2}:[0-9]{2})?)?)?)?'
            )
            and try_cast(({{ text }} || '-01-01')[1:10] as date) is not null
            then {{ text }}
    end
{%- endmacro %}


{#- The local calendar date of a FHIR date; null where it is only a year or a month. -#}
{% macro local_date(text) -%}
    case when length({{ text }}) >= 10 then try_cast({{ text }}[1:10] as date) end
{%- endmacro %}


{#- The first calendar day that a (perhaps partial) FHIR date can mean. -#}
{% macro first_day(text) -%}
    try_cast(({{ text }} || '-01-01')[1:10] as date)
{%- endmacro %}


{#- The last calendar day that a (perhaps partial) FHIR date can mean. -#}
{% macro last_day_of(text) -%}
    case length({{ text }})
        when 4 then try_cast({{ text }} || '-12-31' as date)
        when 7 then last_day(try_cast({{ text }} || '-01' as date))
        else try_cast({{ text }}[1:10] as date)
    end
{%- endmacro %}


{#-
    The instant that a FHIR date or time means: what is earlier and later is decided by it, never by the
    text. Of a date without a time it is the first instant, in UTC.
-#}
{% macro instant_of(text) -%}
    coalesce({{ instant(text) }}, {{ first_day(text) }}::timestamptz)
{%- endmacro %}


{#- The earliest of a list of FHIR dates or times, as written. -#}
{% macro earliest(texts) -%}
    list_sort(
        list_transform(
            list_filter({{ texts }}, lambda written: {{ fhir_date('written') }} is not null),
            lambda written: {'instant': {{ instant_of('written') }}, 'written': written}
        )
    )[1].written
{%- endmacro %}


{#- A header value, or null where it is a placeholder for none. -#}
{% macro known(text) -%}
    case
        when
            upper(trim({{ text }})) not in (
                '', 'UNKNOWN', 'UNK', 'NONE', 'N/A', 'NA', 'NULL', 'NOT SPECIFIED', 'UNSPECIFIED', 'ANONYMIZED', 'ANONYMOUS', '?', '-'
            )
            then trim({{ text }})
    end
{%- endmacro %}


{#- Values that were dropped in a row: a list of columns and reasons, null where there are none. -#}
{% macro issues(found) -%}
    nullif(
        list_filter(
            [
                {%- for column, reason in found %}
                {'column_name': '{{ column }}', 'reason': {{ reason }}}{{ ',' if not loop.last }}
                {%- endfor %}
            ]::struct(column_name varchar, reason varchar)[],
            lambda issue: issue.reason is not null
        ),
        []
    )
{%- endmacro %}


{#-
    A DICOM date as an ISO date; null where it is none. YYYYMMDD (PS3.5 table 6.2-1, DA), YYYY.MM.DD as
    ACR-NEMA and DICOM before 3.0 wrote it, or with hyphens. A range, which only queries may hold, is
    none. 00010101 and 19000101 are what anonymisers put in the place of a date that was taken out.
-#}
{% macro dicom_date(text) -%}
    case
        when
            trim({{ text }}) not in ('00010101', '19000101')
            and regexp_full_match(
                trim({{ text }}), '[0-9]{4}([0-9]{4}|[.][0-9]{2}[.][0-9]{2}|-[0-9]{2}-[0-9]{2})'
            )
            then try_cast(try_strptime(regexp_replace({{ text }}, '[^0-9]', '', 'g'), '%Y%m%d') as date)::varchar
    end
{%- endmacro %}


{#- Whether a DICOM date says something that is neither a date nor a placeholder for none. -#}
{% macro is_unread_dicom_date(text) -%}
    (
        coalesce(trim({{ text }}), '') not in ('', '00010101', '19000101')
        and {{ dicom_date(text) }} is null
    )
{%- endmacro %}
