{#-
    A Silver table of which a build recomputes the touched keys: one transaction deletes them and
    inserts their winning rows. In a full build, or where the table is missing, the table is made
    anew. The result is the same: it depends only on the live submissions.

    config(
        unique_key        the key column; default: the key of the staging model
        touched           SQL that gives the keys to delete; default: the touched keys of the
                          resource types that the staging models extract
        delete_condition  instead of `unique_key in (touched)`
        kept              a column, not part of the table, that says whether a row belongs into it; of
                          other rows only the issues are told
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
    {%- set built_by = build_state().built_by.get('silver.' ~ model.name) -%}
    {%- set anew = build_state().rebuilds_all or not built_by -%}

    {% if not anew and not is_touched(types) %}
        {% do store_raw_result(name='main', message='UNCHANGED', code='UNCHANGED', rows_affected=0) %}
        {{ return({'relations': [target_relation]}) }}
    {% endif %}

    {%- set kept = config.get('kept') -%}
    {%- set has_issues = config.get('has_issues', true) -%}
    {%- set hidden = (['issues'] if has_issues else []) + ([kept] if kept else []) -%}
    {%- set content -%}
        select * {{ 'exclude (' ~ hidden | join(', ') ~ ')' if hidden }} from {{ staged }} {{ 'where ' ~ kept if kept }}
    {%- endset -%}
    {% call statement('stage', auto_begin=false) %}
        create or replace table {{ staged }} as {{ compiled_code }}
    {% endcall %}
    {%- set counts = run_query('select count(*)' ~ (' filter (' ~ kept ~ ')' if kept else '') ~ ', ' ~ ('count(issues)' if has_issues else '0') ~ ' from ' ~ staged).rows[0] -%}

    {% call statement('write') %}
        {%- if anew %}
        {{ replace_content(target_relation, built_by, silver_fingerprint(), content) }}
        {%- else %}
        delete from {{ target_relation }}
        where {{ config.get('delete_condition') or (unique_key ~ ' in (' ~ touched ~ ')') }};
        {%- if counts[0] %}
        insert into {{ target_relation }} by name {{ content }};
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


{#- Whether the build recomputes any row of the model that is being built. -#}
{% macro is_touched(types) -%}
    {%- if config.get('touched') -%}
        {{ return(run_query('select exists (' ~ config.get('touched') ~ ')').rows[0][0]) }}
    {%- endif -%}
    {{ return(types | select('in', build_state().touched_types) | list | length > 0) }}
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
