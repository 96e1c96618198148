{#-
    What a build works on, computed once before the models and kept in the in-memory database
    (`memory.scratch`), so that no model does it again:

    live_submission      submissions whose rows belong in Silver
    touched              keys to recompute: those of added and removed submissions, and those whose
                         content depends on them (see touch_dependents)
    winner               the Bronze row that each of these keys gets its content from
    current_identity     by what conditional requests may find a resource (see conditional.sql)
    conditional_resource  conditions that name a resource with an id of its own, or several
    renamed_row          winners in which ids made from a condition stand for those of others
    current_identifier   identifiers of the resources to which conditional references point
    current_link         resources whose Silver row depends on another resource
    conditional_reference  conditional references that can be resolved now
    touched_study        DICOM study UIDs to recompute
    data_issue           values that were dropped; filled by the models

    What the models' SQL is made from, and not what it reads, is in `build_state()`.

    In a full build every key is recomputed; so are all keys of resource types whose Silver table is
    missing. Models that differ from those that built Silver (each table's comment is their
    fingerprint) make it a full build, and so does a submission that is landed again.
-#}
{% macro prepare_build() %}
{% if execute and flags.WHICH in ('run', 'build') %}
    {% do run_query('create schema if not exists memory.scratch') %}
    {% do graph.update({'build_state': {'built_by': dict(run_query(lake_tables()).rows | map('list'))}}) %}
    {% if builds_silver() %}{% do prepare_silver() %}{% endif %}
{% endif %}
{% endmacro %}


{#-
    The state of the running build, kept in dbt's `graph`, which all its nodes share:

    built_by         of each table there is (`schema.table`), which models built it
    rebuilds_all     whether all of Silver is made anew
    touched_types    resource types with keys to recompute, where it is not
    finds_by_condition  whether a condition names another resource than the one with the id made from it
    renamed_rows     the table of rows in which ids are replaced, once it is made
    submissions      of each resource type, the submissions of its winners; none where they are too many
                     to name
-#}
{% macro build_state() -%}
    {{ return(graph.build_state) }}
{%- endmacro %}


{#-
    The lake's tables and the fingerprint of the models that built them (their comment), read from
    DuckLake's own tables: information_schema would load the catalog of every attached database.
-#}
{% macro lake_tables() -%}
    select schemas.schema_name || '.' || tables.table_name as name, tags.value as built_by
    from __ducklake_metadata_lake.ducklake_table as tables
    inner join __ducklake_metadata_lake.ducklake_schema as schemas on tables.schema_id = schemas.schema_id
    left join __ducklake_metadata_lake.ducklake_tag as tags
        on tables.table_id = tags.object_id and tags.key = 'comment' and tags.end_snapshot is null
    where
        tables.end_snapshot is null
        and schemas.end_snapshot is null
        and schemas.schema_name in ('silver', 'gold', 'marts')
{%- endmacro %}


{#- dbt asks which schemas there are before each run; lakehouse.lake made them. -#}
{% macro duckdb__list_schemas(database) -%}
    {{ return(run_query('select schema_name from __ducklake_metadata_lake.ducklake_schema where end_snapshot is null')) }}
{%- endmacro %}


{#- Whether a Silver table is among the selected models. -#}
{% macro builds_silver() %}
    {% for unique_id in selected_resources if unique_id in graph.nodes and graph.nodes[unique_id].config.materialized == 'touched_keys' %}
        {{ return(true) }}
    {% endfor %}
    {{ return(false) }}
{% endmacro %}


{% macro prepare_silver() %}
    {% do run_query('create or replace table memory.scratch.live_submission as select submission_id from metadata.public.live_submission') %}
    {% set pending = run_query('select submission_id from metadata.public.pending_submission order by 1').columns[0].values() %}
    {% set built_by = build_state().built_by %}
    {% set tables = namespace(any=false, outdated=false, missing_types=[]) %}
    {% for node in graph.nodes.values() if node.resource_type == 'model' and node.config.materialized == 'touched_keys' %}
        {% set models = built_by.get('silver.' ~ node.name, 'missing') %}
        {% if models == 'missing' %}
            {% set tables.missing_types = tables.missing_types + staged_types(node) %}
        {% else %}
            {% set tables.any = true %}
            {#- Other models than those that built Silver would leave it half old, half new. -#}
            {% if models != silver_fingerprint() %}{% set tables.outdated = true %}{% endif %}
        {% endif %}
    {% endfor %}
    {#- What an integrated submission held before it was landed again is no longer in Bronze. -#}
    {% set landed_again = run_query("select count(*) from metadata.public.pending_submission as pending inner join metadata.public.submission as submission on pending.submission_id = submission.submission_id where pending.change = 'added' and submission.in_silver and submission.landed_at > submission.integrated_at").rows[0][0] > 0 %}
    {% set rebuilds_all = flags.FULL_REFRESH or not tables.any or tables.outdated or landed_again %}
    {% do build_state().update({'rebuilds_all': rebuilds_all}) %}
    {% do run_query('create or replace table memory.scratch.data_issue (table_name varchar, resource_type varchar, resource_id varchar, column_name varchar, reason varchar, submission_id varchar)') %}

    {% if rebuilds_all %}
        {% do run_query('create or replace table memory.scratch.touched (resource_type varchar, resource_id varchar)') %}
        {% do find_by_condition() %}
        {% do run_query('create or replace table memory.scratch.winner as ' ~ winners()) %}
    {% else %}
        {% do run_query('create or replace table memory.scratch.touched as ' ~ touched_by(pending, tables.missing_types | unique | list)) %}
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
    {% set touched_types = run_query('select distinct resource_type from memory.scratch.touched').columns[0].values() %}
    {% do build_state().update({'touched_types': touched_types, 'submissions': winning_submissions()}) %}
{% endmacro %}


{#- What stands for the present state of the models; given by transformation.dbt_runner. -#}
{% macro silver_fingerprint() -%}
    {{ return(env_var('LAKEHOUSE_SILVER_MODELS', 'unknown')) }}
{%- endmacro %}
{% macro project_fingerprint() -%}
    {{ return(env_var('LAKEHOUSE_MODELS', 'unknown')) }}
{%- endmacro %}


{#- Keys in the Bronze rows of these submissions, and all keys of these resource types. -#}
{% macro touched_by(submissions, resource_types) -%}
    select distinct resource_type, resource_id
    from {{ source('bronze', 'fhir_resource') }}
    where submission_id in ({{ sql_list(submissions) }})
    {%- if resource_types %}
        or resource_type in ({{ sql_list(resource_types) }})
    {%- endif %}
{%- endmacro %}


{#- A list of literals; never empty, so that `in (…)` stays valid. -#}
{% macro sql_list(values) -%}
    {%- for value in values %}'{{ value }}'{{ ', ' if not loop.last }}{% else %}null{% endfor -%}
{%- endmacro %}


{#-
    The winning live row of each key, or of each key in `keys`; a key whose winner is a DELETE has
    none. A row whose condition names a resource with an id of its own (see conditional.sql) is one of
    that resource, and of none where it names several. In this order, the first difference decides:
    1. whole resources before parts of them (SUBSETTED): https://hl7.org/fhir/R4/search.html#summary;
    2. the later `meta.lastUpdated`, as an instant: https://hl7.org/fhir/R4/resource.html#Meta;
    3. the higher `meta.versionId`, where both are numbers: it is opaque otherwise;
    4. the later arrival: submission, file, sequence in it (see ingestion/sources/fhir/envelope.py).
    What a row does not say (a DELETE may say neither) it takes from the others: the time from those of
    its version and before, else from those that arrived before it; the version from the latter. A
    conditional create does nothing where the resource is there (http.html#ccreate).
    Most keys have one row: only the others are ranked, and the JSON text is not touched.

    With `as_sent`, resource types: their keys as the submissions have them, whatever conditions name,
    each with the row that it last had, deleted or not.
-#}
{% macro winners(keys=none, as_sent=none) -%}
    {%- set finds = build_state().finds_by_condition and not as_sent %}
    {%- set resource_id = 'coalesce(found.resource_id, bronze.resource_id)' if finds else 'bronze.resource_id' %}
    with live_row as (
        select
            bronze.resource_type,
            {{ resource_id }} as resource_id,
            {{ 'found.resource_id is not null' if finds else 'false' }} as is_found,
            bronze.submission_id,
            bronze.source_file,
            coalesce(bronze.sequence, bronze.source_position) as sequence,
            bronze.version_id,
            bronze.last_updated,
            bronze.request_method = 'DELETE' as is_deletion,
            bronze.request_method = 'POST' and bronze.condition is not null as is_conditional_create,
            coalesce(bronze.is_subset, false) as is_subset,
            bronze.conditional_references,
            bronze.rowid as bronze_row
        from {{ source('bronze', 'fhir_resource') }} as bronze
        {%- if finds %}
        left join memory.scratch.conditional_resource as found
            on bronze.resource_type = found.resource_type and bronze.resource_id = found.made_id
        {%- endif %}
        {%- if keys %}
        semi join {{ keys }} as keys
            on bronze.resource_type = keys.resource_type and {{ resource_id }} = keys.resource_id
        {%- endif %}
        where
            bronze.submission_id in (select submission_id from memory.scratch.live_submission)
            {%- if finds %}
            and (found.made_id is null or found.resource_id is not null)
            {%- endif %}
            {%- if as_sent %}
            and bronze.resource_type in ({{ sql_list(as_sent) }})
            and bronze.request_method is distinct from 'DELETE'
            {%- endif %}
    ),

    per_key as (
        select
            resource_type,
            resource_id,
            count(*) as row_count,
            any_value(submission_id) as submission_id,
            any_value(bronze_row) as bronze_row,
            any_value(conditional_references) as conditional_references,
            coalesce(bool_or(is_deletion), false) as is_deletion
        from live_row
        group by resource_type, resource_id
    ),

    several as (
        select
            live_row.*,
            case when regexp_full_match(version_id, '[0-9]+') then ltrim(version_id, '0') end as version_digits,
            {{ instant('last_updated') }} as updated_at,
            last_value(case when not is_conditional_create then coalesce(is_deletion, false) end ignore nulls)
                over earlier as was_deleted,
            count(*) filter (not is_conditional_create) over earlier as changes_before
        from live_row
        semi join (select resource_type, resource_id from per_key where row_count > 1) as repeated
            using (resource_type, resource_id)
        window earlier as (
            partition by resource_type, resource_id
            order by submission_id, source_file, sequence, bronze_row
            rows unbounded preceding
        )
    ),

    effective as (
        select
            *,
            {{ version_order('version_digits') }} as version_order,
            row_number() over (
                partition by resource_type, resource_id, changes_before, is_conditional_create
                order by submission_id, source_file, sequence, bronze_row
            ) as try_number
        from several
    ),

    done as (
        select
            *,
            coalesce(version_order, max(version_order) over earlier) as effective_version,
            coalesce(
                updated_at,
                case when version_order is not null then max(updated_at) over versions_before end,
                max(updated_at) over earlier
            ) as effective_update
        from effective
        where not is_conditional_create or (try_number = 1 and coalesce(was_deleted, not is_found))
        window
            earlier as (
                partition by resource_type, resource_id
                order by submission_id, source_file, sequence, bronze_row
                rows unbounded preceding
            ),
            versions_before as (
                partition by resource_type, resource_id
                order by version_order asc nulls last
                range between unbounded preceding and current row
            )
    ),

    ranked as (
        select
            *,
            row_number() over (
                partition by resource_type, resource_id
                order by
                    is_subset,
                    effective_update desc nulls last,
                    effective_version desc nulls last,
                    submission_id desc,
                    source_file desc,
                    sequence desc,
                    bronze_row desc
            ) as place
        from done
    )

    select resource_type, resource_id, submission_id, bronze_row, conditional_references
    from per_key
    where row_count = 1 and not is_deletion
    union all
    select resource_type, resource_id, submission_id, bronze_row, conditional_references
    from ranked
    where place = 1 and not coalesce(is_deletion, false)
{%- endmacro %}


{#- Text that sorts like the number of these digits (without zeros before them): by length first. -#}
{% macro version_order(digits) -%}
    lpad(length({{ digits }})::varchar, 9, '0') || {{ digits }}
{%- endmacro %}


{#- A FHIR instant as such, to the microsecond; a leap second is the end of the second before it. -#}
{% macro instant(text) -%}
    coalesce(
        try_cast({{ text }} as timestamptz),
        try_cast(regexp_replace({{ text }}, '(T\d\d:\d\d):60(?:\.\d+)?', '\1:59.999999') as timestamptz)
    )
{%- endmacro %}
