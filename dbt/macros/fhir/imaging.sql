{#-
    Modalities of series that are made from other series, or that describe them (PS3.3 C.7.3.1.1.1):
    segmentations, reports, presentation states, registrations, plans, documents. They say nothing of
    the device that took the images. OT is what secondary captures have.
-#}
{% macro derived_modalities() -%}
    {{ return([
        'ANN', 'ASMT', 'CTPROTOCOL', 'DOC', 'FID', 'HC', 'KO', 'M3D', 'OT', 'PLAN', 'PR', 'REG', 'RTDOSE',
        'RTINTENT', 'RTPLAN', 'RTRAD', 'RTRECORD', 'RTSEGANN', 'RTSTRUCT', 'RWV', 'SEG', 'SMR', 'SR',
        'STAIN', 'TEXTUREMAP', 'XAPROTOCOL'
    ]) }}
{%- endmacro %}


{#- Whether a series was taken by a device; one whose modality nobody says counts as taken. -#}
{% macro is_acquired(modality) -%}
    coalesce(upper(trim({{ modality }})) not in ({{ sql_list(derived_modalities()) }}), true)
{%- endmacro %}


{#-
    The DICOM study UID of an ImagingStudy (JSON): the identifier of system urn:dicom:uid
    (hl7.org/fhir/R4/imagingstudy.html#notes); the first OID only where no identifier has that system.
    The view imaging_study says the same in FHIRPath.
-#}
{% macro study_uid(resource) -%}
    list_transform(
        [from_json({{ resource }}, '{"identifier":[{"system":"VARCHAR","value":"VARCHAR"}]}').identifier],
        lambda identifiers: case
            when len(list_filter(identifiers, lambda i: i."system" = 'urn:dicom:uid')) > 0
                then
                    {{ bare_uid("list_filter(identifiers, lambda i: i.\"system\" = 'urn:dicom:uid' and i.value is not null)[1].value") }}
            else {{ bare_uid("list_filter(identifiers, lambda i: starts_with(i.value, 'urn:oid:'))[1].value") }}
        end
    )[1]
{%- endmacro %}


{#- A UID without the prefix that makes it a URI. -#}
{% macro bare_uid(text) -%}
    regexp_replace({{ text }}, '^urn:oid:', '')
{%- endmacro %}
