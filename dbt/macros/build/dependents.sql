{#-
    Silver rows whose content depends on other resources are recomputed with them:
    - a conditional reference (`Practitioner?identifier=…`) resolves when its target arrives,
      changes its identifiers or leaves;
    - a note is one row however often it was sent: resources of one encounter belong together;
    - a note may be in a Binary that its attachment names, and be replaced by another document;
    - a medication request, dispense, administration or statement may take its code from a Medication;
    - ECG and genomic reports take values from their result Observations.
    `silver.resource_identifier` and `silver.resource_link` remember what depends on what. They are
    written after all other Silver tables: should a build die before, the next one finds the old
    state, and with it the same dependents.
-#}

{#- Resource types that other resources may name by identifier. -#}
{% macro identifying_types() -%}
    {{ return(['Patient', 'Practitioner', 'PractitionerRole', 'Organization', 'Location', 'Encounter', 'RelatedPerson', 'Medication']) }}
{%- endmacro %}


{#- The identifiers of the touched (or all) resources: texts by which they can be named. -#}
{% macro identifiers() -%}
    with identifying as (
        select
            bronze.resource_type,
            bronze.resource_id,
            bronze.condition,
            bronze.submission_id,
            bronze.source_file,
            bronze.source_position,
            bronze.ingested_at,
            from_json(
                bronze.resource, '{"identifier":[{"system":"VARCHAR","value":"VARCHAR"}]}'
            ).identifier as identifiers
        from {{ winning_rows(identifying_types()) }} as bronze
    )

    select distinct on (resource_type, resource_id, identifier_key)
        resource_type,
        resource_id,
        identifier_key,
        submission_id,
        source_file,
        source_position,
        ingested_at
    from (
        select
            * exclude (identifiers, condition),
            unnest(
                case
                    when len(coalesce(identifiers, [])) = 0 then [null, condition]
                    else list_concat(
                        list_transform(
                            list_filter(identifiers, lambda i: i.value is not null),
                            lambda i: resource_type || '?identifier=' || coalesce(i.system, '') || '|' || i.value
                        ),
                        list_transform(
                            list_filter(identifiers, lambda i: i.value is not null),
                            lambda i: resource_type || '?identifier=' || i.value
                        ),
                        [null, condition]
                    )
                end
            ) as identifier_key
        from identifying
    )
{%- endmacro %}


{#- Touch what names, by identifier, a resource whose identifiers change. -#}
{% macro touch_referrers() %}
    {% if not keeps_rows('resource_identifier') %}
        {{ return('') }}
    {% endif %}
    {% do run_query('create or replace table memory.scratch.current_identifier as ' ~ identifiers()) %}
    {% set changed %}
        create or replace table memory.scratch.changed_identifier as
        with before as (
            select resource_id, identifier_key
            from lake.silver.resource_identifier
            semi join (select * from memory.scratch.touched where is_touched) as touched using (resource_type, resource_id)
            where identifier_key is not null
        ),

        after as (
            select resource_id, identifier_key
            from memory.scratch.current_identifier
            semi join (select * from memory.scratch.touched where is_touched) as touched using (resource_type, resource_id)
            where identifier_key is not null
        )

        select distinct identifier_key
        from (
            (select * from before except select * from after)
            union all
            (select * from after except select * from before)
        )
        union
        select condition from memory.scratch.changed_condition
    {% endset %}
    {% do run_query(changed) %}
    {% if run_query('select count(*) from memory.scratch.changed_identifier').columns[0].values()[0] %}
        {% do touch_more("
            select resource_type, resource_id
            from (
                select resource_type, resource_id, unnest(conditional_references) as reference_text
                from " ~ source('bronze', 'fhir_resource') ~ "
                where
                    conditional_references is not null
                    and submission_id in (select submission_id from memory.scratch.live_submission)
            )
            where reference_text in (select identifier_key from memory.scratch.changed_identifier)
        ") %}
    {% endif %}
{% endmacro %}


{#- Add keys to `touched`, and their winners; returns whether there were more. -#}
{% macro touch_more(keys) %}
    {% do run_query("create or replace table memory.scratch.touched_too as select distinct resource_type, resource_id from (" ~ with_found_keys(keys) ~ ") as found anti join (select * from memory.scratch.touched where is_touched) as known using (resource_type, resource_id)") %}
    {% if run_query('select count(*) from memory.scratch.touched_too').columns[0].values()[0] %}
        {% do run_query('update memory.scratch.touched set is_touched = true where (resource_type, resource_id) in (select (resource_type, resource_id) from memory.scratch.touched_too)') %}
        {% do run_query('delete from memory.scratch.touched_too where (resource_type, resource_id) in (select (resource_type, resource_id) from memory.scratch.touched)') %}
        {% do run_query('insert into memory.scratch.winner ' ~ winners('memory.scratch.touched_too')) %}
        {% do run_query('insert into memory.scratch.touched select resource_type, resource_id, true from memory.scratch.touched_too') %}
        {{ return(true) }}
    {% endif %}
    {{ return(false) }}
{% endmacro %}


{#- What the conditional references of the winning rows stand for: exactly one resource, or nothing. -#}
{% macro resolve_references() %}
    {% set remembers = keeps_rows('resource_identifier') %}
    {% do run_query('create or replace table memory.scratch.current_identifier as ' ~ identifiers()) %}
    {% set resolve %}
        create or replace table memory.scratch.conditional_reference as
        with asked as (
            select distinct unnest(conditional_references) as reference_text
            from memory.scratch.winner
            where conditional_references is not null
        ),

        known as (
            select identifier_key, resource_id
            from memory.scratch.current_identifier
            where identifier_key in (select reference_text from asked)
            {% if remembers %}
            union all
            select identifier_key, resource_id
            from lake.silver.resource_identifier
            anti join memory.scratch.touched using (resource_type, resource_id)
            where identifier_key in (select reference_text from asked)
            {% endif %}
        )

        select identifier_key as reference_text, any_value(resource_id) as resource_id
        from known
        group by identifier_key
        having count(distinct resource_id) = 1
    {% endset %}
    {% do run_query(resolve) %}
{% endmacro %}


{#- Resource types that may refer to a Medication for what they are about. -#}
{% macro medication_naming_types() %}
    {{ return(['MedicationRequest', 'MedicationAdministration', 'MedicationDispense', 'MedicationStatement']) }}
{%- endmacro %}


{#- What the touched (or all) resources depend on. -#}
{% macro links() -%}
    with linking as (
        select
            bronze.resource_type,
            bronze.resource_id,
            bronze.submission_id,
            bronze.source_file,
            bronze.source_position,
            bronze.ingested_at,
            from_json(
                bronze.resource,
                '{"contained":[{"resourceType":"VARCHAR","id":"VARCHAR"}],"subject":{"reference":"VARCHAR"},"encounter":{"reference":"VARCHAR"},"context":{"encounter":[{"reference":"VARCHAR"}]},"content":[{"attachment":{"url":"VARCHAR"}}],"status":"VARCHAR","docStatus":"VARCHAR","relatesTo":[{"code":"VARCHAR","target":{"reference":"VARCHAR"}}],"medicationReference":{"reference":"VARCHAR"},"result":[{"reference":"VARCHAR"}],"category":[{"coding":[{"code":"VARCHAR"}]}],"code":{"coding":[{"code":"VARCHAR"}]},"presentedForm":[{"url":"VARCHAR"}]}'
            ) as parsed
        from {{ winning_rows(['DocumentReference', 'DiagnosticReport'] + medication_naming_types()) }} as bronze
    ),

    named as (
        select
            * exclude (parsed),
            {{ contained_keys('parsed.contained') }} as contained_keys,
            parsed.subject.reference as patient_reference,
            case
                when resource_type = 'DocumentReference' then parsed.context.encounter[1].reference
                else parsed.encounter.reference
            end as encounter_reference,
            resource_type = 'DocumentReference'
            or (resource_type = 'DiagnosticReport' and len(parsed."presentedForm") > 0) as is_note,
            parsed."medicationReference".reference as medication_reference,
            list_filter(
                list_concat(
                    list_transform(parsed.content, lambda c: c.attachment.url),
                    list_transform(parsed."presentedForm", lambda f: f.url)
                ),
                lambda u: u is not null
            ) as attachment_urls,
            case
                when {{ note_counts('resource_type', 'parsed.status', 'parsed."docStatus"') }}
                    then list_transform(
                        list_filter(parsed."relatesTo", lambda r: r.code = 'replaces'),
                        lambda r: r.target.reference
                    )
            end as replaced_references,
            case
                when
                    resource_type = 'DiagnosticReport'
                    and list_has_any(
                        list_concat(
                            flatten(list_transform(parsed.category, lambda c: list_transform(c.coding, lambda g: g.code))),
                            list_transform(parsed.code.coding, lambda g: g.code)
                        ),
                        [{{ sql_list(ecg_codes() + genomic_codes()) }}]
                    )
                    then list_transform(parsed.result, lambda r: r.reference)
            end as result_references
        from linking
    ),

    target as (
        select
            named.*,
            'note' as target_type,
            coalesce(
                {{ reference_id('named.encounter_reference', 'Encounter', 'conditional_encounter', 'named.resource_id', 'named.contained_keys') }},
                {{ reference_id('named.patient_reference', 'Patient', 'conditional_patient', 'named.resource_id', 'named.contained_keys') }},
                ''
            ) as target_id
        from named
        left join memory.scratch.conditional_reference as conditional_encounter
            on {{ conditional_text('named.encounter_reference') }} = conditional_encounter.reference_text
        left join memory.scratch.conditional_reference as conditional_patient
            on {{ conditional_text('named.patient_reference') }} = conditional_patient.reference_text
        where named.is_note
        union all
        select
            named.*,
            'Medication',
            {{ reference_id('named.medication_reference', 'Medication', 'conditional_medication', 'named.resource_id') }}
        from named
        left join memory.scratch.conditional_reference as conditional_medication
            on {{ conditional_text('named.medication_reference') }} = conditional_medication.reference_text
        where named.medication_reference is not null
        union all
        select
            * exclude (result_reference),
            'Observation',
            {{ reference_id('result_reference', 'Observation', none, 'resource_id') }}
        from (select *, unnest(result_references) as result_reference from named)
        union all
        select
            * exclude (attachment_url),
            'Binary',
            {{ reference_id('attachment_url', 'Binary', none, 'resource_id') }}
        from (select *, unnest(attachment_urls) as attachment_url from named)
        union all
        select
            * exclude (replaced_reference),
            'replaced DocumentReference',
            {{ reference_id('replaced_reference', 'DocumentReference', none, 'resource_id') }}
        from (select *, unnest(replaced_references) as replaced_reference from named)
    )

    select distinct
        resource_type,
        resource_id,
        target_type,
        target_id,
        submission_id,
        source_file,
        source_position,
        ingested_at
    from target
    where target_id is not null
{%- endmacro %}


{#- Codes (v2-0074 category, LOINC, SNOMED CT) that make a report an ECG or a genomic report. -#}
{% macro ecg_codes() -%}
    {{ return(['EC', '11524-6', '34534-8', '28010-7', '18844-1', '29303009']) }}
{%- endmacro %}
{% macro genomic_codes() -%}
    {{ return(['GE', 'genetics', 'genomics', '51969-4', '81247-9', '55232-3', '51968-6', '86205-2']) }}
{%- endmacro %}


{#-
    Touch what depends on a touched resource, in three steps, each of which needs the one before: rows
    that take something from it; the resources that may be the same note as one of these; and what all
    of these are made from, which a model finds among the winners of touched keys only.
-#}
{% macro touch_linked() %}
    {% if not keeps_rows('resource_link') %}
        {{ return('') }}
    {% endif %}
    {% set takers %}
        select remembered.resource_type, remembered.resource_id
        from lake.silver.resource_link as remembered
        semi join (select * from memory.scratch.touched where is_touched) as touched
            on remembered.target_type = touched.resource_type and remembered.target_id = touched.resource_id
        union all
        select 'DocumentReference' as resource_type, target_id as resource_id
        from ({{ links_of_touched() }})
        where target_type = 'replaced DocumentReference'
    {% endset %}
    {% set same_notes %}
        select resource_type, resource_id
        from lake.silver.resource_link
        where
            target_type = 'note'
            and target_id in (select target_id from ({{ links_of_touched() }}) where target_type = 'note')
    {% endset %}
    {#- An ECG Observation is a row of its own only where no report has it. -#}
    {% set parts %}
        select target_type as resource_type, target_id as resource_id
        from ({{ links_of_touched() }})
        where target_type in ('Observation', 'Binary')
    {% endset %}
    {% for dependents in [takers, same_notes, parts] %}
        {% if touch_more(dependents) %}
            {#- What was touched now may name others by identifiers that nobody asked for before. -#}
            {% do resolve_references() %}
            {% do run_query('create or replace table memory.scratch.current_link as ' ~ links()) %}
        {% endif %}
    {% endfor %}
{% endmacro %}


{#- What touched resources depended on, and what they depend on now. -#}
{% macro links_of_touched() -%}
    select target_type, target_id
    from (
        select resource_type, resource_id, target_type, target_id from lake.silver.resource_link
        union all
        select resource_type, resource_id, target_type, target_id from memory.scratch.current_link
    )
    semi join (select * from memory.scratch.touched where is_touched) as touched using (resource_type, resource_id)
{%- endmacro %}


{#- DICOM studies to recompute, and the ImagingStudy resources that describe them. -#}
{% macro touch_studies(pending, rebuilds_all) %}
    {% if rebuilds_all %}
        {% do run_query('create or replace table memory.scratch.touched_study as select distinct study_instance_uid from ' ~ source('bronze', 'dicom_instance') ~ ' where study_instance_uid is not null') %}
    {% else %}
        {% set has_table = keeps_rows('imaging_study') %}
        {% set studies %}
            create or replace table memory.scratch.touched_study as
            select study_instance_uid
            from {{ source('bronze', 'dicom_instance') }}
            where submission_id in ({{ sql_list(pending) }}) and study_instance_uid is not null
            {% if has_table %}
            union
            select study_instance_uid
            from lake.silver.imaging_study
            where
                study_instance_uid is not null
                and study_id in (select resource_id from memory.scratch.touched where resource_type = 'ImagingStudy')
            {% else %}
            union
            select study_instance_uid
            from {{ source('bronze', 'dicom_instance') }}
            where study_instance_uid is not null
            {% endif %}
            union
            select {{ study_uid('bronze.resource') }}
            from {{ winning_rows(['ImagingStudy']) }} as bronze
        {% endset %}
        {% do run_query(studies) %}
        {% if has_table %}
            {% do touch_more("select 'ImagingStudy' as resource_type, study_id as resource_id from lake.silver.imaging_study where not starts_with(study_id, 'urn:oid:') and study_instance_uid in (select study_instance_uid from memory.scratch.touched_study where study_instance_uid is not null)") %}
        {% endif %}
    {% endif %}
{% endmacro %}


{#- All links as they are after this build: those of the touched resources, and those that stay. -#}
{% macro all_links() -%}
    (
        select resource_type, resource_id, target_type, target_id from memory.scratch.current_link
        {%- if keeps_rows('resource_link') %}
        union all
        select resource_type, resource_id, target_type, target_id
        from lake.silver.resource_link
        anti join memory.scratch.touched using (resource_type, resource_id)
        {%- endif %}
    )
{%- endmacro %}
