{#-
    A Silver table of which a build recomputes the touched keys: one transaction deletes them and
    inserts their winning rows. In a full build, or where the table is missing, the table is made
    anew. The result is the same: it depends only on the live submissions.

    config(
        unique_key        the key column; default: the key of the staging model
        touched           SQL that gives the keys to delete; default: the touched keys of the
                          resource types that the staging models extract
        delete_condition  instead of `unique_key in (touched)`
        has_issues        false where the model's SQL has no last column `issues`: the values that
                          were dropped, which go into silver.data_issue
    )
-#}
{% materialization touched_keys, adapter = 'duckdb' %}
    {%- set target_relation = this.incorporate(type='table') -%}
    {%- set staged = 'memory.scratch.' ~ model.name -%}
    {%- set types = staged_types(model) -%}
    {%- set unique_key = config.get('unique_key') or staged_key(model) -%}
    {%- set touched = config.get('touched') or touched_keys_of(types) -%}
    {%- set state = run_query(table_state(model.name, touched)).rows[0] -%}
    {%- set anew = state[0] -%}
    {%- set built_by = state[2] -%}

    {% if not anew and not state[1] %}
        {% do store_raw_result(name='main', message='UNCHANGED', code='UNCHANGED', rows_affected=0) %}
        {{ return({'relations': [target_relation]}) }}
    {% endif %}

    {%- set hidden = 'exclude (issues)' if config.get('has_issues', true) else '' -%}
    {% call statement('stage', auto_begin=false) %}
        create or replace table {{ staged }} as {{ compiled_code }}
    {% endcall %}
    {%- set counts = run_query('select count(*), ' ~ ('count(issues)' if hidden else '0') ~ ' from ' ~ staged).rows[0] -%}

    {% call statement('write') %}
        {%- if anew %}
        {{ replace_content(target_relation, built_by, silver_fingerprint(), 'select * ' ~ hidden ~ ' from ' ~ staged) }}
        {%- else %}
        delete from {{ target_relation }}
        where {{ config.get('delete_condition') or (unique_key ~ ' in (' ~ touched ~ ')') }};
        {%- if counts[0] %}
        insert into {{ target_relation }} by name select * {{ hidden }} from {{ staged }};
        {%- endif %}
        {%- endif %}
    {% endcall %}
    {% do adapter.commit() %}

    {% if counts[1] %}
        {% call statement('issues', auto_begin=false) %}
            insert into memory.scratch.data_issue
            select
                '{{ model.name }}',
                if(contains({{ unique_key }}, '/'), split_part({{ unique_key }}, '/', 1), '{{ types[0] }}'),
                split_part({{ unique_key }}, '/', -1),
                issue.column_name,
                issue.reason,
                submission_id
            from (select *, unnest(issues) as issue from {{ staged }} where issues is not null)
        {% endcall %}
    {% endif %}
    {% call statement('tidy', auto_begin=false) %}
        drop table {{ staged }}
    {% endcall %}
    {% do store_raw_result(name='main', message='OK ' ~ counts[0], code='OK', rows_affected=counts[0]) %}
    {{ return({'relations': [target_relation]}) }}
{% endmaterialization %}


{#- Whether the table is made anew, whether any of its keys is touched, and which models built it. -#}
{% macro table_state(name, touched) -%}
    select
        mode.rebuilds_all or existing.built_by is null as anew,
        exists ({{ touched }}) as is_touched,
        existing.built_by
    from memory.scratch.mode as mode
    left join (
        select built_by
        from memory.scratch.existing_table
        where schema_name = 'silver' and table_name = '{{ name }}'
    ) as existing on true
{%- endmacro %}


{% macro touched_keys_of(types) -%}
    select resource_id from memory.scratch.touched where resource_type in ({{ sql_list(types) }})
{%- endmacro %}


{#- The resource types that a model's staging models extract. -#}
{% macro staged_types(node) %}
    {% set types = [] %}
    {% for unique_id in node.depends_on.nodes if '.stg_fhir__' in unique_id %}
        {% do types.append(graph.nodes[unique_id].config.meta.resource_type) %}
    {% endfor %}
    {{ return(types | unique | list) }}
{% endmacro %}


{#- The key column that a model's staging model names. -#}
{% macro staged_key(node) %}
    {% for unique_id in node.depends_on.nodes if '.stg_fhir__' in unique_id %}
        {{ return(graph.nodes[unique_id].config.meta.key) }}
    {% endfor %}
{% endmacro %}
