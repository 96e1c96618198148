{#- The winning Bronze rows of one resource type: what a staging model extracts from. -#}
{% macro current_resources(resource_type, texts=none) -%}
    (
        select
            bronze.resource,
            bronze.submission_id,
            bronze.source_file,
            bronze.source_position,
            bronze.ingested_at,
            case
                when contains(bronze.resource, '"contained"')
                    then {{ contained_keys("try(from_json(json_extract(bronze.resource, '$.contained'), '[{\"resourceType\":\"VARCHAR\",\"id\":\"VARCHAR\"}]'))") }}
            end as contained_keys,
            contains(bronze.resource, '"modifierExtension"')
            and {{ has_modifier_extension('bronze.resource') }} as has_unknown_modifier
        from {{ winning_rows([resource_type]) }} as bronze
        {%- for text in texts or [] %}
        {{ 'where' if loop.first else 'or' }} contains(bronze.resource, '"{{ text }}"')
        {%- endfor %}
    )
{%- endmacro %}


{#-
    Whether a resource has a modifierExtension, of itself or of a part of it: an extension that may turn
    what the rest says into its opposite. None is known here, and what is not known must not be taken as
    if it were understood: https://hl7.org/fhir/R4/extensibility.html#modifierExtension. Contained
    resources have their own.
-#}
{% macro has_modifier_extension(resource) -%}
    len(
        list_filter(
            json_extract(json_merge_patch({{ resource }}, '{"contained":null}'), '$..modifierExtension'),
            lambda modifiers: json_array_length(modifiers) > 0
        )
    ) > 0
{%- endmacro %}


{#-
    What the Observations inside winning resources of one type say, with the owner's id: contained
    resources have no life of their own (https://hl7.org/fhir/R4/references.html#contained) and no row in
    Silver. One row (`part`) for the Observation itself, place 0, and for each of its components.
-#}
{% macro contained_observations(resource_type) -%}
    {%- set finding = '"code":{"coding":[{"system":"VARCHAR","code":"VARCHAR","display":"VARCHAR","userSelected":"BOOLEAN"}]},"valueQuantity":{"value":"JSON","unit":"VARCHAR","code":"VARCHAR"},"valueCodeableConcept":{"coding":[{"system":"VARCHAR","code":"VARCHAR","display":"VARCHAR","userSelected":"BOOLEAN"}],"text":"VARCHAR"},"valueString":"VARCHAR","valueSampledData":"JSON"' -%}
    select
        resource_id,
        observation.id as observation_id,
        observation.status,
        unnest(
            list_transform(
                list_concat(
                    [
                        struct_pack(
                            code := observation.code,
                            "valueQuantity" := observation."valueQuantity",
                            "valueCodeableConcept" := observation."valueCodeableConcept",
                            "valueString" := observation."valueString",
                            "valueSampledData" := observation."valueSampledData"
                        )
                    ],
                    observation.component
                ),
                lambda part, place: {
                    'place': place - 1,
                    'codings': {{ codings('part.code.coding') }},
                    'value': try_cast(part."valueQuantity".value::varchar as double),
                    'unit_code': part."valueQuantity".code,
                    'unit': part."valueQuantity".unit,
                    'value_codings': {{ codings('part."valueCodeableConcept".coding') }},
                    'text': coalesce(part."valueCodeableConcept".text, part."valueString"),
                    'is_waveform': part."valueSampledData" is not null
                }
            )
        ) as part
    from (
        select
            bronze.resource_id,
            unnest(
                from_json(
                    json_extract(bronze.resource, '$.contained'),
                    '[{"resourceType":"VARCHAR","id":"VARCHAR","status":"VARCHAR",{{ finding }},"component":[{ {{- finding -}} }]}]'
                )
            ) as observation
        from {{ winning_rows([resource_type]) }} as bronze
        where contains(bronze.resource, '"contained"')
    )
    where observation."resourceType" = 'Observation'
{%- endmacro %}


{#-
    The Bronze rows that are winners of these types: what Silver reads. Where a condition was found to
    name a resource that has an id of its own, the row and references in it have that id.
-#}
{% macro winning_rows(resource_types) -%}
    (
        select
            {%- if is_building() and build_state().finds_by_condition %}
            bronze.* replace (
                coalesce(renamed.resource_id, bronze.resource_id) as resource_id,
                case
                    when renamed.replacements is null then bronze.resource
                    else list_reduce(
                        renamed.replacements,
                        lambda text, pair: replace(text, split_part(pair, chr(0), 1), split_part(pair, chr(0), 2)),
                        bronze.resource
                    )
                end as resource
            )
            {%- else %}
            bronze.*
            {%- endif %}
        from {{ source('bronze', 'fhir_resource') }} as bronze
        {%- if is_building() and build_state().finds_by_condition %}
        left join {{ build_state().get('renamed_rows', '(' ~ renamed_rows() ~ ')') }} as renamed on bronze.rowid = renamed.bronze_row
        {%- endif %}
        where {{ is_winner(resource_types) }}
    )
{%- endmacro %}


{#-
    The condition that a Bronze row (alias `bronze`) is a winner of one of these types. Where they
    come from few submissions it names them: files of other submissions are then not opened.
-#}
{% macro is_winner(resource_types) -%}
    bronze.resource_type in ({{ sql_list(resource_types) }})
    {%- if is_building() %}
    {%- set known = build_state().get('submissions') or winning_submissions() %}
    {%- set submissions = [] %}
    {%- for type in resource_types %}{% do submissions.append(known.get(type, [])) %}{% endfor %}
    {%- if none not in submissions %}
            and bronze.submission_id in ({{ sql_list(submissions | sum(start=[]) | unique) }})
    {%- endif %}
            and bronze.rowid in (
                select bronze_row
                from memory.scratch.winner
                where
                    resource_type in ({{ sql_list(resource_types) }})
                    {%- if build_state().anew_types and model.resource_type == 'model' and not is_for_anew(model.unique_id) %}
                    and (resource_type, resource_id) in (
                        select (resource_type, resource_id) from memory.scratch.touched where is_touched
                    )
                    {%- endif %}
            )
    {%- endif %}
{%- endmacro %}


{#- Whether a Silver table that is made anew has the SQL of this model: its own, or its staging model's. -#}
{% macro is_for_anew(unique_id) %}
    {% for node in silver_models() if node.unique_id == unique_id or unique_id in node.depends_on.nodes %}
        {% if is_anew(node.name) %}{{ return(true) }}{% endif %}
    {% endfor %}
    {{ return(false) }}
{% endmacro %}


{#-
    What is read of FHIR's resources. In a full build every resource is recomputed, and `touched` is empty.
-#}
{% macro prepare_fhir(pending) %}
    {% set rebuilds_all = build_state().rebuilds_all %}
    {% if rebuilds_all %}
        {% do run_query('create or replace table memory.scratch.touched (resource_type varchar, resource_id varchar, is_touched boolean)') %}
        {% do find_by_condition() %}
        {% do run_query('create or replace table memory.scratch.winner as ' ~ winners()) %}
    {% else %}
        {% do run_query('create or replace table memory.scratch.touched as ' ~ touched_by(pending, build_state().anew_types)) %}
        {% do find_by_condition() %}
        {% do run_query('create or replace table memory.scratch.winner as ' ~ winners('memory.scratch.touched')) %}
        {% do touch_referrers() %}
    {% endif %}
    {% do resolve_references() %}
    {% do run_query('create or replace table memory.scratch.current_link as ' ~ links()) %}
    {% if not rebuilds_all %}
        {% do touch_linked() %}
    {% endif %}
    {% do touch_studies(pending, rebuilds_all) %}
    {% if not rebuilds_all %}
        {% do resolve_references() %}
    {% endif %}
    {% if build_state().finds_by_condition %}
        {% do run_query('create or replace table memory.scratch.renamed_row as ' ~ renamed_rows()) %}
        {% do build_state().update({'renamed_rows': 'memory.scratch.renamed_row'}) %}
    {% endif %}
    {% do build_state().update({'submissions': winning_submissions()}) %}
{% endmacro %}


{#-
    Resources in the Bronze rows of these submissions, which are touched, and all resources of these types.
-#}
{% macro touched_by(submissions, resource_types) -%}
    select
        resource_type,
        resource_id,
        bool_or(submission_id in ({{ sql_list(submissions) }})) as is_touched
    from {{ source('bronze', 'fhir_resource') }}
    where submission_id in ({{ sql_list(submissions) }})
    {%- if resource_types %}
        or resource_type in ({{ sql_list(resource_types) }})
    {%- endif %}
    group by resource_type, resource_id
{%- endmacro %}


{#- Of each resource type, the submissions of its winners; none where there are too many to name. -#}
{% macro winning_submissions() %}
    {% set counted %}
        select
            resource_type,
            case when count(distinct submission_id) <= 200 then string_agg(distinct submission_id, ',') end
        from memory.scratch.winner
        group by resource_type
    {% endset %}
    {% set found = {} %}
    {% for type, submissions in run_query(counted).rows %}
        {% do found.update({type: submissions.split(',') if submissions else none}) %}
    {% endfor %}
    {{ return(found) }}
{% endmacro %}


{#- A Silver table that is exactly its staging model: the whole of such a model's file. -#}
{% macro silver_table(view) -%}
    select * from {{ ref('stg_fhir__' ~ view) }}
{%- endmacro %}
