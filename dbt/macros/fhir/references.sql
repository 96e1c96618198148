{#-
    The id that a reference's text stands for, or null. `text` is `Type/id`, `urn:uuid:id` (what the
    landing left: an entry whose id is that UUID), absolute, `#contained` (the owner's id is put
    before it) or conditional (`Type?identifier=…`: `conditional` is the alias of a join with
    memory.scratch.conditional_reference). `types` may be several, separated by `|`.
    https://hl7.org/fhir/R4/references.html
-#}
{% macro reference_id(text, types, conditional, owner) -%}
    case
        when {{ text }} is null then null
        {%- for type in types.split('|') %}
        when starts_with({{ text }}, '{{ type }}/') and not contains({{ text }}[{{ type | length + 2 }}:], '/')
            then {{ text }}[{{ type | length + 2 }}:]
        {%- endfor %}
        when starts_with({{ text }}, 'urn:uuid:') then {{ text }}[10:]
        when starts_with({{ text }}, '#') then {{ owner }} || {{ text }}
        when contains({{ text }}, '?') then {{ (conditional ~ '.resource_id') if conditional else 'null' }}
        else nullif(regexp_extract({{ text }}, '(?:^|/)(?:{{ types }})/([A-Za-z0-9.\-]{1,64})(?:/_history/.*)?$', 1), '')
    end
{%- endmacro %}


{#- The text by which memory.scratch.conditional_reference knows a reference; null for all others. -#}
{% macro conditional_text(text) -%}
    case when contains({{ text }}, '?') then url_decode({{ text }}) end
{%- endmacro %}


{#- Why a reference gave no id. -#}
{% macro reference_issue(text, id) -%}
    case
        when {{ text }} is null or {{ id }} is not null then null
        when contains({{ text }}, '?') then 'conditional reference without its target'
        else 'reference to something else'
    end
{%- endmacro %}
