{#-
    A Silver table of which a build recomputes the touched keys: one transaction deletes them and inserts
    their rows. In a full build, or where the table is missing or was built by other models, the table is
    made anew. The result is the same: it depends only on the live submissions.

    config(
        key               the key columns, in a list; default: the key of the staging model
        touched_by        {Bronze table: [expressions]}: what gives the key from one of its rows, where
                          that is not columns of the same names
        links             [{table: …, columns: […]}]: the rows that name in these columns the touched key
                          of another Silver table are recomputed with it
        kept              a column, not part of the table, that says whether a row belongs into it; of
                          other rows only the issues are told
        has_issues        whether the model's SQL has a last column `issues`: the values that were
                          dropped, which go into silver.data_issue; default: of FHIR's tables
        touched           SQL that gives the touched keys, where the above cannot say it
        delete_condition  instead of that the key is touched
        follows           true for a table that is written after those it names and reads none of them
    )
-#}
{% materialization touched_keys, adapter = 'duckdb' %}
    {%- set target_relation = this.incorporate(type='table') -%}
    {%- set staged = 'memory.scratch.' ~ model.name -%}
    {%- set anew = is_anew(model.name) -%}

    {% if not anew and not is_touched(model) %}
        {% do store_raw_result(name='main', message='UNCHANGED', code='UNCHANGED', rows_affected=0) %}
        {{ return({'relations': [target_relation]}) }}
    {% endif %}

    {%- set kept = config.get('kept') -%}
    {%- set has_issues = config.get('has_issues', staged_types(model) | length > 0) -%}
    {%- set hidden = (['issues'] if has_issues else []) + ([kept] if kept else []) -%}
    {%- set content -%}
        select * {{ 'exclude (' ~ hidden | join(', ') ~ ')' if hidden }} from {{ staged }} {{ 'where ' ~ kept if kept }}
    {%- endset -%}
    {% call statement('stage', auto_begin=false) %}
        create or replace table {{ staged }} as
        {%- if anew or config.get('delete_condition') %}
        {{ compiled_code }}
        {%- else %}
        select * from ({{ compiled_code }}) as computed where {{ has_touched_key(model) }}
        {%- endif %}
    {% endcall %}
    {%- set counts = run_query('select count(*)' ~ (' filter (' ~ kept ~ ')' if kept else '') ~ ', ' ~ ('count(issues)' if has_issues else '0') ~ ' from ' ~ staged).rows[0] -%}

    {% call statement('write') %}
        {%- if anew %}
        {{ replace_content(target_relation, model, content) }}
        {%- else %}
        delete from {{ target_relation }}
        where {{ config.get('delete_condition') or has_touched_key(model) }};
        {%- if counts[0] %}
        insert into {{ target_relation }} by name {{ content }};
        {%- endif %}
        {%- endif %}
    {% endcall %}
    {% do adapter.commit() %}

    {% if counts[1] %}
        {% call statement('issues', auto_begin=false) %}
            insert into memory.scratch.data_issue
            select '{{ model.name }}', resource_type, resource_id, issue.column_name, issue.reason, submission_id
            from (
                select {{ issue_record(model) }}, submission_id, unnest(issues) as issue
                from {{ staged }}
                where issues is not null
            )
        {% endcall %}
    {% endif %}
    {% call statement('tidy', auto_begin=false) %}
        drop table {{ staged }}
    {% endcall %}
    {% do store_raw_result(name='main', message='OK ' ~ counts[0], code='OK', rows_affected=counts[0]) %}
    {{ return({'relations': [target_relation]}) }}
{% endmaterialization %}


{#- Whether the build recomputes any row of a model. -#}
{% macro is_touched(node) -%}
    {{ return(run_query('select exists (from memory.scratch.' ~ node.name ~ '__touched)').rows[0][0]) }}
{%- endmacro %}
