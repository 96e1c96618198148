-- Grain: one row per DiagnosticReport of genetics.
{{ config(key='report_id') }}

-- LOINC 53037-8 is the clinical significance of a variant; LA6668-3 pathogenic, LA26332-9 likely
-- pathogenic. Where no result says so, the conclusion's words decide.
with report as (
    select
        *,
        len(result_references) as expected_results,
        regexp_matches(lower(conclusion), '\bpathogenic\b')
        and not regexp_matches(
            lower(conclusion),
            '\b(no|not|without|absence of|negative for|non)\b[^.;]*\bpathogenic\b|\bnon-?pathogenic\b'
        ) as concludes_pathogenic
    from {{ ref('stg_fhir__genomic_report') }}
),

result as (
    select
        link.resource_id as report_id,
        observation.observation_id,
        observation.codings,
        observation.value_code,
        observation.value_text,
        observation.components
    from {{ all_links() }} as link
    inner join {{ ref('observation') }} as observation on link.target_id = observation.observation_id
    where link.resource_type = 'DiagnosticReport' and link.target_type = 'Observation'
),

-- Results inside the report itself, which it names by `#id`.
contained_result as (
    select report.report_id, held.observation_id, held.part
    from ({{ contained_observations('DiagnosticReport') }}) as held
    inner join report on held.resource_id = report.report_id
    where
        list_contains(report.result_references, '#' || held.observation_id)
        and held.status is distinct from 'entered-in-error'
),

finding as (
    select report_id, codings, value_code, value_text from result
    union all
    select report_id, component.codings, component.value_code, component.value_text
    from (select report_id, unnest(components) as component from result)
    union all
    select
        report_id,
        part.codings,
        {{ preferred_coding('part.value_codings') }}.code,
        coalesce({{ preferred_coding('part.value_codings') }}.display, part.text)
    from contained_result
),

per_report as (
    select
        report_id,
        coalesce(
            bool_or(
                len(list_filter(codings, lambda coding: coding.code = '53037-8')) > 0
                and (
                    value_code in ('LA6668-3', 'LA26332-9')
                    or regexp_matches(lower(value_text), '^(likely )?pathogenic')
                )
            ),
            false
        ) as has_pathogenic_result
    from finding
    group by report_id
),

found as (
    select report_id, count(*) as result_count
    from (
        select report_id from result
        union all
        select report_id from contained_result where part.place = 0
    )
    group by report_id
)

select
    report.report_id,
    report.patient_id,
    report.encounter_id,
    coalesce(report.effective_at, report.period_start, report.issued_at) as reported_at,
    report.status,
    report.code,
    report.code_system,
    report.codings,
    coalesce(report.text, report.display) as panel_name,
    coalesce(report.conclusion, report.conclusion_display) as result_summary,
    case
        when per_report.report_id is null and report.conclusion is null then null
        else coalesce(per_report.has_pathogenic_result, false) or coalesce(report.concludes_pathogenic, false)
    end as has_pathogenic_variant,
    coalesce(
        nullif(regexp_extract(report.conclusion, '(?is)\blimitations?:\s*(.+)$', 1), ''),
        case
            when coalesce(report.expected_results, 0) = 0 then 'no result observations'
            when report.expected_results > coalesce(found.result_count, 0)
                then 'result observations are missing'
        end
    ) as data_limitation,
    report.counts,
    report.submission_id,
    report.source_file,
    report.source_position,
    report.ingested_at,
    report.issues
from report
left join per_report on report.report_id = per_report.report_id
left join found on report.report_id = found.report_id
