{#- Whether a resource that carries a note says that the note counts (dbt/what_counts.yml). -#}
{% macro note_counts(resource_type, status, document_status) -%}
    case {{ resource_type }}
        when 'DocumentReference'
            then {{ record_counts('DocumentReference', {'status': status, 'document_status': document_status}) }}
        else {{ record_counts('DiagnosticReport', {'status': status}) }}
    end
{%- endmacro %}


{#- Whether a content type is plain text in UTF-8, which SQL decodes by itself. -#}
{% macro is_plain_utf8(content_type) -%}
    regexp_full_match(
        coalesce({{ content_type }}, 'text/plain'),
        '(?i)\s*text/plain\s*(?:;\s*charset\s*=\s*"?(?:utf-8|us-ascii)"?\s*)?'
    )
{%- endmacro %}


{#-
    The content type of bytes that a Binary holds for an attachment. A Binary's own (1..1 in R4) says what
    they are, unless it is the one of any bytes; where both say the same, the one with a charset.
    https://hl7.org/fhir/R4/binary.html
-#}
{% macro binary_content_type(attachment, binary) -%}
    case
        when coalesce({{ media_type(binary) }}, 'application/octet-stream') = 'application/octet-stream' then {{ attachment }}
        when {{ media_type(binary) }} = {{ media_type(attachment) }} and not contains({{ binary }}, ';') then {{ attachment }}
        else {{ binary }}
    end
{%- endmacro %}
{#-
    The bytes that stand in the resource itself for a url: those of the contained Binary that it names, or
    its own where it is a `data:` url (RFC 2397: without `;base64` its text is percent-encoded). A struct
    of content_type and data, which is base64; null for other urls.
    https://hl7.org/fhir/R4/references.html#contained
-#}
{% macro contained_binary(binaries, url) -%}
    case
        when starts_with({{ url }}, '#')
            then list_filter(
                list_transform(
                    {{ binaries }},
                    lambda held: {
                        'id': json_extract_string(held, '$.id'),
                        'content_type': json_extract_string(held, '$.contentType'),
                        'data': json_extract_string(held, '$.data')
                    }
                ),
                lambda held: '#' || held.id = {{ url }}
            )[1]
        when lower({{ url }}[:5]) = 'data:' and contains({{ url }}, ',')
            then {
                'id': null,
                'content_type': {{ data_url_type("split_part(" ~ url ~ "[6:], ',', 1)") }},
                'data': case
                    when {{ is_base64_url(url) }} then try(url_decode({{ data_url_content(url) }}))
                    else try(to_base64(encode(url_decode({{ data_url_content(url) }}))))
                end
            }
    end
{%- endmacro %}
{% macro is_base64_url(url) -%}
    regexp_matches(split_part({{ url }}, ',', 1), '(?i);\s*base64\s*$')
{%- endmacro %}
{% macro data_url_content(url) -%}
    {{ url }}[strpos({{ url }}, ',') + 1:]
{%- endmacro %}
{% macro data_url_type(header) -%}
    case
        when {{ media_type(header) }} = '' then 'text/plain'
        else ''
    end || regexp_replace({{ header }}, '(?i);\s*base64\s*$', '')
{%- endmacro %}
{% macro media_type(content_type) -%}
    lower(trim(split_part({{ content_type }}, ';', 1)))
{%- endmacro %}


{#- Characters that count as white space at the ends of a note. -#}
{% macro white_space() -%}
    ' ' || chr(9) || chr(10) || chr(13)
{%- endmacro %}


{#- A text without its white space: what is equal by it is the same text, laid out in another way. -#}
{% macro without_white_space(text) -%}
    replace(replace(replace(replace(replace({{ text }}, ' ', ''), chr(10), ''), chr(13), ''), chr(9), ''), chr(160), '')
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
