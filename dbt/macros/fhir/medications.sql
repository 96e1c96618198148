{#-
    A staging model with `medication[x]`, and in `named` what names its medication: a struct of code,
    code_system, display, codings and `named_by`, all from one place. The first of these that has a code
    or a text counts:
    - `concept`: medicationCodeableConcept;
    - `contained`: the contained Medication whose id the reference is (`#id`: that one, no other);
    - `reference`: the Medication that is referred to;
    - `display`: what the reference is shown as;
    - `contained` again: the only contained Medication, which nobody names.
    https://hl7.org/fhir/R4/references.html#contained
-#}
{% macro with_named_medication(staged, key) -%}
    with parsed as (
        select
            *,
            case
                when len(contained_medications) > 0
                    then list_transform(
                        contained_medications,
                        lambda medication: from_json(
                            medication,
                            '{"id":"VARCHAR","code":{"coding":[{"system":"VARCHAR","code":"VARCHAR","display":"VARCHAR","userSelected":"BOOLEAN"}],"text":"VARCHAR"}}'
                        )
                    )
            end as contained
        from {{ ref(staged) }}
    ),

    chosen as (
        select
            *,
            list_filter(contained, lambda medication: {{ key }} || '#' || medication.id = medication_id)[1].code as named_contained,
            case when len(contained) = 1 then contained[1].code end as only_contained
        from parsed
    ),

    contained_coded as (
        select
            *,
            {{ codings('named_contained.coding') }} as named_codings,
            {{ codings('only_contained.coding') }} as only_codings
        from chosen
    ),

    candidate as (
        select
            *,
            {{ preferred_coding('named_codings') }} as named_coding,
            {{ preferred_coding('only_codings') }} as only_coding
        from contained_coded
    )

    select
        candidate.* exclude (code, code_system, display, codings),
        case
            when candidate.code is not null or candidate.display is not null
                then {{ medication_name('candidate.code', 'candidate.code_system', 'candidate.display', 'candidate.codings', 'concept') }}
            when candidate.named_coding.code is not null or coalesce(candidate.named_coding.display, candidate.named_contained.text) is not null
                then {{ medication_name('candidate.named_coding.code', 'candidate.named_coding."system"', 'coalesce(candidate.named_coding.display, candidate.named_contained.text)', 'candidate.named_codings', 'contained') }}
            when medication.code is not null or medication.display is not null
                then {{ medication_name('medication.code', 'medication.code_system', 'medication.display', 'medication.codings', 'reference') }}
            when candidate.medication_reference_display is not null
                then {{ medication_name('null::varchar', 'null::varchar', 'candidate.medication_reference_display', '[]::' ~ codings_type(), 'display') }}
            when candidate.only_coding.code is not null or coalesce(candidate.only_coding.display, candidate.only_contained.text) is not null
                then {{ medication_name('candidate.only_coding.code', 'candidate.only_coding."system"', 'coalesce(candidate.only_coding.display, candidate.only_contained.text)', 'candidate.only_codings', 'contained') }}
        end as named
    from candidate
    left join {{ ref('medication') }} as medication on candidate.medication_id = medication.medication_id
{%- endmacro %}


{% macro medication_name(code, code_system, display, codings, named_by) -%}
    {
        'code': {{ code }},
        'code_system': {{ code_system }},
        'display': {{ display }},
        'codings': {{ codings }},
        'named_by': '{{ named_by }}'
    }
{%- endmacro %}


{#- The columns of `named`. -#}
{% macro named_medication(alias) -%}
    {{ alias }}.named.code as code,
    {{ alias }}.named.code_system as code_system,
    {{ alias }}.named.display as display,
    coalesce({{ alias }}.named.codings, []::{{ codings_type() }}) as codings,
    {{ alias }}.medication_id,
    {{ alias }}.named.named_by as medication_named_by
{%- endmacro %}


{#-
    Dosage elements (a list of JSON) as structs, in the order of their `sequence`. Of several doses or
    rates of one instruction the first counts. https://hl7.org/fhir/R4/dosage.html
-#}
{% macro dosages(elements) -%}
    list_transform(
        list_transform(
            list_sort(
                list_transform(
                    list_transform(
                        {{ elements }},
                        lambda element: from_json(
                            element,
                            '{"sequence":"INTEGER","text":"VARCHAR","patientInstruction":"VARCHAR","timing":{"event":["VARCHAR"],"repeat":{"boundsPeriod":{"start":"VARCHAR","end":"VARCHAR"},"frequency":"INTEGER","period":"DOUBLE","periodUnit":"VARCHAR","when":["VARCHAR"],"timeOfDay":["VARCHAR"]},"code":{{ concept_shape() }}},"asNeededBoolean":"BOOLEAN","asNeededCodeableConcept":{{ concept_shape() }},"site":{{ concept_shape() }},"route":{{ concept_shape() }},"method":{{ concept_shape() }},"doseAndRate":[{"doseQuantity":{{ quantity_shape() }},"doseRange":{"low":{{ quantity_shape() }},"high":{{ quantity_shape() }}},"rateQuantity":{{ quantity_shape() }},"rateRatio":"JSON","rateRange":"JSON"}]}'
                        )
                    ),
                    lambda element, place: {
                        'sequence': coalesce(element.sequence, place), 'place': place, 'element': element
                    }
                )
            ),
            lambda placed: placed.element
        ),
        lambda dosage: {
            'text': dosage.text,
            'patient_instruction': dosage."patientInstruction",
            'timing_code': {{ preferred_coding(codings('dosage.timing.code.coding')) }}.code,
            'timing_text': coalesce(
                dosage.timing.code.text,
                {{ preferred_coding(codings('dosage.timing.code.coding')) }}.display,
                nullif(
                    concat_ws(
                        ' ',
                        dosage.timing.repeat.frequency::varchar
                        || ' per ' || {{ number_text('dosage.timing.repeat.period') }} || ' ' || dosage.timing.repeat."periodUnit",
                        nullif(list_aggregate(list_concat(dosage.timing.repeat."when", dosage.timing.repeat."timeOfDay"), 'string_agg', ' '), '')
                    ),
                    ''
                )
            ),
            'frequency': dosage.timing.repeat.frequency,
            'period': dosage.timing.repeat.period,
            'period_unit': dosage.timing.repeat."periodUnit",
            'started_at': coalesce(dosage.timing.repeat."boundsPeriod".start, dosage.timing.event[1]),
            'ended_at': dosage.timing.repeat."boundsPeriod"."end",
            'as_needed': coalesce(dosage."asNeededBoolean", if(dosage."asNeededCodeableConcept" is not null, true, null)),
            'as_needed_reason': {{ concept_display('dosage."asNeededCodeableConcept"') }},
            'route_code': {{ preferred_coding(codings('dosage.route.coding')) }}.code,
            'route_system': {{ preferred_coding(codings('dosage.route.coding')) }}."system",
            'route_display': {{ concept_display('dosage.route') }},
            'site_display': {{ concept_display('dosage.site') }},
            'method_display': {{ concept_display('dosage.method') }},
            'dose': dosage."doseAndRate"[1]."doseQuantity".value,
            'dose_low': dosage."doseAndRate"[1]."doseRange".low.value,
            'dose_high': dosage."doseAndRate"[1]."doseRange".high.value,
            'dose_unit': coalesce(
                dosage."doseAndRate"[1]."doseQuantity".unit,
                dosage."doseAndRate"[1]."doseQuantity".code,
                dosage."doseAndRate"[1]."doseRange".low.unit,
                dosage."doseAndRate"[1]."doseRange".low.code,
                dosage."doseAndRate"[1]."doseRange".high.unit,
                dosage."doseAndRate"[1]."doseRange".high.code
            ),
            'rate_text': coalesce(
                {{ number_text('dosage."doseAndRate"[1]."rateQuantity".value') }}
                || coalesce(' ' || coalesce(dosage."doseAndRate"[1]."rateQuantity".unit, dosage."doseAndRate"[1]."rateQuantity".code), ''),
                {{ ratio_text('dosage."doseAndRate"[1]."rateRatio"') }},
                {{ range_text('dosage."doseAndRate"[1]."rateRange"') }}
            )
        }
    )
{%- endmacro %}


{#- The columns of the first of `dosages`, and all of them. -#}
{% macro dosage_columns(alias) -%}
    list_filter({{ alias }}.dosages, lambda dosage: dosage.text is not null)[1].text as dosage_text,
    {{ alias }}.dosages[1].dose as dose,
    {{ alias }}.dosages[1].dose_unit as dose_unit,
    {{ alias }}.dosages[1].route_code as route_code,
    {{ alias }}.dosages[1].route_display as route_display,
    {{ alias }}.dosages[1].timing_code as timing_code,
    {{ alias }}.dosages[1].timing_text as timing_text,
    {{ alias }}.dosages[1].frequency as frequency,
    {{ alias }}.dosages[1].period as period,
    {{ alias }}.dosages[1].period_unit as period_unit,
    {{ alias }}.dosages[1].as_needed as as_needed,
    {{ alias }}.dosages
{%- endmacro %}


{% macro concept_shape() -%}
    {"coding":[{"system":"VARCHAR","code":"VARCHAR","display":"VARCHAR","userSelected":"BOOLEAN"}],"text":"VARCHAR"}
{%- endmacro %}


{% macro quantity_shape() -%}
    {"value":"DOUBLE","unit":"VARCHAR","code":"VARCHAR"}
{%- endmacro %}


{#- The display of a parsed concept's preferred coding, else its text. -#}
{% macro concept_display(concept) -%}
    coalesce({{ preferred_coding(codings(concept ~ '.coding')) }}.display, {{ concept }}.text)
{%- endmacro %}
