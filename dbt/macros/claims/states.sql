{#- What a version of a claim is, from the codes of its source. -#}

{#-
    original, adjustment or void. Professional RIF: CARR_CLM_ENTRY_CD 3 full credit, 5 replacement debit.
    Institutional: FI_CLM_ACTN_CD 2, 4 and 6 cancel, 3 and 5 adjust. CLM_DISP_CD 03 and 63 cancel accepted, 02 and 62
    automatic adjustment. Bills: frequency 8 void, 7 replacement, F to P adjustments by somebody
    (NUBC form locator 4; https://resdac.org/cms-data/variables).
-#}
{% macro claim_action() -%}
    case
        when lower(status_code) in ('reversed', 'reversal', 'void', 'voided', 'cancelled', 'canceled') then 'void'
        when frequency_code = '8' then 'void'
        when system = 'cms_rif' and ltrim(disposition_code, '0') in ('3', '63') then 'void'
        when system = 'cms_rif' and service_setting in ('professional', 'equipment') and action_code = '3' then 'void'
        when system = 'cms_rif' and service_setting = 'pharmacy' and action_code = 'D' then 'void'
        when
            system in ('cms_rif', 'cms_idr') and coalesce(service_setting, '') not in ('professional', 'equipment', 'pharmacy')
            and action_code in ('2', '4', '6') then 'void'
        when lower(status_code) in ('adjusted', 'adjustment', 'replaced', 'replacement', 'corrected') then 'adjustment'
        when frequency_code in ('7', 'F', 'G', 'H', 'I', 'J', 'K', 'M', 'P') then 'adjustment'
        when system = 'cms_rif' and ltrim(disposition_code, '0') in ('2', '62') then 'adjustment'
        when system = 'cms_rif' and service_setting in ('professional', 'equipment') and action_code = '5' then 'adjustment'
        when system = 'cms_rif' and service_setting = 'pharmacy' and action_code = 'A' then 'adjustment'
        when
            system in ('cms_rif', 'cms_idr') and coalesce(service_setting, '') not in ('professional', 'equipment', 'pharmacy')
            and action_code in ('3', '5') then 'adjustment'
        else 'original'
    end
{%- endmacro %}


{#-
    paid, denied, rejected, pending. A reason for non-payment on a claim that was paid is no denial (P: payment
    requested). Carrier: 0 denied, D demonstration, P physician's ownership, E to Y Medicare is secondary. FISS: D denied,
    R rejected, T returned to the provider, P paid; others are still worked on.
-#}
{% macro claim_adjudication() -%}
    case
        when lower(status_code) in ('denied') then 'denied'
        when lower(status_code) in ('rejected') then 'rejected'
        when lower(status_code) in ('pending', 'received', 'suspended', 'billed', 'open', 'submitted') then 'pending'
        when lower(status_code) in ('paid', 'closed', 'finalized', 'finalised', 'approved') then 'paid'
        when system = 'cms_idr' and status_code = 'P' then 'paid'
        when system = 'cms_idr' and status_code = 'D' then 'denied'
        when system = 'cms_idr' and status_code in ('R', 'T') then 'rejected'
        when system = 'cms_idr' and status_code is not null then 'pending'
        when coalesce(paid_amount, 0) > 0 then 'paid'
        when
            system in ('cms_rif', 'cms_idr') and denial_code is not null
            and (
                coalesce(service_setting, 'professional') in ('professional', 'equipment')
                and regexp_full_match(denial_code, '0|00|[DEFGHJKPQTUVXY]')
                or coalesce(service_setting, 'professional') not in ('professional', 'equipment')
                and denial_code != 'P'
            ) then 'denied'
        when system = 'plain' and denial_code is not null then 'denied'
        when paid_amount is not null then 'paid'
    end
{%- endmacro %}


{#-
    Where it was done: of the layout, else of the kind of claim (NCH_CLM_TYPE_CD), else of the type of bill.
    https://resdac.org/cms-data/variables/nch-claim-type-code
-#}
{% macro claim_setting() -%}
    coalesce(
        service_setting,
        case
            when system = 'cms_idr' then
                case claim_type
                    when '10' then 'home_health'
                    when '20' then 'skilled_nursing'
                    when '30' then 'skilled_nursing'
                    when '40' then 'outpatient'
                    when '50' then 'hospice'
                    when '60' then 'inpatient'
                    when '61' then 'inpatient'
                    when '62' then 'inpatient'
                    when '63' then 'inpatient'
                    when '64' then 'inpatient'
                    when '71' then 'professional'
                    when '72' then 'professional'
                    when '81' then 'equipment'
                    when '82' then 'equipment'
                    when '1' then 'pharmacy'
                    when '2' then 'pharmacy'
                    when '3' then 'pharmacy'
                    when '4' then 'pharmacy'
                end
            when lower(claim_type) in ('professional', 'pharmacy', 'vision', 'dental', 'oral') then if(lower(claim_type) = 'oral', 'dental', lower(claim_type))
            when system = 'synthea' and claim_type = '1' then 'professional'
        end,
        case
            when bill_type is null then null
            when left(bill_type, 2) = '11' then 'inpatient'
            when left(bill_type, 2) in ('18', '21', '22', '23', '28') then 'skilled_nursing'
            when left(bill_type, 1) = '3' then 'home_health'
            when left(bill_type, 2) in ('81', '82') then 'hospice'
            else 'outpatient'
        end,
        case when lower(claim_type) = 'institutional' or (system = 'synthea' and claim_type = '2') then 'institutional' end
    )
{%- endmacro %}
