{#-
    Codes of claims: kept as they were written, and in the form in which they are compared (capital letters,
    no dot). What cannot be a code of its system is told, never dropped. Only the form is judged: which
    codes a year's revision has is not known here.
-#}

{% macro normal_code(code) -%}
    nullif(upper(regexp_replace({{ code }}, '[.\s]', '', 'g')), '')
{%- endmacro %}


{#- The system of a diagnosis or procedure by the revision of ICD that the claim says: 0 is 10, 9 is 9. -#}
{% macro icd_system(version, kind) -%}
    case
        when {{ version }} = '0' and {{ kind }} = 'procedure' then 'http://www.cms.gov/Medicare/Coding/ICD10'
        when {{ version }} = '0' then 'http://hl7.org/fhir/sid/icd-10-cm'
        when {{ version }} = '9' then 'http://hl7.org/fhir/sid/icd-9-cm'
        when {{ version }} = 'snomed' then 'http://snomed.info/sct'
        when contains({{ version }}, ':') then {{ version }}
    end
{%- endmacro %}


{#-
    What is wrong with the form of a normalised code, or null. Injuries and external causes have seven
    characters, the last of which says the encounter (ICD-10-CM Official Guidelines, I.A.4, I.A.5 and I.C.19.a).
-#}
{% macro code_problem(code, system, kind) -%}
    case
        when {{ system }} is null then 'no system'
        when {{ system }} = 'http://hl7.org/fhir/sid/icd-10-cm' then
            case
                when not regexp_full_match({{ code }}, '[A-Z][0-9][0-9AB][0-9A-Z]{0,4}') then 'not of its form'
                when
                    regexp_matches({{ code }}, '^([STVWX]|Y0[0-68]|Y2[1-9]|Y3)') and length({{ code }}) < 7
                    then 'seventh character missing'
            end
        when {{ system }} = 'http://www.cms.gov/Medicare/Coding/ICD10' then
            case when not regexp_full_match({{ code }}, '[0-9A-HJ-NP-Z]{7}') then 'not of its form' end
        when {{ system }} = 'http://hl7.org/fhir/sid/icd-9-cm' then
            case
                when {{ kind }} = 'procedure' then
                    case when not regexp_full_match({{ code }}, '[0-9]{2,4}') then 'not of its form' end
                when not regexp_full_match({{ code }}, '[0-9]{3,5}|V[0-9]{2,4}|E[0-9]{3,4}') then 'not of its form'
            end
        when {{ system }} = 'http://snomed.info/sct' then
            case when not regexp_full_match({{ code }}, '[1-9][0-9]{5,17}') then 'not of its form' end
    end
{%- endmacro %}


{#- `codes` of rows (kind, sequence, code, version, …) as the column of a claim. -#}
{% macro claim_codes(codes) -%}
    list_transform(
        list_transform(
            {{ codes }},
            lambda c: {
                'kind': c.kind,
                'sequence': c.sequence,
                'code': {{ normal_code('c.code') }},
                'code_as_written': c.code,
                'code_system': {{ icd_system('c.version', 'c.kind') }},
                'present_on_admission': c.present_on_admission,
                'performed_on': c.performed_on
            }
        ),
        lambda d: {
            'kind': d.kind,
            'sequence': d.sequence,
            'code': d.code,
            'code_as_written': d.code_as_written,
            'code_system': d.code_system,
            'present_on_admission': d.present_on_admission,
            'performed_on': d.performed_on,
            'problem': {{ code_problem('d.code', 'd.code_system', 'd.kind') }}
        }
    )
{%- endmacro %}


{#- HCPCS and CPT: five characters (levels I and II). -#}
{% macro procedure_problem(code, system) -%}
    case
        when {{ code }} is null then null
        when {{ system }} = 'http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets' and not regexp_full_match({{ code }}, '[0-9]{4}[0-9FMTUA]|[A-V][0-9]{4}') then 'not of its form'
    end
{%- endmacro %}
