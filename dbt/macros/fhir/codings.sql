{#-
    A CodeableConcept is said by one or several Codings. Code, system and display of a concept come
    from one and the same of them, never from two; all of them are kept in a list. The one is chosen
    by this rule (docs/decisions/0036): a Coding with a code before one without; then the code systems
    in the order of `code_systems()`, others after them; then the one that a user selected; then the
    first. https://hl7.org/fhir/R4/datatypes.html#CodeableConcept
-#}

{#-
    Code systems in their order of preference: canonical URI, and the other names under which they are
    sent (https://hl7.org/fhir/R4/terminologies-systems.html gives the OIDs).
-#}
{% macro code_systems() %}
    {{ return([
        ['http://loinc.org', ['urn:oid:2.16.840.1.113883.6.1']],
        ['http://snomed.info/sct', ['urn:oid:2.16.840.1.113883.6.96']],
        ['http://www.nlm.nih.gov/research/umls/rxnorm', ['urn:oid:2.16.840.1.113883.6.88']],
        ['http://hl7.org/fhir/sid/cvx', ['urn:oid:2.16.840.1.113883.12.292']],
        ['http://hl7.org/fhir/sid/icd-10-cm', ['urn:oid:2.16.840.1.113883.6.90']],
        ['http://hl7.org/fhir/sid/icd-10', ['urn:oid:2.16.840.1.113883.6.3']],
        ['http://www.cms.gov/Medicare/Coding/ICD10', ['http://hl7.org/fhir/sid/icd-10-pcs', 'urn:oid:2.16.840.1.113883.6.4']],
        ['http://unitsofmeasure.org', ['urn:oid:2.16.840.1.113883.6.8']],
        ['http://hl7.org/fhir/sid/icd-9-cm', ['urn:oid:2.16.840.1.113883.6.103', 'urn:oid:2.16.840.1.113883.6.104']],
        ['http://www.ama-assn.org/go/cpt', ['urn:oid:2.16.840.1.113883.6.12']],
        ['http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets', ['urn:oid:2.16.840.1.113883.6.285']],
        ['http://hl7.org/fhir/sid/ndc', ['urn:oid:2.16.840.1.113883.6.69']],
        ['http://www.whocc.no/atc', ['urn:oid:2.16.840.1.113883.6.73']],
        ['http://fdasis.nlm.nih.gov', ['urn:oid:2.16.840.1.113883.4.9']],
        ['http://dicom.nema.org/resources/ontology/DCM', ['urn:oid:1.2.840.10008.2.16.4']]
    ]) }}
{% endmacro %}


{#- What `codings` columns are. -#}
{% macro codings_type() -%}
    struct("system" varchar, code varchar, display varchar, user_selected boolean)[]
{%- endmacro %}


{#- A CodeableConcept (JSON) as a struct of its codings and its text: the one parse of a concept. -#}
{% macro parsed_concept(concept) -%}
    from_json(
        {{ concept }},
        '{"coding":[{"system":"VARCHAR","code":"VARCHAR","display":"VARCHAR","userSelected":"BOOLEAN"}],"text":"VARCHAR"}'
    )
{%- endmacro %}


{#- The same for a list of CodeableConcepts (JSON[]). -#}
{% macro parsed_concepts(concepts) -%}
    list_transform({{ concepts }}, lambda concept: {{ parsed_concept('concept') }})
{%- endmacro %}


{#- A list of Codings (JSON[]) in the form of a parsed concept without text. -#}
{% macro parsed_codings(codings) -%}
    {
        'coding': list_transform(
            {{ codings }},
            lambda coding: from_json(
                coding,
                '{"system":"VARCHAR","code":"VARCHAR","display":"VARCHAR","userSelected":"BOOLEAN"}'
            )
        ),
        'text': null::varchar
    }
{%- endmacro %}


{#- Of parsed concepts the first that has a coding, else the first: code and text come from one. -#}
{% macro first_concept(concepts) -%}
    coalesce(
        list_filter({{ concepts }}, lambda concept: len(concept.coding) > 0)[1], {{ concepts }}[1]
    )
{%- endmacro %}


{#- All codings of parsed concepts, one after the other. -#}
{% macro all_codings(concepts) -%}
    {{ codings('flatten(list_transform(' ~ concepts ~ ', lambda concept: concept.coding))') }}
{%- endmacro %}


{#-
    All codings of a parsed concept's `coding`, as they were sent (`codings_type()`); those that say
    nothing are left out, and a concept without any has an empty list.
-#}
{% macro codings(coding) -%}
    coalesce(
        list_transform(
            list_filter(
                {{ coding }}, lambda sent: sent.code is not null or sent.display is not null
            ),
            lambda sent: {
                'system': sent."system",
                'code': sent.code,
                'display': sent.display,
                'user_selected': sent."userSelected"
            }
        ),
        []::{{ codings_type() }}
    )
{%- endmacro %}


{#- The canonical name of a code system. -#}
{% macro canonical_system(system) -%}
    case
        when starts_with({{ system }}, 'urn:oid:') or {{ system }} = 'http://hl7.org/fhir/sid/icd-10-pcs'
            then
                case {{ system }}
                    {%- for uri, aliases in code_systems() %}
                    {%- for alias in aliases %}
                    when '{{ alias }}' then '{{ uri }}'
                    {%- endfor %}
                    {%- endfor %}
                    else {{ system }}
                end
        else {{ system }}
    end
{%- endmacro %}


{#-
    The coding that stands for a concept, out of its `codings`: a struct like theirs with the canonical
    name of its system, or null. Most concepts have one coding, which is then it.
-#}
{% macro preferred_coding(codings) -%}
    case len({{ codings }})
        when 0 then null
        when 1 then {{ canonical_coding(codings ~ '[1]') }}
        else
            list_sort(
                list_transform(
                    {{ codings }},
                    lambda coding, position: {
                        'has_no_code': coding.code is null,
                        'system_place': coalesce(
                            list_position(
                                {{ code_systems() | map('first') | list }},
                                {{ canonical_system('coding."system"') }}
                            ),
                            {{ code_systems() | length + 1 }}
                        ),
                        'is_unselected': not coalesce(coding.user_selected, false),
                        'position': position,
                        'coding': {{ canonical_coding('coding') }}
                    }
                )
            )[1].coding
    end
{%- endmacro %}


{% macro canonical_coding(coding) -%}
    {
        'system': {{ canonical_system(coding ~ '."system"') }},
        'code': {{ coding }}.code,
        'display': {{ coding }}.display,
        'user_selected': {{ coding }}.user_selected
    }
{%- endmacro %}


{#- Whether any coding of a concept is one of these codes of a system. -#}
{% macro has_code(codings, codes, system) -%}
    len(
        list_filter(
            {{ codings }},
            lambda coding: coding.code in ({{ sql_list(codes) }}) and {{ canonical_system('coding."system"') }} = '{{ system }}'
        )
    ) > 0
{%- endmacro %}


{#-
    The code of one system (elements with a required binding, such as a clinical status) among the
    codings of a concept; the first code where none is of that system.
-#}
{% macro code_of(codings, system) -%}
    coalesce(
        list_filter({{ codings }}, lambda coding: coding."system" = '{{ system }}' and coding.code is not null)[1].code,
        list_filter({{ codings }}, lambda coding: coding.code is not null)[1].code
    )
{%- endmacro %}


{#- The different codes among codings, in their order of appearance. -#}
{% macro codes_of(codings) -%}
    list_filter(
        list_transform({{ codings }}, lambda coding: coding.code),
        lambda code, position:
            code is not null
            and list_position(list_transform({{ codings }}, lambda coding: coding.code), code) = position
    )
{%- endmacro %}
