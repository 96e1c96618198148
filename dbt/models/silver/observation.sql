-- Grain: one row per Observation.
{{ config(unique_key='observation_id') }}

with extracted as (
    select
        *,
        list_transform(
            components,
            lambda component: from_json(
                component,
                '{"code":{"coding":[{"code":"VARCHAR","system":"VARCHAR","display":"VARCHAR"}],"text":"VARCHAR"},"valueQuantity":{"value":"JSON","unit":"VARCHAR","code":"VARCHAR","comparator":"VARCHAR"},"valueInteger":"INTEGER","valueCodeableConcept":{"coding":[{"code":"VARCHAR","display":"VARCHAR"}],"text":"VARCHAR"},"valueString":"VARCHAR","valueSampledData":"JSON"}'
            )
        ) as parsed_components
    from {{ ref('stg_fhir__observation') }}
)

select
    observation_id,
    patient_id,
    encounter_id,
    code,
    code_system,
    coalesce(display, text) as display,
    category,
    coalesce(value_quantity, value_integer) as value,
    coalesce(value_unit, value_unit_code) as unit,
    value_code,
    case
        when value_comparator is not null then value_comparator || ' ' || value_quantity
        when value_sampled_data then '{{ waveform_text() }}'
        else coalesce(
            value_display, value_concept_text, value_string, value_boolean::varchar, value_date_time
        )
    end as value_text,
    list_transform(
        parsed_components,
        lambda component: {
            'code': component.code.coding[1].code,
            'code_system': component.code.coding[1].system,
            'display': coalesce(component.code.coding[1].display, component.code.text),
            'value': coalesce(
                try_cast(component."valueQuantity".value::varchar as double), component."valueInteger"
            ),
            'unit': coalesce(component."valueQuantity".unit, component."valueQuantity".code),
            'value_code': component."valueCodeableConcept".coding[1].code,
            'value_text': case
                when component."valueQuantity".comparator is not null
                    then component."valueQuantity".comparator || ' ' || (component."valueQuantity".value::varchar)
                when component."valueSampledData" is not null then '{{ waveform_text() }}'
                else coalesce(
                    component."valueCodeableConcept".coding[1].display,
                    component."valueCodeableConcept".text,
                    component."valueString"
                )
            end
        }
    )::struct(
        code varchar,
        code_system varchar,
        display varchar,
        value double,
        unit varchar,
        value_code varchar,
        value_text varchar
    )[] as components,
    coalesce(effective_at, effective_instant, effective_period_start) as effective_at,
    status,
    counts,
    submission_id,
    source_file,
    source_position,
    ingested_at,
    nullif(
        list_concat(
            issues,
            case
                when has_quantity and value_quantity is null
                    then [{'column_name': 'value', 'reason': 'not a number'}]
            end
        ),
        []
    ) as issues
from extracted
