-- Grain: one row per claim as a source tells of it: a FHIR Claim (billed), an ExplanationOfBenefit (adjudicated), or
-- the rows of a claims file that are about one claim. Versions of one claim have rows of their own: gold.claim_history.
{{ config(
    key='claim_id',
    touched_by={
        'fhir_resource': "if(resource_type = 'ExplanationOfBenefit', 'ExplanationOfBenefit/' || resource_id, resource_id)",
        'claim_row': ['claim_id']
    }
) }}

{%- set texts = [
    'system', 'layout', 'claim_number', 'claim_group', 'control_number', 'replaces_number', 'patient_id', 'payer', 'plan',
    'encounter_id', 'billing_provider', 'facility', 'attending_provider', 'claim_type', 'service_setting', 'bill_type',
    'frequency_code', 'action_code', 'disposition_code', 'denial_code', 'status_code', 'final_action', 'drg_code',
    'discharge_status', 'admission_type', 'admission_source'
] %}
{%- set dates = ['from_date', 'thru_date', 'admission_date', 'discharge_date', 'processed_date', 'superseded_date', 'paid_date'] %}
{%- set amounts = [
    'charge_amount', 'allowed_amount', 'paid_amount', 'patient_amount', 'deductible_amount', 'coinsurance_amount',
    'other_payer_amount'
] %}

-- A delivery tells of a claim whole: lines that the last one of a layout does not have are gone.
with delivered as (
    select *
    from {{ current_rows('claim_row') }} as row_of_claim
    where part != 'set'
    qualify submission_id = max(submission_id) over (partition by claim_id, layout)
),

placed as (
    select
        *,
        row_number() over (
            partition by claim_id
            order by part = 'claim' desc, layout, source_file, source_position, row_key
        ) as place
    from delivered
),

-- The claim's values stand on each of its lines, or in tables of their own: each is taken once, never added up.
gathered as (
    select
        claim_id,
        {% for column in texts + dates + amounts -%}
        arg_min({{ column }}, place) as {{ column }},
        {% endfor -%}
        count(distinct paid_amount) > 1 as amounts_differ,
        count(distinct line_number) filter (
            part in ('line', 'claim_line') or (part = 'transaction' and transaction_type = 'CHARGE')
        )::integer as item_count,
        sum(line_charge_amount) filter (coalesce(transaction_type, 'CHARGE') = 'CHARGE')::decimal(18, 4) as line_charge_total,
        sum(line_allowed_amount)::decimal(18, 4) as line_allowed_total,
        -- What a payer pays comes as an electronic cheque, all other payments are the patient's (Synthea).
        sum(line_paid_amount) filter (
            transaction_type is null or (transaction_type = 'PAYMENT' and transaction_method = 'ECHECK')
        )::decimal(18, 4) as line_paid_total,
        sum(line_paid_amount) filter (
            transaction_type = 'PAYMENT' and transaction_method is distinct from 'ECHECK'
        )::decimal(18, 4) as patient_paid_total,
        sum(line_deductible_amount)::decimal(18, 4) as line_deductible_total,
        sum(line_coinsurance_amount)::decimal(18, 4) as line_coinsurance_total,
        min(line_from_date) as first_line_date,
        max(coalesce(line_thru_date, line_from_date)) as last_line_date,
        bool_or(starts_with(lpad(revenue_code, 4, '0'), '045') or lpad(revenue_code, 4, '0') = '0981') as is_emergency,
        list_sort(list_distinct(flatten(list(codes) filter (codes is not null)))) as codes,
        max_by(submission_id, place) as submission_id,
        arg_min(source_file, place) as source_file,
        arg_min(source_position, place) as source_position,
        arg_min(ingested_at, place) as ingested_at
    from placed
    group by claim_id
),

completed as (
    select
        * replace (
            coalesce(charge_amount, line_charge_total) as charge_amount,
            coalesce(allowed_amount, line_allowed_total) as allowed_amount,
            coalesce(
                paid_amount, line_paid_total, case when system = 'synthea' and patient_paid_total is not null then 0 end
            )::decimal(18, 4) as paid_amount,
            coalesce(patient_amount, patient_paid_total) as patient_amount,
            coalesce(deductible_amount, line_deductible_total) as deductible_amount,
            coalesce(coinsurance_amount, line_coinsurance_total) as coinsurance_amount,
            coalesce(from_date, first_line_date) as from_date,
            coalesce(thru_date, last_line_date, from_date) as thru_date,
            -- Of a type of bill the facility and the class count; a leading zero is none of its digits.
            left(ltrim(bill_type, '0'), 2) as bill_type,
            coalesce(frequency_code, case when length(ltrim(bill_type, '0')) = 3 then right(bill_type, 1) end) as frequency_code,
            coalesce({{ claim_codes('codes') }}, []) as codes
        )
    from gathered
),

told as (
    select
        *,
        {{ claim_setting() }} as setting,
        {{ claim_action() }} as action,
        {{ claim_adjudication() }} as adjudication
    from completed
),

from_files as (
    select
        claim_id,
        patient_id,
        encounter_id,
        case
            when setting in ('professional', 'equipment') then 'professional'
            when setting in ('pharmacy', 'vision') then setting
            when setting = 'dental' then 'oral'
            when setting is not null then 'institutional'
        end as type,
        null::{{ codings_type() }} as type_codings,
        'claim' as use,
        'active' as status,
        from_date::varchar as started_at,
        thru_date::varchar as ended_at,
        processed_date::varchar as created_at,
        null::varchar as provider_id,
        null::varchar as priority,
        item_count,
        charge_amount::double as total,
        case when system in ('cms_rif', 'cms_idr', 'synthea') then 'USD' end as currency,
        payer,
        true as counts,
        system as source_system,
        'adjudicated' as told_as,
        claim_number,
        claim_group,
        control_number,
        replaces_number,
        plan,
        case when setting = 'outpatient' and is_emergency then 'emergency' else setting end as service_category,
        bill_type,
        frequency_code,
        action,
        adjudication,
        case upper(left(final_action, 1)) when 'F' then true when 'Y' then true when 'N' then false end as is_final_as_told,
        denial_code,
        from_date,
        thru_date,
        admission_date,
        discharge_date,
        discharge_status,
        admission_type,
        admission_source,
        processed_date,
        superseded_date,
        paid_date,
        drg_code,
        billing_provider,
        facility,
        attending_provider,
        charge_amount,
        allowed_amount,
        paid_amount,
        patient_amount,
        deductible_amount,
        coinsurance_amount,
        other_payer_amount,
        line_charge_total,
        line_paid_total,
        amounts_differ,
        codes,
        len(list_filter(codes, lambda c: c.problem is not null))::integer as doubtful_code_count,
        submission_id,
        source_file,
        source_position,
        ingested_at,
        null::struct(column_name varchar, reason varchar)[] as issues
    from told
),

billed as (
    select
        *,
        {{ claim_codes(fhir_claim_codes('diagnoses', 'procedures')) }} as codes
    from {{ ref('stg_fhir__claim') }}
),

answered as (
    select
        *,
        {{ claim_codes(fhir_claim_codes('diagnoses', 'procedures')) }} as codes,
        {{ adjudications('list_concat(totals, adjudications)') }} as of_claim,
        list_transform({{ fhir_items('items') }}, lambda i: {{ adjudications('i.adjudication') }}) as of_lines
    from {{ ref('stg_fhir__adjudicated_claim') }}
),

answered_amounts as (
    select
        *,
        {% for kind in ['charge', 'allowed', 'paid', 'patient', 'deductible', 'coinsurance'] -%}
        {{ adjudicated('of_claim', kind) }} as claim_{{ kind }},
        list_sum(list_transform(of_lines, lambda l: {{ adjudicated('l', kind) }}))::decimal(18, 4) as line_{{ kind }},
        {% endfor -%}
        {{ says_denied('of_claim') }}
        or (len(of_lines) > 0 and len(list_filter(of_lines, lambda l: not {{ says_denied('l') }})) = 0) as is_denied
    from answered
)

select * from from_files
union all by name
select
    claim_id,
    patient_id,
    encounter_id,
    type,
    type_codings,
    use,
    status,
    started_at,
    ended_at,
    created_at,
    provider_id,
    priority,
    item_count,
    total,
    currency,
    payer,
    counts,
    'fhir' as source_system,
    'billed' as told_as,
    claim_id as claim_number,
    {{ replaced_claim('related') }} as replaces_number,
    {{ fhir_service_category('type') }} as service_category,
    case when status = 'cancelled' then 'void' when {{ replaced_claim('related') }} is not null then 'adjustment' else 'original' end as action,
    case when status = 'active' then 'pending' end as adjudication,
    {{ local_date('started_at') }} as from_date,
    {{ local_date('ended_at') }} as thru_date,
    {{ local_date('created_at') }} as processed_date,
    {{ fhir_amount('total') }} as charge_amount,
    false as amounts_differ,
    codes,
    len(list_filter(codes, lambda c: c.problem is not null))::integer as doubtful_code_count,
    submission_id,
    source_file,
    source_position,
    ingested_at,
    issues
from billed
union all by name
select
    'ExplanationOfBenefit/' || explanation_of_benefit_id as claim_id,
    patient_id,
    encounter_id,
    type,
    type_codings,
    use,
    status,
    started_at,
    ended_at,
    created_at,
    provider_id,
    item_count,
    coalesce(claim_charge, line_charge)::double as total,
    currency,
    payer,
    counts,
    'fhir' as source_system,
    'adjudicated' as told_as,
    claim_id as claim_number,
    {{ replaced_claim('related') }} as replaces_number,
    {{ fhir_service_category('type') }} as service_category,
    case when status = 'cancelled' then 'void' when {{ replaced_claim('related') }} is not null then 'adjustment' else 'original' end as action,
    case
        when outcome = 'queued' then 'pending'
        when outcome = 'error' then 'rejected'
        when coalesce({{ fhir_amount('payment_amount') }}, claim_paid, line_paid, 0) = 0 and is_denied then 'denied'
        when coalesce({{ fhir_amount('payment_amount') }}, claim_paid, line_paid) is not null then 'paid'
    end as adjudication,
    {{ local_date('started_at') }} as from_date,
    {{ local_date('ended_at') }} as thru_date,
    {{ local_date('created_at') }} as processed_date,
    {{ local_date('payment_date') }} as paid_date,
    coalesce(claim_charge, line_charge) as charge_amount,
    coalesce(claim_allowed, line_allowed) as allowed_amount,
    coalesce({{ fhir_amount('payment_amount') }}, claim_paid, line_paid) as paid_amount,
    coalesce(claim_patient, line_patient) as patient_amount,
    coalesce(claim_deductible, line_deductible) as deductible_amount,
    coalesce(claim_coinsurance, line_coinsurance) as coinsurance_amount,
    line_charge as line_charge_total,
    line_paid as line_paid_total,
    false as amounts_differ,
    codes,
    len(list_filter(codes, lambda c: c.problem is not null))::integer as doubtful_code_count,
    submission_id,
    source_file,
    source_position,
    ingested_at,
    list_transform(issues, lambda i: struct_update(i, column_name := if(i.column_name = 'claim_id', 'claim_number', i.column_name))) as issues
from answered_amounts
