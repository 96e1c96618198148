-- Grain: one row per Encounter that the build recomputes.
-- Generated from views/encounter.json by `lakehouse views compile`; do not edit.
{{ config(meta={'resource_type': 'Encounter', 'key': 'encounter_id'}) }}

with viewed as (
    with parsed as (
      select
        case when random() >= 0 then try(from_json(cast(src."resource" as varchar), '{"class":{"code":"VARCHAR"},"hospitalization":{"admitSource":{"coding":[{"code":"VARCHAR","display":"VARCHAR"}],"text":"VARCHAR"},"dischargeDisposition":{"coding":[{"code":"VARCHAR","display":"VARCHAR"}],"text":"VARCHAR"}},"id":"VARCHAR","location":[{"location":{"display":"VARCHAR","reference":"VARCHAR"}}],"partOf":{"reference":"VARCHAR"},"participant":[{"individual":{"reference":"VARCHAR"}}],"period":{"end":"VARCHAR","start":"VARCHAR"},"reasonCode":[{"coding":[{"code":"VARCHAR","display":"VARCHAR"}],"text":"VARCHAR"}],"resourceType":"VARCHAR","status":"VARCHAR","subject":{"reference":"VARCHAR"},"type":[{"coding":[{"code":"VARCHAR","display":"VARCHAR"}],"text":"VARCHAR"}]}')) end as _resource,
        cast(src."resource" as varchar) as _text,
        src."submission_id",
        src."source_file",
        src."source_position",
        src."ingested_at"
      from {{ current_resources('Encounter') }} as src
    ),

    firsts as (
      select
        *,
        _resource.type[1] as _first_type,
        _resource.type[1].coding[1] as _first_type_coding,
        _resource.reasonCode[1] as _first_reasonCode,
        _resource.reasonCode[1].coding[1] as _first_reasonCode_coding,
        _resource.location[1] as _first_location,
        _resource.hospitalization.admitSource.coding[1] as _first_hospitalization_admitSource_coding,
        _resource.hospitalization.dischargeDisposition.coding[1] as _first_hospitalization_dischargeDisposition_coding
      from parsed
    )

    select
      case when _resource.id >= '[' and (_resource.id < '\' or _resource.id >= '{') and json_valid(_resource.id) and not contains(_text, to_json(_resource.id)) and not contains(cast(json(_text) as varchar), to_json(_resource.id)) then null else _resource.id end as "encounter_id",
      case when _resource.subject.reference >= '[' and (_resource.subject.reference < '\' or _resource.subject.reference >= '{') and json_valid(_resource.subject.reference) and not contains(_text, to_json(_resource.subject.reference)) and not contains(cast(json(_text) as varchar), to_json(_resource.subject.reference)) then null else _resource.subject.reference end as "patient_reference",
      coalesce(case when _first_type_coding.code >= '[' and (_first_type_coding.code < '\' or _first_type_coding.code >= '{') and json_valid(_first_type_coding.code) and not contains(_text, to_json(_first_type_coding.code)) and not contains(cast(json(_text) as varchar), to_json(_first_type_coding.code)) then null else _first_type_coding.code end, case when len(_resource.type) > 1 or len(_first_type.coding) > 1 then list_filter(list_transform(flatten(list_transform(_resource.type, lambda e_3: e_3.coding)), lambda e_5: case when e_5.code >= '[' and (e_5.code < '\' or e_5.code >= '{') and json_valid(e_5.code) and not contains(_text, to_json(e_5.code)) and not contains(cast(json(_text) as varchar), to_json(e_5.code)) then null else e_5.code end), lambda e_6: e_6 is not null)[1] end) as "type_code",
      coalesce(case when _first_type_coding.display >= '[' and (_first_type_coding.display < '\' or _first_type_coding.display >= '{') and json_valid(_first_type_coding.display) and not contains(_text, to_json(_first_type_coding.display)) and not contains(cast(json(_text) as varchar), to_json(_first_type_coding.display)) then null else _first_type_coding.display end, case when len(_resource.type) > 1 or len(_first_type.coding) > 1 then list_filter(list_transform(flatten(list_transform(_resource.type, lambda e_9: e_9.coding)), lambda e_11: case when e_11.display >= '[' and (e_11.display < '\' or e_11.display >= '{') and json_valid(e_11.display) and not contains(_text, to_json(e_11.display)) and not contains(cast(json(_text) as varchar), to_json(e_11.display)) then null else e_11.display end), lambda e_12: e_12 is not null)[1] end) as "type_display",
      coalesce(case when _first_type.text >= '[' and (_first_type.text < '\' or _first_type.text >= '{') and json_valid(_first_type.text) and not contains(_text, to_json(_first_type.text)) and not contains(cast(json(_text) as varchar), to_json(_first_type.text)) then null else _first_type.text end, case when len(_resource.type) > 1 then list_filter(list_transform(_resource.type, lambda e_15: case when e_15.text >= '[' and (e_15.text < '\' or e_15.text >= '{') and json_valid(e_15.text) and not contains(_text, to_json(e_15.text)) and not contains(cast(json(_text) as varchar), to_json(e_15.text)) then null else e_15.text end), lambda e_16: e_16 is not null)[1] end) as "type_text",
      case when _resource.class.code >= '[' and (_resource.class.code < '\' or _resource.class.code >= '{') and json_valid(_resource.class.code) and not contains(_text, to_json(_resource.class.code)) and not contains(cast(json(_text) as varchar), to_json(_resource.class.code)) then null else _resource.class.code end as "class_code",
      case when _resource.period.start >= '[' and (_resource.period.start < '\' or _resource.period.start >= '{') and json_valid(_resource.period.start) and not contains(_text, to_json(_resource.period.start)) and not contains(cast(json(_text) as varchar), to_json(_resource.period.start)) then null else _resource.period.start end as "started_at",
      case when _resource.period.end >= '[' and (_resource.period.end < '\' or _resource.period.end >= '{') and json_valid(_resource.period.end) and not contains(_text, to_json(_resource.period.end)) and not contains(cast(json(_text) as varchar), to_json(_resource.period.end)) then null else _resource.period.end end as "ended_at",
      case when _resource.status >= '[' and (_resource.status < '\' or _resource.status >= '{') and json_valid(_resource.status) and not contains(_text, to_json(_resource.status)) and not contains(cast(json(_text) as varchar), to_json(_resource.status)) then null else _resource.status end as "status",
      list_filter(list_transform(list_filter(list_filter(list_transform(_resource.participant, lambda e_21: e_21.individual), lambda e_22: e_22 is not null), lambda x_17: (case when x_17.reference >= '[' and (x_17.reference < '\' or x_17.reference >= '{') and json_valid(x_17.reference) and not contains(_text, to_json(x_17.reference)) and not contains(cast(json(_text) as varchar), to_json(x_17.reference)) then null else x_17.reference end is not null)), lambda e_23: case when e_23.reference >= '[' and (e_23.reference < '\' or e_23.reference >= '{') and json_valid(e_23.reference) and not contains(_text, to_json(e_23.reference)) and not contains(cast(json(_text) as varchar), to_json(e_23.reference)) then null else e_23.reference end), lambda e_24: e_24 is not null)[1] as "provider_reference",
      coalesce(case when _first_reasonCode_coding.code >= '[' and (_first_reasonCode_coding.code < '\' or _first_reasonCode_coding.code >= '{') and json_valid(_first_reasonCode_coding.code) and not contains(_text, to_json(_first_reasonCode_coding.code)) and not contains(cast(json(_text) as varchar), to_json(_first_reasonCode_coding.code)) then null else _first_reasonCode_coding.code end, case when len(_resource.reasonCode) > 1 or len(_first_reasonCode.coding) > 1 then list_filter(list_transform(flatten(list_transform(_resource.reasonCode, lambda e_27: e_27.coding)), lambda e_29: case when e_29.code >= '[' and (e_29.code < '\' or e_29.code >= '{') and json_valid(e_29.code) and not contains(_text, to_json(e_29.code)) and not contains(cast(json(_text) as varchar), to_json(e_29.code)) then null else e_29.code end), lambda e_30: e_30 is not null)[1] end) as "reason_code",
      coalesce(case when _first_reasonCode_coding.display >= '[' and (_first_reasonCode_coding.display < '\' or _first_reasonCode_coding.display >= '{') and json_valid(_first_reasonCode_coding.display) and not contains(_text, to_json(_first_reasonCode_coding.display)) and not contains(cast(json(_text) as varchar), to_json(_first_reasonCode_coding.display)) then null else _first_reasonCode_coding.display end, case when len(_resource.reasonCode) > 1 or len(_first_reasonCode.coding) > 1 then list_filter(list_transform(flatten(list_transform(_resource.reasonCode, lambda e_33: e_33.coding)), lambda e_35: case when e_35.display >= '[' and (e_35.display < '\' or e_35.display >= '{') and json_valid(e_35.display) and not contains(_text, to_json(e_35.display)) and not contains(cast(json(_text) as varchar), to_json(e_35.display)) then null else e_35.display end), lambda e_36: e_36 is not null)[1] end) as "reason_display",
      coalesce(case when _first_reasonCode.text >= '[' and (_first_reasonCode.text < '\' or _first_reasonCode.text >= '{') and json_valid(_first_reasonCode.text) and not contains(_text, to_json(_first_reasonCode.text)) and not contains(cast(json(_text) as varchar), to_json(_first_reasonCode.text)) then null else _first_reasonCode.text end, case when len(_resource.reasonCode) > 1 then list_filter(list_transform(_resource.reasonCode, lambda e_39: case when e_39.text >= '[' and (e_39.text < '\' or e_39.text >= '{') and json_valid(e_39.text) and not contains(_text, to_json(e_39.text)) and not contains(cast(json(_text) as varchar), to_json(e_39.text)) then null else e_39.text end), lambda e_40: e_40 is not null)[1] end) as "reason_text",
      case when _resource.partOf.reference >= '[' and (_resource.partOf.reference < '\' or _resource.partOf.reference >= '{') and json_valid(_resource.partOf.reference) and not contains(_text, to_json(_resource.partOf.reference)) and not contains(cast(json(_text) as varchar), to_json(_resource.partOf.reference)) then null else _resource.partOf.reference end as "part_of_reference",
      list_filter(list_transform(list_filter(list_filter(list_transform(_resource.location, lambda e_45: e_45.location), lambda e_46: e_46 is not null), lambda x_41: (case when x_41.reference >= '[' and (x_41.reference < '\' or x_41.reference >= '{') and json_valid(x_41.reference) and not contains(_text, to_json(x_41.reference)) and not contains(cast(json(_text) as varchar), to_json(x_41.reference)) then null else x_41.reference end is not null)), lambda e_47: case when e_47.reference >= '[' and (e_47.reference < '\' or e_47.reference >= '{') and json_valid(e_47.reference) and not contains(_text, to_json(e_47.reference)) and not contains(cast(json(_text) as varchar), to_json(e_47.reference)) then null else e_47.reference end), lambda e_48: e_48 is not null)[1] as "location_reference",
      coalesce(case when _first_location.location.display >= '[' and (_first_location.location.display < '\' or _first_location.location.display >= '{') and json_valid(_first_location.location.display) and not contains(_text, to_json(_first_location.location.display)) and not contains(cast(json(_text) as varchar), to_json(_first_location.location.display)) then null else _first_location.location.display end, case when len(_resource.location) > 1 then list_filter(list_transform(list_filter(list_transform(_resource.location, lambda e_51: e_51.location), lambda e_52: e_52 is not null), lambda e_53: case when e_53.display >= '[' and (e_53.display < '\' or e_53.display >= '{') and json_valid(e_53.display) and not contains(_text, to_json(e_53.display)) and not contains(cast(json(_text) as varchar), to_json(e_53.display)) then null else e_53.display end), lambda e_54: e_54 is not null)[1] end) as "location_display",
      coalesce(case when _first_hospitalization_admitSource_coding.code >= '[' and (_first_hospitalization_admitSource_coding.code < '\' or _first_hospitalization_admitSource_coding.code >= '{') and json_valid(_first_hospitalization_admitSource_coding.code) and not contains(_text, to_json(_first_hospitalization_admitSource_coding.code)) and not contains(cast(json(_text) as varchar), to_json(_first_hospitalization_admitSource_coding.code)) then null else _first_hospitalization_admitSource_coding.code end, case when len(_resource.hospitalization.admitSource.coding) > 1 then list_filter(list_transform(_resource.hospitalization.admitSource.coding, lambda e_57: case when e_57.code >= '[' and (e_57.code < '\' or e_57.code >= '{') and json_valid(e_57.code) and not contains(_text, to_json(e_57.code)) and not contains(cast(json(_text) as varchar), to_json(e_57.code)) then null else e_57.code end), lambda e_58: e_58 is not null)[1] end) as "admit_source_code",
      coalesce(case when _first_hospitalization_admitSource_coding.display >= '[' and (_first_hospitalization_admitSource_coding.display < '\' or _first_hospitalization_admitSource_coding.display >= '{') and json_valid(_first_hospitalization_admitSource_coding.display) and not contains(_text, to_json(_first_hospitalization_admitSource_coding.display)) and not contains(cast(json(_text) as varchar), to_json(_first_hospitalization_admitSource_coding.display)) then null else _first_hospitalization_admitSource_coding.display end, case when len(_resource.hospitalization.admitSource.coding) > 1 then list_filter(list_transform(_resource.hospitalization.admitSource.coding, lambda e_61: case when e_61.display >= '[' and (e_61.display < '\' or e_61.display >= '{') and json_valid(e_61.display) and not contains(_text, to_json(e_61.display)) and not contains(cast(json(_text) as varchar), to_json(e_61.display)) then null else e_61.display end), lambda e_62: e_62 is not null)[1] end) as "admit_source_display",
      case when _resource.hospitalization.admitSource.text >= '[' and (_resource.hospitalization.admitSource.text < '\' or _resource.hospitalization.admitSource.text >= '{') and json_valid(_resource.hospitalization.admitSource.text) and not contains(_text, to_json(_resource.hospitalization.admitSource.text)) and not contains(cast(json(_text) as varchar), to_json(_resource.hospitalization.admitSource.text)) then null else _resource.hospitalization.admitSource.text end as "admit_source_text",
      coalesce(case when _first_hospitalization_dischargeDisposition_coding.code >= '[' and (_first_hospitalization_dischargeDisposition_coding.code < '\' or _first_hospitalization_dischargeDisposition_coding.code >= '{') and json_valid(_first_hospitalization_dischargeDisposition_coding.code) and not contains(_text, to_json(_first_hospitalization_dischargeDisposition_coding.code)) and not contains(cast(json(_text) as varchar), to_json(_first_hospitalization_dischargeDisposition_coding.code)) then null else _first_hospitalization_dischargeDisposition_coding.code end, case when len(_resource.hospitalization.dischargeDisposition.coding) > 1 then list_filter(list_transform(_resource.hospitalization.dischargeDisposition.coding, lambda e_65: case when e_65.code >= '[' and (e_65.code < '\' or e_65.code >= '{') and json_valid(e_65.code) and not contains(_text, to_json(e_65.code)) and not contains(cast(json(_text) as varchar), to_json(e_65.code)) then null else e_65.code end), lambda e_66: e_66 is not null)[1] end) as "discharge_disposition_code",
      coalesce(case when _first_hospitalization_dischargeDisposition_coding.display >= '[' and (_first_hospitalization_dischargeDisposition_coding.display < '\' or _first_hospitalization_dischargeDisposition_coding.display >= '{') and json_valid(_first_hospitalization_dischargeDisposition_coding.display) and not contains(_text, to_json(_first_hospitalization_dischargeDisposition_coding.display)) and not contains(cast(json(_text) as varchar), to_json(_first_hospitalization_dischargeDisposition_coding.display)) then null else _first_hospitalization_dischargeDisposition_coding.display end, case when len(_resource.hospitalization.dischargeDisposition.coding) > 1 then list_filter(list_transform(_resource.hospitalization.dischargeDisposition.coding, lambda e_69: case when e_69.display >= '[' and (e_69.display < '\' or e_69.display >= '{') and json_valid(e_69.display) and not contains(_text, to_json(e_69.display)) and not contains(cast(json(_text) as varchar), to_json(e_69.display)) then null else e_69.display end), lambda e_70: e_70 is not null)[1] end) as "discharge_disposition_display",
      case when _resource.hospitalization.dischargeDisposition.text >= '[' and (_resource.hospitalization.dischargeDisposition.text < '\' or _resource.hospitalization.dischargeDisposition.text >= '{') and json_valid(_resource.hospitalization.dischargeDisposition.text) and not contains(_text, to_json(_resource.hospitalization.dischargeDisposition.text)) and not contains(cast(json(_text) as varchar), to_json(_resource.hospitalization.dischargeDisposition.text)) then null else _resource.hospitalization.dischargeDisposition.text end as "discharge_disposition_text",
      "submission_id",
      "source_file",
      "source_position",
      "ingested_at"
    from firsts
),

tidied as (
    select
        viewed.*,
        {{ reference_id('viewed.patient_reference', 'Patient', 'patient_reference_target', 'viewed.encounter_id') }} as patient_id,
        {{ fhir_date('viewed.started_at') }} as started_at__checked,
        {{ fhir_date('viewed.ended_at') }} as ended_at__checked,
        {{ reference_id('viewed.provider_reference', 'Practitioner|PractitionerRole|RelatedPerson', 'provider_reference_target', 'viewed.encounter_id') }} as provider_id,
        {{ reference_id('viewed.part_of_reference', 'Encounter', 'part_of_reference_target', 'viewed.encounter_id') }} as part_of_id,
        {{ reference_id('viewed.location_reference', 'Location', 'location_reference_target', 'viewed.encounter_id') }} as location_id
    from viewed
    left join memory.scratch.conditional_reference as patient_reference_target
        on {{ conditional_text('viewed.patient_reference') }} = patient_reference_target.reference_text
    left join memory.scratch.conditional_reference as provider_reference_target
        on {{ conditional_text('viewed.provider_reference') }} = provider_reference_target.reference_text
    left join memory.scratch.conditional_reference as part_of_reference_target
        on {{ conditional_text('viewed.part_of_reference') }} = part_of_reference_target.reference_text
    left join memory.scratch.conditional_reference as location_reference_target
        on {{ conditional_text('viewed.location_reference') }} = location_reference_target.reference_text
)

select
    encounter_id,
    patient_id,
    type_code,
    type_display,
    type_text,
    class_code,
    started_at__checked as started_at,
    ended_at__checked as ended_at,
    status,
    provider_id,
    reason_code,
    reason_display,
    reason_text,
    part_of_id,
    location_id,
    location_display,
    admit_source_code,
    admit_source_display,
    admit_source_text,
    discharge_disposition_code,
    discharge_disposition_display,
    discharge_disposition_text,
    submission_id,
    source_file,
    source_position,
    ingested_at,
    {{ issues([
        ['patient_id', reference_issue('patient_reference', 'patient_id')],
        ['started_at', "case when started_at is not null and started_at__checked is null then 'not a date' end"],
        ['ended_at', "case when ended_at is not null and ended_at__checked is null then 'not a date' end"],
        ['provider_id', reference_issue('provider_reference', 'provider_id')],
        ['part_of_id', reference_issue('part_of_reference', 'part_of_id')],
        ['location_id', reference_issue('location_reference', 'location_id')]
    ]) }} as issues
from tidied
