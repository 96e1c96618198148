{#-
    The id that a reference's text stands for, or null. `text` is `Type/id`, `urn:uuid:id` or
    `urn:oid:id` (what the landing left: an entry whose id is that UUID, in small letters, or OID),
    absolute, with a version or not, `#contained` (the owner's id is put before it) or conditional
    (`Type?identifier=…`: `conditional` is the alias of a join with memory.scratch.conditional_reference).
    With `contained`, the keys of what the owner contains, `#contained` that is not there has no id.
    `types` may be several, separated by `|`. Ids are taken whole.
    https://hl7.org/fhir/R4/references.html
-#}
{% macro reference_id(text, types, conditional, owner, contained=none) -%}
    case
        when {{ text }} is null then null
        {%- for type in types.split('|') %}
        when starts_with({{ text }}, '{{ type }}/') and not regexp_matches({{ text }}[{{ type | length + 2 }}:], '[/?#|\s]|^$')
            then {{ text }}[{{ type | length + 2 }}:]
        {%- endfor %}
        when starts_with({{ text }}, 'urn:uuid:') then lower({{ text }}[10:])
        when starts_with({{ text }}, 'urn:oid:') then {{ text }}[9:]
        when starts_with({{ text }}, '#')
            {%- if contained %}
            and not coalesce(
                list_has_any({{ contained }}, [{% for type in types.split('|') %}'{{ type }}/' || {{ text }}[2:]{{ ', ' if not loop.last }}{% endfor %}]),
                false
            )
            then null
        when starts_with({{ text }}, '#')
            {%- endif %}
            then {{ owner }} || {{ text }}
        when contains({{ text }}, '?') then {{ (conditional ~ '.resource_id') if conditional else 'null' }}
        else nullif(regexp_extract({{ text }}, '(?:^|/)(?:{{ types }})/([^/?#|\s]+)(?:/_history/[^/?#]*)?/?$', 1), '')
    end
{%- endmacro %}


{#- The ids that a list of references stands for; those that stand for none are left out. -#}
{% macro reference_ids(texts, types, owner, contained) -%}
    list_filter(
        list_transform({{ texts }}, lambda named: {{ reference_id('named', types, none, owner, contained) }}),
        lambda id: id is not null
    )
{%- endmacro %}


{#- `Type/id` of contained resources, parsed with these two elements. -#}
{% macro contained_keys(parsed) -%}
    list_transform({{ parsed }}, lambda held: held."resourceType" || '/' || held.id)
{%- endmacro %}


{#- The text by which memory.scratch.conditional_reference knows a reference; null for all others. -#}
{% macro conditional_text(text) -%}
    case when contains({{ text }}, '?') then url_decode({{ text }}) end
{%- endmacro %}


{#- Why references of a list gave no id. -#}
{% macro reference_list_issue(texts, ids) -%}
    case
        when coalesce(len({{ texts }}), 0) = coalesce(len({{ ids }}), 0) then null
        when len(list_filter({{ texts }}, lambda named: starts_with(named, '#'))) > len(list_filter({{ ids }}, lambda id: contains(id, '#')))
            then 'contained reference without its target'
        when len(list_filter({{ texts }}, lambda named: contains(named, '?'))) > 0 then 'conditional reference without its target'
        else 'reference to something else'
    end
{%- endmacro %}


{#- Why a reference gave no id. -#}
{% macro reference_issue(text, id) -%}
    case
        when {{ text }} is null or {{ id }} is not null then null
        when starts_with({{ text }}, '#') then 'contained reference without its target'
        when contains({{ text }}, '?') then 'conditional reference without its target'
        else 'reference to something else'
    end
{%- endmacro %}
