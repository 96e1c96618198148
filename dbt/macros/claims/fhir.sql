{#- What FHIR's Claim and ExplanationOfBenefit say of lines, codes and money. https://hl7.org/fhir/R4/explanationofbenefit.html -#}

{% macro fhir_amount(number) -%}
    try_cast({{ number }} as decimal(18, 4))
{%- endmacro %}


{#- Adjudications (JSON[]) as a list of category code, amount and reason. -#}
{% macro adjudications(list) -%}
    list_transform(
        list_transform(
            {{ list }},
            lambda a: from_json(a, '{"category":{"coding":[{"code":"VARCHAR"}]},"amount":{"value":"JSON"},"reason":{"coding":[{"code":"VARCHAR"}],"text":"VARCHAR"}}')
        ),
        lambda p: {
            'categories': list_transform(p.category.coding, lambda c: lower(c.code)),
            'amount': {{ fhir_amount('p.amount.value::varchar') }},
            'reason': coalesce(p.reason.coding[1].code, p.reason.text)
        }
    )
{%- endmacro %}


{#-
    The amount of the first adjudication of a kind: FHIR's and CARIN's categories, and the variables by which
    Blue Button names the fields of the claim.
-#}
{% macro adjudicated(list, kind) -%}
    {%- set patterns = {
        'charge': 'submitted|.*/(line_sbmtd_chrg_amt|rev_cntr_tot_chrg_amt|clm_tot_chrg_amt)',
        'allowed': 'eligible|allowed|.*/(line_alowd_chrg_amt|nch_carr_clm_alowd_amt)',
        'paid': 'benefit|paidtoprovider|.*/(line_nch_pmt_amt|rev_cntr_pmt_amt_amt|clm_pmt_amt)',
        'patient': 'paidbypatient|memberliability|.*/(line_bene_pmt_amt|rev_cntr_ptnt_rspnsblty_pmt)',
        'deductible': 'deductible|.*/(line_bene_ptb_ddctbl_amt|rev_cntr_cash_ddctbl_amt)',
        'coinsurance': 'coinsurance|copay|.*/(line_coinsrnc_amt|rev_cntr_coinsrnc_wge_adjstd_c)'
    } -%}
    list_filter(
        {{ list }},
        lambda f: f.amount is not null
        and len(list_filter(f.categories, lambda g: regexp_full_match(g, '{{ patterns[kind] }}'))) > 0
    )[1].amount
{%- endmacro %}


{#- Whether any of them says that nothing is paid. -#}
{% macro says_denied(list) -%}
    coalesce(
        len(list_filter(
            {{ list }},
            lambda f: len(list_filter(f.categories, lambda g: g in ('denialreason', 'denied', 'noncovered-denied'))) > 0
            or f.reason in ('denied')
        )) > 0,
        false
    )
{%- endmacro %}


{#- Diagnoses and procedures (JSON[]) in the form of `claim_row.codes`; their systems stand in `version`. -#}
{% macro fhir_claim_codes(diagnoses, procedures) -%}
    list_concat(
        list_filter(
            list_transform(
                list_transform(
                    {{ diagnoses }},
                    lambda d: from_json(d, '{"sequence":"INTEGER","diagnosisCodeableConcept":{"coding":[{"system":"VARCHAR","code":"VARCHAR"}]},"type":[{"coding":[{"code":"VARCHAR"}]}],"onAdmission":{"coding":[{"code":"VARCHAR"}]}}')
                ),
                lambda p: {
                    'kind': case
                        when len(list_filter(p.type, lambda t: t.coding[1].code = 'principal')) > 0 then 'principal'
                        when len(list_filter(p.type, lambda t: t.coding[1].code = 'admitting')) > 0 then 'admitting'
                        else 'diagnosis'
                    end,
                    'sequence': p.sequence,
                    'code': p."diagnosisCodeableConcept".coding[1].code,
                    'version': p."diagnosisCodeableConcept".coding[1].system,
                    'present_on_admission': upper(p."onAdmission".coding[1].code),
                    'performed_on': null::date
                }
            ),
            lambda q: q.code is not null
        ),
        list_filter(
            list_transform(
                list_transform(
                    {{ procedures }},
                    lambda d: from_json(d, '{"sequence":"INTEGER","date":"VARCHAR","procedureCodeableConcept":{"coding":[{"system":"VARCHAR","code":"VARCHAR"}]}}')
                ),
                lambda p: {
                    'kind': 'procedure',
                    'sequence': p.sequence,
                    'code': p."procedureCodeableConcept".coding[1].code,
                    'version': p."procedureCodeableConcept".coding[1].system,
                    'present_on_admission': null::varchar,
                    'performed_on': try_cast(left(p.date, 10) as date)
                }
            ),
            lambda q: q.code is not null
        )
    )
{%- endmacro %}


{#- The claim that a resource replaces (Claim.related of relationship prior or replaces), as the reference's id. -#}
{% macro replaced_claim(related) -%}
    list_filter(
        list_transform(
            list_transform(
                {{ related }},
                lambda r: from_json(r, '{"claim":{"reference":"VARCHAR"},"relationship":{"coding":[{"code":"VARCHAR"}]},"reference":{"value":"VARCHAR"}}')
            ),
            lambda p: case
                when coalesce(p.relationship.coding[1].code, 'prior') in ('prior', 'replaces', 'replacedby') and p.relationship.coding[1].code is distinct from 'replacedby'
                    then coalesce(regexp_extract(p.claim.reference, '([^/]+)$', 1), p.reference.value)
            end
        ),
        lambda q: q is not null
    )[1]
{%- endmacro %}


{#- Items (JSON[]) as structs: the lines of a claim. -#}
{% macro fhir_items(items) -%}
    list_transform(
        {{ items }},
        lambda i: from_json(
            i,
            '{"sequence":"INTEGER","revenue":{"coding":[{"code":"VARCHAR"}]},"productOrService":{"coding":[{"system":"VARCHAR","code":"VARCHAR"}]},"modifier":[{"coding":[{"code":"VARCHAR"}]}],"servicedDate":"VARCHAR","servicedPeriod":{"start":"VARCHAR","end":"VARCHAR"},"locationCodeableConcept":{"coding":[{"code":"VARCHAR"}]},"quantity":{"value":"JSON"},"net":{"value":"JSON"},"adjudication":["JSON"]}'
        )
    )
{%- endmacro %}


{#- Category of service of a type of claim (http://terminology.hl7.org/CodeSystem/claim-type); C4BB tells inpatient from outpatient. -#}
{% macro fhir_service_category(type) -%}
    case {{ type }}
        when 'inpatient-facility' then 'inpatient'
        when 'outpatient-facility' then 'outpatient'
        when 'professional-nonclinician' then 'professional'
        when 'oral' then 'dental'
        else {{ type }}
    end
{%- endmacro %}
