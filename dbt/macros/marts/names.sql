{#- The class of an encounter in words (HL7 v3 ActCode, value set ActEncounterCode); another code as it is. -#}
{% macro class_in_words(code) -%}
    case {{ code }}
        when 'AMB' then 'ambulatory'
        when 'EMER' then 'emergency'
        when 'FLD' then 'field'
        when 'HH' then 'home health'
        when 'IMP' then 'inpatient'
        when 'ACUTE' then 'inpatient acute'
        when 'NONAC' then 'inpatient non-acute'
        when 'OBSENC' then 'observation'
        when 'PRENC' then 'pre-admission'
        when 'SS' then 'short stay'
        when 'VR' then 'virtual'
        else {{ stated(code) }}
    end
{%- endmacro %}


{#- A display without the semantic tag that SNOMED CT's fully specified names end in ("Asthma (disorder)").
    Tags: SNOMED CT Editorial Guide, hierarchies; other words in brackets stay. -#}
{% macro without_tag(display) -%}
    regexp_replace(
        {{ display }},
        '\s+\((disorder|finding|procedure|regime/therapy|situation|event|observable entity|morphologic abnormality|body structure|cell structure|substance|product|medicinal product|clinical drug|physical object|qualifier value|person|occupation|social concept|environment|organism|specimen|record artifact)\)\s*$',
        ''
    )
{%- endmacro %}
