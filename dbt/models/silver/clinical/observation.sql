-- Grain: one row per Observation.
{{ config(key='observation_id') }}

-- The numbers of an Observation and of its components are brought to the unit of their measure in one
-- step; place 0 is the Observation itself.
{%- set component_shape -%}
    {"code":{"coding":[{"system":"VARCHAR","code":"VARCHAR","display":"VARCHAR","userSelected":"BOOLEAN"}],"text":"VARCHAR"},"valueQuantity":{"value":"JSON","comparator":"VARCHAR","unit":"VARCHAR","code":"VARCHAR"},"valueInteger":"INTEGER","valueCodeableConcept":{"coding":[{"system":"VARCHAR","code":"VARCHAR","display":"VARCHAR","userSelected":"BOOLEAN"}],"text":"VARCHAR"},"valueString":"VARCHAR","valueBoolean":"BOOLEAN","valueDateTime":"VARCHAR","valueTime":"VARCHAR","valueRange":"JSON","valueRatio":"JSON","valuePeriod":"JSON","valueSampledData":"JSON","dataAbsentReason":{"coding":[{"code":"VARCHAR"}],"text":"VARCHAR"},"interpretation":[{"coding":[{"code":"VARCHAR"}],"text":"VARCHAR"}],"referenceRange":["JSON"]}
{%- endset %}

with extracted as (
    -- plus 0: a number is never -0
    select
        * replace (value_quantity + 0 as value_quantity),
        list_transform(components, lambda component: from_json(component, '{{ component_shape }}')) as parsed_components
    from {{ ref('stg_fhir__observation') }}
),

coded as (
    select
        *,
        list_transform(
            parsed_components,
            lambda component: {
                'parsed': component,
                'codings': {{ codings('component.code.coding') }},
                'value_codings': {{ codings('component."valueCodeableConcept".coding') }},
                'number': coalesce(
                    try_cast(component."valueQuantity".value::varchar as double) + 0, component."valueInteger"
                )
            }
        ) as coded_components
    from extracted
),

quantity as (
    select
        observation_id,
        0 as place,
        codings,
        coalesce(value_quantity, value_integer) as value,
        value_unit_code as unit_code,
        value_unit as unit
    from coded
    where coalesce(value_quantity, value_integer) is not null
    union all
    select
        observation_id,
        place,
        component.codings,
        component.number,
        component.parsed."valueQuantity".code,
        component.parsed."valueQuantity".unit
    from (
        select
            observation_id,
            unnest(coded_components) as component,
            generate_subscripts(coded_components, 1) as place
        from coded
        where len(coded_components) > 0
    )
    where component.number is not null
),

standard as (
    {{ standardised('quantity') }}
),

standard_component as (
    select
        observation_id,
        list({
            'place': place,
            'measure': measure,
            'standard_value': standard_value,
            'standard_unit': standard_unit,
            'reason': reason
        }) as measured
    from standard
    where place > 0
    group by observation_id
),

normal_range as (
    select
        *,
        case when len(reference_ranges) > 0 then {{ reference_range('reference_ranges') }} end as normal
    from coded
)

select
    observation.observation_id,
    observation.patient_id,
    observation.encounter_id,
    observation.code,
    observation.code_system,
    observation.display,
    observation.codings,
    observation.categories,
    case
        when observation.has_quantity then 'Quantity'
        when observation.value_integer is not null then 'integer'
        when len(observation.value_codings) > 0 or observation.value_display is not null then 'CodeableConcept'
        when observation.value_string is not null then 'string'
        when observation.value_boolean is not null then 'boolean'
        when observation.value_date_time is not null then 'dateTime'
        when observation.value_time is not null then 'time'
        when observation.value_range is not null then 'Range'
        when observation.value_ratio is not null then 'Ratio'
        when observation.value_period is not null then 'Period'
        when observation.value_sampled_data is not null then 'SampledData'
    end as value_type,
    coalesce(observation.value_quantity, observation.value_integer) as value,
    observation.value_comparator as comparator,
    coalesce(observation.value_unit, observation.value_unit_code) as unit,
    observation.value_unit_code as unit_code,
    observation.value_code,
    observation.value_code_system,
    case
        when observation.value_comparator is not null
            then observation.value_comparator || ' ' || {{ number_text('observation.value_quantity') }}
        when observation.value_sampled_data is not null then '{{ waveform_text() }}'
        else coalesce(
            observation.value_display,
            observation.value_string,
            observation.value_boolean::varchar,
            observation.value_date_time,
            observation.value_time,
            {{ range_text('observation.value_range') }},
            {{ ratio_text('observation.value_ratio') }},
            {{ period_text('observation.value_period') }}
        )
    end as value_text,
    coalesce(
        observation.value_range, observation.value_ratio, observation.value_period, observation.value_sampled_data
    )::varchar as value_json,
    standard.measure,
    standard.standard_value,
    standard.standard_unit,
    observation.data_absent_reason,
    coalesce(observation.interpretation, observation.interpretation_display) as interpretation,
    observation.normal.low.value as reference_low,
    observation.normal.high.value as reference_high,
    coalesce(
        observation.normal.low.unit,
        observation.normal.low.code,
        observation.normal.high.unit,
        observation.normal.high.code
    ) as reference_unit,
    observation.normal.text as reference_text,
    list_transform(
        observation.coded_components,
        lambda component, place: {
            'code': {{ preferred_coding('component.codings') }}.code,
            'code_system': {{ preferred_coding('component.codings') }}."system",
            'display': coalesce({{ preferred_coding('component.codings') }}.display, component.parsed.code.text),
            'codings': component.codings,
            'value': component.number,
            'comparator': component.parsed."valueQuantity".comparator,
            'unit': coalesce(component.parsed."valueQuantity".unit, component.parsed."valueQuantity".code),
            'unit_code': component.parsed."valueQuantity".code,
            'value_code': {{ preferred_coding('component.value_codings') }}.code,
            'value_text': case
                when component.parsed."valueQuantity".comparator is not null
                    then component.parsed."valueQuantity".comparator || ' ' || {{ number_text('component.number') }}
                when component.parsed."valueSampledData" is not null then '{{ waveform_text() }}'
                else coalesce(
                    {{ preferred_coding('component.value_codings') }}.display,
                    component.parsed."valueCodeableConcept".text,
                    component.parsed."valueString",
                    component.parsed."valueBoolean"::varchar,
                    component.parsed."valueDateTime",
                    component.parsed."valueTime",
                    {{ range_text('component.parsed."valueRange"') }},
                    {{ ratio_text('component.parsed."valueRatio"') }},
                    {{ period_text('component.parsed."valuePeriod"') }}
                )
            end,
            'value_json': coalesce(
                component.parsed."valueRange",
                component.parsed."valueRatio",
                component.parsed."valuePeriod",
                component.parsed."valueSampledData"
            )::varchar,
            'measure': list_filter(standard_component.measured, lambda m: m.place = place)[1].measure,
            'standard_value': list_filter(standard_component.measured, lambda m: m.place = place)[1].standard_value,
            'standard_unit': list_filter(standard_component.measured, lambda m: m.place = place)[1].standard_unit,
            'data_absent_reason': coalesce(
                component.parsed."dataAbsentReason".coding[1].code, component.parsed."dataAbsentReason".text
            ),
            'interpretation': coalesce(
                component.parsed.interpretation[1].coding[1].code, component.parsed.interpretation[1].text
            ),
            'reference_low': {{ reference_range('component.parsed."referenceRange"') }}.low.value,
            'reference_high': {{ reference_range('component.parsed."referenceRange"') }}.high.value,
            'reference_text': {{ reference_range('component.parsed."referenceRange"') }}.text
        }
    )::{{ component_type() }}[] as components,
    coalesce(
        observation.effective_at,
        observation.effective_instant,
        observation.effective_period_start,
        {{ earliest('observation.effective_events') }},
        observation.effective_timing_start
    ) as effective_at,
    coalesce(observation.effective_period_end, observation.effective_timing_end) as effective_end_at,
    observation.issued_at,
    observation.status,
    observation.counts,
    observation.method_code,
    observation.method_display,
    observation.body_site_code,
    observation.body_site_display,
    observation.specimen_id,
    observation.device_id,
    observation.member_ids,
    observation.derived_from_ids,
    observation.submission_id,
    observation.source_file,
    observation.source_position,
    observation.ingested_at,
    nullif(
        list_concat(
            observation.issues,
            case
                when observation.has_quantity and observation.value_quantity is null and observation.data_absent_reason is null
                    then [{'column_name': 'value', 'reason': 'quantity without a number'}]
            end,
            case
                when len(list_filter(observation.effective_events, lambda event: {{ fhir_date('event') }} is null)) > 0
                    then [{'column_name': 'effective_at', 'reason': 'not a date'}]
            end,
            case
                when standard.reason is not null
                    then [{'column_name': 'standard_value', 'reason': standard.reason}]
            end,
            list_transform(
                list_filter(standard_component.measured, lambda m: m.reason is not null),
                lambda m: {'column_name': 'components.standard_value', 'reason': m.reason}
            )
        ),
        []
    ) as issues
from normal_range as observation
left join standard on observation.observation_id = standard.observation_id and standard.place = 0
left join standard_component on observation.observation_id = standard_component.observation_id
