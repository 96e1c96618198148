-- Grain: one row per line of a claim in silver.claim. Amounts here are the line's; those of the claim are there only.
{{ config(
    key=['claim_id', 'line_key'],
    touched_by={
        'fhir_resource': "if(resource_type = 'ExplanationOfBenefit', 'ExplanationOfBenefit/' || resource_id, resource_id), ''",
        'claim_row': ['claim_id', "''"]
    },
    delete_condition="claim_id in (select claim_id from memory.scratch.claim_line__touched)",
    has_issues=false
) }}

{%- set texts = [
    'line_number', 'procedure_code', 'procedure_system', 'revenue_code', 'place_of_service', 'ndc_code', 'rendering_provider',
    'line_diagnosis_code', 'line_diagnosis_version', 'line_denial_code'
] %}
{%- set others = [
    'line_from_date', 'line_thru_date', 'units', 'drug_quantity', 'days_supply', 'line_charge_amount', 'line_allowed_amount',
    'line_paid_amount', 'line_patient_amount', 'line_deductible_amount', 'line_coinsurance_amount', 'line_adjustment_amount',
    'modifiers'
] %}

with delivered as (
    select *
    from {{ current_rows('claim_row') }} as row_of_claim
    where part != 'set'
    qualify submission_id = max(submission_id) over (partition by claim_id, layout)
),

-- A line may be told by several tables; of Synthea's transactions the charges are the lines.
line_row as (
    select
        *,
        row_number() over (
            partition by claim_id, line_number
            order by layout, source_file, source_position, row_key
        ) as place
    from delivered
    where part in ('line', 'claim_line') or (part = 'transaction' and transaction_type = 'CHARGE')
),

keyed as (
    select *, coalesce(line_number, row_key) as line_key
    from line_row
),

gathered as (
    select
        claim_id,
        line_key,
        {% for column in texts + others -%}
        arg_min({{ column }}, place) as {{ column }},
        {% endfor -%}
        arg_min(patient_id, place) as patient_id,
        arg_min(system, place) as source_system,
        arg_min(submission_id, place) as submission_id,
        arg_min(source_file, place) as source_file,
        arg_min(source_position, place) as source_position,
        arg_min(ingested_at, place) as ingested_at
    from keyed
    group by claim_id, line_key
),

-- What a header table alone says: whose claim it is.
of_claim as (
    select claim_id, any_value(patient_id) as patient_id
    from delivered
    where patient_id is not null
    group by claim_id
),

from_files as (
    select
        gathered.claim_id,
        gathered.line_key,
        gathered.line_number,
        coalesce(gathered.patient_id, of_claim.patient_id) as patient_id,
        gathered.line_from_date as from_date,
        coalesce(gathered.line_thru_date, gathered.line_from_date) as thru_date,
        {{ normal_code('gathered.procedure_code') }} as procedure_code,
        gathered.procedure_code as procedure_code_as_written,
        case
            when gathered.procedure_code is null then null
            when gathered.procedure_system = 'snomed' then 'http://snomed.info/sct'
            else 'http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets'
        end as procedure_system,
        coalesce(gathered.modifiers, []) as modifiers,
        lpad(gathered.revenue_code, 4, '0') as revenue_code,
        gathered.place_of_service,
        regexp_replace(gathered.ndc_code, '[^0-9]', '', 'g') as ndc_code,
        {{ normal_code('gathered.line_diagnosis_code') }} as diagnosis_code,
        {{ icd_system('gathered.line_diagnosis_version', "'diagnosis'") }} as diagnosis_system,
        gathered.rendering_provider,
        gathered.units,
        gathered.drug_quantity,
        gathered.days_supply,
        gathered.line_charge_amount as charge_amount,
        gathered.line_allowed_amount as allowed_amount,
        gathered.line_paid_amount as paid_amount,
        gathered.line_patient_amount as patient_amount,
        gathered.line_deductible_amount as deductible_amount,
        gathered.line_coinsurance_amount as coinsurance_amount,
        gathered.line_adjustment_amount as adjustment_amount,
        gathered.line_denial_code as denial_code,
        gathered.source_system,
        true as counts,
        gathered.submission_id,
        gathered.source_file,
        gathered.source_position,
        gathered.ingested_at
    from gathered
    left join of_claim on gathered.claim_id = of_claim.claim_id
),

resource as (
    select claim_id, patient_id, items, counts, submission_id, source_file, source_position, ingested_at
    from {{ ref('stg_fhir__claim') }}
    union all
    select
        'ExplanationOfBenefit/' || explanation_of_benefit_id,
        patient_id, items, counts, submission_id, source_file, source_position, ingested_at
    from {{ ref('stg_fhir__adjudicated_claim') }}
),

numbered as (
    select
        * exclude (items),
        unnest({{ fhir_items('items') }}) as item,
        unnest(range(1, len(items) + 1)) as place
    from resource
    where len(items) > 0
),

adjudicated_item as (
    select
        *,
        {{ adjudications('item.adjudication') }} as adjudicated
    from numbered
)

select * from from_files
union all by name
select
    claim_id,
    place::varchar as line_key,
    item.sequence::varchar as line_number,
    patient_id,
    {{ local_date("coalesce(item.\"servicedDate\", item.\"servicedPeriod\".start)") }} as from_date,
    {{ local_date("coalesce(item.\"servicedDate\", item.\"servicedPeriod\".\"end\")") }} as thru_date,
    {{ normal_code('item."productOrService".coding[1].code') }} as procedure_code,
    item."productOrService".coding[1].code as procedure_code_as_written,
    item."productOrService".coding[1].system as procedure_system,
    coalesce(
        list_filter(list_transform(item.modifier, lambda m: m.coding[1].code), lambda c: c is not null), []
    ) as modifiers,
    lpad(item.revenue.coding[1].code, 4, '0') as revenue_code,
    item."locationCodeableConcept".coding[1].code as place_of_service,
    case
        when item."productOrService".coding[1].system = 'http://hl7.org/fhir/sid/ndc'
            then regexp_replace(item."productOrService".coding[1].code, '[^0-9]', '', 'g')
    end as ndc_code,
    {{ fhir_amount('item.quantity.value::varchar') }} as units,
    coalesce({{ adjudicated('adjudicated', 'charge') }}, {{ fhir_amount('item.net.value::varchar') }}) as charge_amount,
    {{ adjudicated('adjudicated', 'allowed') }} as allowed_amount,
    {{ adjudicated('adjudicated', 'paid') }} as paid_amount,
    {{ adjudicated('adjudicated', 'patient') }} as patient_amount,
    {{ adjudicated('adjudicated', 'deductible') }} as deductible_amount,
    {{ adjudicated('adjudicated', 'coinsurance') }} as coinsurance_amount,
    case when {{ says_denied('adjudicated') }} then 'denied' end as denial_code,
    'fhir' as source_system,
    counts,
    submission_id,
    source_file,
    source_position,
    ingested_at
from adjudicated_item
