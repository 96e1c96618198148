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
