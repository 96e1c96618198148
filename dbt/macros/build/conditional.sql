{#-
    What a condition names: `ifNoneExist`, `PUT Type?identifier=…`, `DELETE Type?identifier=…`
    (https://hl7.org/fhir/R4/http.html#cond-update). The landing gives such a row an id made from the
    condition. A server would look which resource has the identifier, in the order in which it gets the
    requests; here it is asked of all live submissions, so that the order of arrival does not count:
    - one resource with an id of its own has it: that is meant. The rows are its versions, references
      go to it, and a conditional create does nothing;
    - several have it: the server would refuse (412). The rows count for nothing, which is an issue;
    - none has it: the id stays, and what several conditions name each other's identifiers for is one
      resource, with the least of their ids.
    A resource has an identifier if the last version of those sent under its id has it, also when it was
    deleted later: then the conditional rows before the deletion are gone with it.

    `silver.resource_identity` remembers the identifiers of the resource types that conditions name.
-#}
{% macro find_by_condition() %}
    {% set types = run_query('select distinct resource_type from ' ~ conditional_rows() ~ ' order by 1').columns[0].values() %}
    {% set remembers = keeps_rows('resource_identity') %}
    {% set types_before = run_query('select distinct resource_type from lake.silver.resource_identity order by 1').columns[0].values() if remembers else [] %}
    {% set new_types = types | reject('in', types_before) | list %}
    {% do build_state().update({'finds_by_condition': false}) %}
    {% if not types and not types_before %}
        {% do run_query('create or replace table memory.scratch.touched_identity (resource_type varchar, resource_id varchar)') %}
        {% do run_query('create or replace table memory.scratch.current_identity (resource_type varchar, resource_id varchar, condition varchar, identifier_key varchar)') %}
        {% for table in ('conditional_resource', 'changed_condition') %}
            {% do run_query('create or replace table memory.scratch.' ~ table ~ ' (resource_type varchar, made_id varchar, condition varchar, resource_id varchar)') %}
        {% endfor %}
        {{ return('') }}
    {% endif %}
    {#- Keys whose identity is made anew. -#}
    {% do run_query("create or replace table memory.scratch.touched_identity as
        select resource_type, resource_id from memory.scratch.touched
        " ~ ("union select resource_type, resource_id from " ~ source('bronze', 'fhir_resource') ~ " where resource_type in (" ~ sql_list(new_types) ~ ")" if new_types else '') ~ "
        " ~ ("union select resource_type, resource_id from lake.silver.resource_identity" if types_before else '')
        ~ (" where resource_type not in (" ~ sql_list(types) ~ ")" if types_before and types else '')) %}
    {% do run_query('create or replace table memory.scratch.current_identity as ' ~ identities(types)) %}
    {% set all_identities %}
        select resource_type, resource_id, identifier_key, condition from memory.scratch.current_identity
        {%- if remembers %}
        union all
        select resource_type, resource_id, identifier_key, condition
        from lake.silver.resource_identity
        anti join memory.scratch.touched_identity using (resource_type, resource_id)
        {%- endif %}
    {% endset %}
    {% do run_query('create or replace table memory.scratch.conditional_resource as ' ~ found_by_condition(all_identities)) %}
    {% set before = found_by_condition('select * from lake.silver.resource_identity') if types_before else 'select * from memory.scratch.conditional_resource where false' %}
    {% do run_query("create or replace table memory.scratch.changed_condition as
        with before as (" ~ before ~ "), after as (select * from memory.scratch.conditional_resource)
        (select * from before except select * from after) union all (select * from after except select * from before)") %}
    {% do build_state().update({'finds_by_condition': run_query('select exists (from memory.scratch.conditional_resource)').rows[0][0]}) %}
    {% if not build_state().rebuilds_all %}
        {% set changed %}
            select resource_type, made_id as resource_id from memory.scratch.changed_condition
            union all
            select resource_type, resource_id from memory.scratch.changed_condition where resource_id is not null
            union all
            select resource_type, resource_id from memory.scratch.touched where is_touched
        {% endset %}
        {% do run_query("create or replace table memory.scratch.found_too as
            select resource_type, resource_id, true as is_touched from (" ~ with_found_keys(changed) ~ ")
            union all
            select resource_type, resource_id, false from (" ~ with_found_keys('select resource_type, resource_id from memory.scratch.touched') ~ ")") %}
        {% do run_query("create or replace table memory.scratch.touched as
            select resource_type, resource_id, bool_or(is_touched) as is_touched
            from (select * from memory.scratch.touched union all select * from memory.scratch.found_too)
            group by resource_type, resource_id") %}
    {% endif %}
    {% do run_query("insert into memory.scratch.data_issue " ~ refused_conditions()) %}
{% endmacro %}


{#- Live rows that a condition with an identifier names. -#}
{% macro conditional_rows() -%}
    (
        select resource_type, resource_id, condition, submission_id
        from {{ source('bronze', 'fhir_resource') }}
        where
            condition is not null
            and starts_with(condition, resource_type || '?identifier=')
            and not contains(condition, '&')
            and submission_id in (select submission_id from memory.scratch.live_submission)
    )
{%- endmacro %}


{#-
    The identifiers of the touched (or all) resources of these types, as they were sent under each id,
    and the condition of those that have their id from one.
-#}
{% macro identities(types) -%}
    {%- set keys = none if build_state().rebuilds_all else 'memory.scratch.touched_identity' %}
    with last_sent as (
        {{ winners(keys, as_sent=types or ['none']) }}
    ),

    named as (
        select distinct conditional.resource_type, conditional.resource_id, conditional.condition
        from {{ conditional_rows() }} as conditional
        {%- if keys %}
        semi join {{ keys }} as keys
            on conditional.resource_type = keys.resource_type and conditional.resource_id = keys.resource_id
        {%- endif %}
    ),

    carried as (
        select
            bronze.resource_type,
            bronze.resource_id,
            list_filter(
                from_json(
                    bronze.resource, '{"identifier":[{"system":"VARCHAR","value":"VARCHAR"}]}'
                ).identifier,
                lambda identifier: identifier.value is not null
            ) as identifiers
        from {{ source('bronze', 'fhir_resource') }} as bronze
        where
            bronze.resource_type in ({{ sql_list(types) }})
            and bronze.rowid in (select bronze_row from last_sent)
    )

    select distinct
        coalesce(carried.resource_type, named.resource_type) as resource_type,
        coalesce(carried.resource_id, named.resource_id) as resource_id,
        named.condition,
        unnest(
            case
                when len(coalesce(carried.identifiers, [])) = 0 then [null]
                else list_concat(
                    list_transform(
                        carried.identifiers,
                        lambda i: carried.resource_type || '?identifier=' || coalesce(i.system, '') || '|' || i.value
                    ),
                    list_transform(
                        carried.identifiers, lambda i: carried.resource_type || '?identifier=' || i.value
                    )
                )
            end
        ) as identifier_key
    from carried
    full outer join named
        on carried.resource_type = named.resource_type and carried.resource_id = named.resource_id
{%- endmacro %}


{#-
    Conditions that do not name the resource with the id made from them (`made_id`): `resource_id` is
    that of the one that they name, null where they name several.
-#}
{% macro found_by_condition(identities) -%}
    with identity as (
        {{ identities }}
    ),

    made as (
        select distinct resource_type, resource_id as made_id, condition
        from identity
        where condition is not null
    ),

    carrier as (
        select distinct
            made.resource_type,
            made.made_id,
            identity.resource_id as carrier_id,
            identity.condition is not null as is_made
        from made
        inner join identity
            on made.condition = identity.identifier_key and made.made_id <> identity.resource_id
    ),

    direct as (
        select resource_type, made_id, count(*) as carriers, min(carrier_id) as carrier_id
        from carrier
        where not is_made
        group by resource_type, made_id
    ),

    mutual as (
        select one.resource_type, one.made_id, min(one.carrier_id) as carrier_id
        from carrier as one
        semi join carrier as other
            on one.resource_type = other.resource_type and one.made_id = other.carrier_id and one.carrier_id = other.made_id
        anti join direct
            on one.resource_type = direct.resource_type and one.carrier_id = direct.made_id
        where one.is_made
        group by one.resource_type, one.made_id
    ),

    -- What each of these ids stands for, as far as other conditions do not matter.
    meant as (
        select
            made.resource_type,
            made.made_id,
            made.condition,
            direct.carriers,
            case
                when direct.carriers = 1 then direct.carrier_id
                when direct.carriers is null then least(made.made_id, mutual.carrier_id)
            end as resource_id
        from made
        left join direct on made.resource_type = direct.resource_type and made.made_id = direct.made_id
        left join mutual on made.resource_type = mutual.resource_type and made.made_id = mutual.made_id
    ),

    through_others as (
        select
            carrier.resource_type,
            carrier.made_id,
            count(distinct meant.resource_id) as carriers,
            min(meant.resource_id) as resource_id
        from carrier
        inner join meant
            on carrier.resource_type = meant.resource_type and carrier.carrier_id = meant.made_id
        where carrier.is_made and meant.resource_id is not null
        group by carrier.resource_type, carrier.made_id
    )

    select
        meant.resource_type,
        meant.made_id,
        meant.condition,
        case
            when meant.carriers is not null or through_others.carriers is null then meant.resource_id
            when through_others.carriers = 1 then through_others.resource_id
        end as resource_id
    from meant
    left join through_others
        on meant.resource_type = through_others.resource_type and meant.made_id = through_others.made_id
    where
        case
            when meant.carriers is not null or through_others.carriers is null then meant.resource_id
            when through_others.carriers = 1 then through_others.resource_id
        end is distinct from meant.made_id
{%- endmacro %}


{#- These keys, and those of the resources that their conditions name. -#}
{% macro with_found_keys(keys) -%}
    {%- if not build_state().finds_by_condition %}
    {{ keys }}
    {%- else %}
    with keys as (
        {{ keys }}
    )

    select resource_type, resource_id from keys
    union all
    select found.resource_type, found.resource_id
    from memory.scratch.conditional_resource as found
    semi join keys on found.resource_type = keys.resource_type and found.made_id = keys.resource_id
    where found.resource_id is not null
    {%- endif %}
{%- endmacro %}


{#- Conditions that name several resources, of the touched (or all) ids made from them. -#}
{% macro refused_conditions() -%}
    select
        'resource_identity' as table_name,
        refused.resource_type,
        refused.made_id,
        'condition' as column_name,
        'a condition that names several resources: what was asked was not done' as reason,
        max(conditional.submission_id) as submission_id
    from memory.scratch.conditional_resource as refused
    inner join {{ conditional_rows() }} as conditional
        on refused.resource_type = conditional.resource_type and refused.made_id = conditional.resource_id
    {%- if not build_state().rebuilds_all %}
    semi join memory.scratch.touched
        on refused.resource_type = touched.resource_type and refused.made_id = touched.resource_id
    {%- endif %}
    where refused.resource_id is null
    group by refused.resource_type, refused.made_id
{%- endmacro %}


{#-
    Winning rows in which ids made from a condition have to be replaced: the row's own, which the landing
    wrote at its beginning, and those in references to entries of the same bundle.
-#}
{% macro renamed_rows() -%}
    select bronze_row, resource_id, list_distinct(list(pair) filter (pair is not null)) as replacements
    from (
        select
            winner.bronze_row,
            winner.resource_id,
            '{"id":"' || found.made_id || '",' || chr(0) || '{"id":' || to_json(winner.resource_id) || ',' as pair
        from memory.scratch.winner as winner
        inner join memory.scratch.conditional_resource as found
            on winner.resource_type = found.resource_type and winner.resource_id = found.resource_id
        union all
        select
            winner.bronze_row,
            winner.resource_id,
            '"' || found.resource_type || '/' || found.made_id || '"' || chr(0) || to_json(found.resource_type || '/' || found.resource_id)
        from (
            select bronze_row, resource_id, unnest(conditional_references) as condition
            from memory.scratch.winner
            where conditional_references is not null
        ) as winner
        inner join memory.scratch.conditional_resource as found on winner.condition = found.condition
        where found.resource_id is not null
    )
    group by bronze_row, resource_id
{%- endmacro %}
