{#- Namespace of this project's name-based UUIDs; part of the contract, so it never changes. -#}
{% macro uuid_namespace() %}
    {{ return('0b6fd5d1-6a5c-5c0e-9d0f-6c5f3c1d7a42') }}
{% endmacro %}


{#- Name-based UUID, version 5 (RFC 9562, 5.5), equal to Python's uuid.uuid5(namespace, name). -#}
{% macro uuid5(name) -%}
    {%- set namespace_bytes = [] -%}
    {%- set digits = uuid_namespace() | replace('-', '') -%}
    {%- for i in range(0, 32, 2) %}{% do namespace_bytes.append('\\x' ~ digits[i:i + 2]) %}{% endfor -%}
    {%- set digest = "sha1('" ~ (namespace_bytes | join('')) ~ "'::blob || encode(" ~ name ~ "))" -%}
    concat(
        left({{ digest }}, 12),
        '5',
        substr({{ digest }}, 14, 3),
        '89ab89ab89ab89ab'[strpos('0123456789abcdef', {{ digest }}[17])],
        substr({{ digest }}, 18, 15)
    )::uuid
{%- endmacro %}


{#-
    A key that stands for an identifier in marts: SHA-256 keyed twice with PRIVACY_KEY, 32 hex digits.
    The same id gives the same key as long as the key stays; without it nobody can go back or guess.
-#}
{% macro pseudonym(value) -%}
    left(
        sha256(
            getvariable('privacy_key') || sha256(getvariable('privacy_key') || {{ value }})
        ),
        32
    )
{%- endmacro %}
{% macro patient_key(value) -%}
    {{ pseudonym("'Patient/' || " ~ value) }}
{%- endmacro %}


{#- Version of the contract of gold.encounter_summary, as its YAML states it. -#}
{% macro contract_version() -%}
    {%- if execute -%}
    {{- graph.nodes['model.lakehouse.encounter_summary'].config.meta.contract_version -}}
    {%- endif -%}
{%- endmacro %}
