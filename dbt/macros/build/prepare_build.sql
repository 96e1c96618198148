{#-
    What a build works on, computed once before the models and kept in the in-memory database
    (`memory.scratch`), so that no model does it again:

    live_submission      submissions whose rows belong in Silver
    pending_submission   submissions that the build adds or takes away
    <bronze>__records    the records in rows of pending submissions
    <silver>__touched    the keys of a Silver table to recompute (see touched_keys.sql)
    <silver>__<bronze>   the Bronze rows that a Silver table reads (see versions.sql)
    data_issue           values that were dropped; filled by the models
    touched_issue        the records whose issues are told anew; those of `anew_table` are, too

    and of FHIR, whose resources depend on each other (see fhir.sql, dependents.sql):

    touched              resources to recompute: those of pending submissions and those whose content
                         depends on them (`is_touched`), and all of types of which a table is made anew
    winner               the Bronze row that each of these gets its content from
    current_identity     by what conditional requests may find a resource (see conditional.sql)
    conditional_resource  conditions that name a resource with an id of its own, or several
    renamed_row          winners in which ids made from a condition stand for those of others
    current_identifier   identifiers of the resources to which conditional references point
    current_link         resources whose Silver row depends on another resource
    conditional_reference  conditional references that can be resolved now
    touched_study        DICOM study UIDs to recompute

    What the models' SQL is made from, and not what it reads, is in `build_state()`.

    A table whose models differ from those that built it (its comment is their fingerprint) is made anew,
    and with it those that read it. All of Silver is made anew in a full refresh, when a submission is
    landed again (what it held before is no longer in Bronze), and where one of the tables is missing or
    outdated that remember what depends on what.
-#}
{% macro prepare_build() %}
{% if is_building() %}
    {% do run_query('create schema if not exists memory.scratch') %}
    {% do graph.update({'build_state': {'built_by': dict(run_query(lake_tables()).rows | map('list'))}}) %}
    {% if builds_silver() %}{% do prepare_silver() %}{% endif %}
{% endif %}
{% endmacro %}


{% macro prepare_silver() %}
    {% do run_query('create or replace table memory.scratch.live_submission as select submission_id from metadata.public.live_submission') %}
    {% do run_query('create or replace table memory.scratch.pending_submission as select submission_id from metadata.public.pending_submission') %}
    {% do run_query('create or replace table memory.scratch.data_issue (table_name varchar, resource_type varchar, resource_id varchar, column_name varchar, reason varchar, submission_id varchar)') %}
    {% set pending = run_query('select submission_id from memory.scratch.pending_submission order by 1').columns[0].values() %}
    {% set built_by = build_state().built_by %}
    {% set anew = [] %}
    {% set anew_types = [] %}
    {% for node in silver_models() if built_by.get('silver.' ~ node.name, 'missing') != fingerprint_of(node) %}
        {% do anew.append(node.name) %}
        {% do anew_types.extend(staged_types(node)) %}
    {% endfor %}
    {% set landed_again = run_query("select count(*) from metadata.public.pending_submission as pending inner join metadata.public.submission as submission on pending.submission_id = submission.submission_id where pending.change = 'added' and submission.in_silver and submission.landed_at > submission.integrated_at").rows[0][0] > 0 %}
    {% set forgot = ['resource_identifier', 'resource_identity', 'resource_link', 'data_issue'] | select('in', anew) | list | length > 0 %}
    {% do build_state().update({
        'rebuilds_all': flags.FULL_REFRESH or landed_again or forgot,
        'anew': anew,
        'anew_types': anew_types | unique | list
    }) %}
    {% do prepare_fhir(pending) %}
    {% do touch_tables() %}
{% endmacro %}


{#- The records of which Silver's tables tell issues anew. -#}
{% macro touch_issues() %}
    {% if not build_state().rebuilds_all %}
        {% do run_query("create or replace table memory.scratch.anew_table as select table_name from (select unnest([" ~ sql_list(build_state().anew) ~ "]::varchar[]) as table_name) where table_name is not null") %}
        {% set parts = ["select 'resource_identity' as table_name, resource_type, resource_id from memory.scratch.touched"] %}
        {% for node in silver_models() if not is_anew(node.name) and not node.config.follows %}
            {% do parts.append("select '" ~ node.name ~ "', " ~ issue_record(node) ~ ' from memory.scratch.' ~ node.name ~ '__touched') %}
        {% endfor %}
        {% do run_query('create or replace table memory.scratch.touched_issue as ' ~ parts | join(' union all ')) %}
    {% endif %}
{% endmacro %}
