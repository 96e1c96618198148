{#- SNOMED CT findings of a person's life that records carry as conditions, by code: below 365448001 |Social
    and personal history finding| and what Synthea, whose data are everywhere, writes of the kind. -#}
{% macro social_findings() -%}
    {{ return([
        '10939881000119105', '105531004', '160903007', '160904001', '160968000',
        '224295006', '224299000', '224355006', '266934004', '32911000', '361055000', '422650009',
        '423315002', '424393004', '446654005', '473461003', '5251000175109', '706893006', '713458007', '73438004',
        '73595000', '741062008'
    ]) }}
{%- endmacro %}


{#-
    What a Condition tells of, with a letter that orders the kinds: a social finding (category sdoh of US Core;
    ICD-10 Z55 to Z65, "socioeconomic and psychosocial circumstances"; a code of the list above), another
    finding (SNOMED CT's tag), else a diagnosis.
-#}
{% macro condition_kind(code, code_system, categories, codings) -%}
    case
        when list_contains({{ categories }}, 'sdoh') then 'a:social finding'
        when
            {{ code_system }} like '%icd-10%' and regexp_matches({{ code }}, '^Z(5[5-9]|6[0-5])')
            then 'a:social finding'
        when {{ code }} in ({{ sql_list(social_findings()) }}) then 'a:social finding'
        when
            len(list_filter({{ codings }}, lambda c: regexp_matches(c.display, '\((finding|situation|event)\)\s*$'))) > 0
            then 'b:finding'
        else 'c:diagnosis'
    end
{%- endmacro %}
