-- Grain: one row per ImagingStudy that the build recomputes.
-- Generated from views/imaging_study.json by `lakehouse generate`; do not edit.
{{ config(meta={'resource_type': 'ImagingStudy', 'key': 'study_id'}) }}

with viewed as (
    with parsed as (
      select
        case when random() >= 0 then try(from_json(cast(src."resource" as varchar), '{"description":"VARCHAR","encounter":{"reference":"VARCHAR"},"id":"VARCHAR","identifier":[{"system":"VARCHAR","value":"VARCHAR"}],"modality":[{"code":"VARCHAR"}],"numberOfInstances":"JSON","numberOfSeries":"JSON","resourceType":"VARCHAR","series":[{"bodySite":"JSON","description":"VARCHAR","instance":[{"uid":"VARCHAR"}],"modality":{"code":"VARCHAR"},"uid":"VARCHAR"}],"started":"VARCHAR","status":"VARCHAR","subject":{"reference":"VARCHAR"}}')) end as _resource,
        cast(src."resource" as varchar) as _text,
        src."submission_id",
        src."source_file",
        src."source_position",
        src."ingested_at",
        src."contained_keys",
        src."has_unknown_modifier"
      from {{ current_resources('ImagingStudy') }} as src
    ),

    firsts as (
      select
        *,
        _resource.series[1] as _first_series
      from parsed
    )

    select
      case when _resource.id >= '[' and (_resource.id < '\' or _resource.id >= '{') and json_valid(_resource.id) and not contains(_text, to_json(_resource.id)) and not contains(cast(json(_text) as varchar), to_json(_resource.id)) then null else _resource.id end as "study_id",
      case when _resource.subject.reference >= '[' and (_resource.subject.reference < '\' or _resource.subject.reference >= '{') and json_valid(_resource.subject.reference) and not contains(_text, to_json(_resource.subject.reference)) and not contains(cast(json(_text) as varchar), to_json(_resource.subject.reference)) then null else _resource.subject.reference end as "patient_reference",
      case when _resource.encounter.reference >= '[' and (_resource.encounter.reference < '\' or _resource.encounter.reference >= '{') and json_valid(_resource.encounter.reference) and not contains(_text, to_json(_resource.encounter.reference)) and not contains(cast(json(_text) as varchar), to_json(_resource.encounter.reference)) then null else _resource.encounter.reference end as "encounter_reference",
      case when _resource.started >= '[' and (_resource.started < '\' or _resource.started >= '{') and json_valid(_resource.started) and not contains(_text, to_json(_resource.started)) and not contains(cast(json(_text) as varchar), to_json(_resource.started)) then null else _resource.started end as "started_at",
      case when _resource.status >= '[' and (_resource.status < '\' or _resource.status >= '{') and json_valid(_resource.status) and not contains(_text, to_json(_resource.status)) and not contains(cast(json(_text) as varchar), to_json(_resource.status)) then null else _resource.status end as "status",
      coalesce(list_filter(list_transform(list_filter(list_transform(_resource.series, lambda e_3: e_3.modality), lambda e_4: e_4 is not null), lambda e_5: case when e_5.code >= '[' and (e_5.code < '\' or e_5.code >= '{') and json_valid(e_5.code) and not contains(_text, to_json(e_5.code)) and not contains(cast(json(_text) as varchar), to_json(e_5.code)) then null else e_5.code end), lambda e_6: e_6 is not null), cast([] as varchar[])) as "series_modalities",
      coalesce(list_filter(list_transform(_resource.modality, lambda e_10: case when e_10.code >= '[' and (e_10.code < '\' or e_10.code >= '{') and json_valid(e_10.code) and not contains(_text, to_json(e_10.code)) and not contains(cast(json(_text) as varchar), to_json(e_10.code)) then null else e_10.code end), lambda e_11: e_11 is not null), cast([] as varchar[])) as "study_modalities",
      coalesce(list_transform(list_filter(list_transform(_resource.series, lambda e_15: e_15.bodySite), lambda e_16: e_16 is not null), lambda e_17: try_cast(e_17 as json)), cast([] as json[])) as "body_sites",
      try_cast(list_transform([cast(_resource.numberOfSeries as varchar)], lambda v_18: case when regexp_full_match(v_18, '-?[0-9]+') then try_cast(v_18 as bigint) end)[1] as integer) as "series_count",
      coalesce(list_filter(list_transform(_resource.series, lambda e_21: case when e_21.uid >= '[' and (e_21.uid < '\' or e_21.uid >= '{') and json_valid(e_21.uid) and not contains(_text, to_json(e_21.uid)) and not contains(cast(json(_text) as varchar), to_json(e_21.uid)) then null else e_21.uid end), lambda e_22: e_22 is not null), cast([] as varchar[])) as "series_uids",
      try_cast(list_transform([cast(_resource.numberOfInstances as varchar)], lambda v_24: case when regexp_full_match(v_24, '-?[0-9]+') then try_cast(v_24 as bigint) end)[1] as integer) as "instance_count",
      coalesce(list_filter(list_transform(flatten(list_transform(_resource.series, lambda e_27: e_27.instance)), lambda e_29: case when e_29.uid >= '[' and (e_29.uid < '\' or e_29.uid >= '{') and json_valid(e_29.uid) and not contains(_text, to_json(e_29.uid)) and not contains(cast(json(_text) as varchar), to_json(e_29.uid)) then null else e_29.uid end), lambda e_30: e_30 is not null), cast([] as varchar[])) as "instance_uids",
      case when coalesce(len(list_filter(_resource.identifier, lambda x_44: (x_44.system = 'urn:dicom:uid'))) > 0, false) then list_filter(list_transform(list_filter(_resource.identifier, lambda x_32: (x_32.system = 'urn:dicom:uid')), lambda e_36: case when e_36.value >= '[' and (e_36.value < '\' or e_36.value >= '{') and json_valid(e_36.value) and not contains(_text, to_json(e_36.value)) and not contains(cast(json(_text) as varchar), to_json(e_36.value)) then null else e_36.value end), lambda e_37: e_37 is not null)[1] else list_filter(list_transform(list_filter(_resource.identifier, lambda x_38: starts_with(case when x_38.value >= '[' and (x_38.value < '\' or x_38.value >= '{') and json_valid(x_38.value) and not contains(_text, to_json(x_38.value)) and not contains(cast(json(_text) as varchar), to_json(x_38.value)) then null else x_38.value end, 'urn:oid:')), lambda e_42: case when e_42.value >= '[' and (e_42.value < '\' or e_42.value >= '{') and json_valid(e_42.value) and not contains(_text, to_json(e_42.value)) and not contains(cast(json(_text) as varchar), to_json(e_42.value)) then null else e_42.value end), lambda e_43: e_43 is not null)[1] end as "study_instance_uid",
      case when _resource.description >= '[' and (_resource.description < '\' or _resource.description >= '{') and json_valid(_resource.description) and not contains(_text, to_json(_resource.description)) and not contains(cast(json(_text) as varchar), to_json(_resource.description)) then null else _resource.description end as "study_description",
      coalesce(case when _first_series.description >= '[' and (_first_series.description < '\' or _first_series.description >= '{') and json_valid(_first_series.description) and not contains(_text, to_json(_first_series.description)) and not contains(cast(json(_text) as varchar), to_json(_first_series.description)) then null else _first_series.description end, case when len(_resource.series) > 1 then list_filter(list_transform(_resource.series, lambda e_50: case when e_50.description >= '[' and (e_50.description < '\' or e_50.description >= '{') and json_valid(e_50.description) and not contains(_text, to_json(e_50.description)) and not contains(cast(json(_text) as varchar), to_json(e_50.description)) then null else e_50.description end), lambda e_51: e_51 is not null)[1] end) as "series_description",
      "submission_id",
      "source_file",
      "source_position",
      "ingested_at",
      "contained_keys",
      "has_unknown_modifier"
    from firsts
),

tidied as (
    select
        viewed.*,
        {{ parsed_codings('viewed.body_sites') }} as body_sites__parsed,
        {{ reference_id('viewed.patient_reference', 'Patient', 'patient_reference_target', 'viewed.study_id', 'viewed.contained_keys') }} as patient_id,
        {{ reference_id('viewed.encounter_reference', 'Encounter', 'encounter_reference_target', 'viewed.study_id', 'viewed.contained_keys') }} as encounter_id,
        {{ fhir_date('viewed.started_at') }} as started_at__checked
    from viewed
    left join memory.scratch.conditional_reference as patient_reference_target
        on {{ conditional_text('viewed.patient_reference') }} = patient_reference_target.reference_text
    left join memory.scratch.conditional_reference as encounter_reference_target
        on {{ conditional_text('viewed.encounter_reference') }} = encounter_reference_target.reference_text
),

coded as (
    select
        tidied.*,
        {{ codings('body_sites__parsed.coding') }} as body_sites__codings
    from tidied
),

preferred as (
    select
        coded.*,
        {{ preferred_coding('body_sites__codings') }} as body_sites__coding
    from coded
)

select
    study_id,
    patient_id,
    encounter_id,
    started_at__checked as started_at,
    status,
    series_modalities,
    study_modalities,
    body_sites__coding.code as body_site_code,
    body_sites__coding."system" as body_site_system,
    coalesce(body_sites__coding.display, body_sites__parsed.text) as body_site_display,
    body_sites__codings as body_site_codings,
    series_count,
    series_uids,
    instance_count,
    instance_uids,
    study_instance_uid,
    study_description,
    series_description,
    {{ record_counts('ImagingStudy') }} and not has_unknown_modifier as counts,
    submission_id,
    source_file,
    source_position,
    ingested_at,
    {{ issues([
        ['patient_id', reference_issue('patient_reference', 'patient_id')],
        ['encounter_id', reference_issue('encounter_reference', 'encounter_id')],
        ['started_at', "case when started_at is not null and started_at__checked is null then 'not a date' end"],
        ['counts', "case when has_unknown_modifier then 'modifierExtension that is not known: the record does not count' end"]
    ]) }} as issues
from preferred
