{#- The text of an attachment, or null where it is not text in base64. HTML loses its tags. -#}
{% macro decoded_text(data, content_type) -%}
    case
        when contains(lower(coalesce({{ content_type }}, '')), 'html')
            then regexp_replace(try(decode(from_base64(regexp_replace({{ data }}, '\s', '', 'g')))), '<[^>]*>', ' ', 'g')
        when contains({{ data }}, chr(10)) or contains({{ data }}, ' ')
            then try(decode(from_base64(regexp_replace({{ data }}, '\s', '', 'g'))))
        else try(decode(from_base64({{ data }})))
    end
{%- endmacro %}


{#- Characters that count as white space at the ends of a note. -#}
{% macro white_space() -%}
    ' ' || chr(9) || chr(10) || chr(13)
{%- endmacro %}


{#-
    Whether a note has a section: a heading (`# Plan`, `## Assessment and Plan`, `PLAN:`, `Plan` on a
    line of its own, `P:`) with one of these words. Notes without an objective section of that name
    list there what the record holds: medications count as objective.
-#}
{% macro has_section(text, words, letter) -%}
    regexp_matches(
        {{ text }},
        '(?im)^\s*(?:#+\s*[^\n]{0,40}?\b(?:{{ words | join("|") }})\b|\*{0,2}(?:{{ words | join("|") }})\*{0,2}\s*(?::|$)|{{ letter }}\s*:)'
    )
{%- endmacro %}


{#- What value_text says where the value is a waveform, whose samples stay in Bronze. -#}
{% macro waveform_text() -%}
    SampledData
{%- endmacro %}
