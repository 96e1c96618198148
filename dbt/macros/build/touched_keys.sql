{#-
    Which keys of each Silver table a build recomputes: `memory.scratch.<table>__touched`, with the
    table's key columns. A table that is made anew has none: all its keys are recomputed.

    A key is touched by the records that the pending submissions add or take away. Whatever versions of a
    record there are, in submissions that count or not, each of them may be where its key came from; so
    all of them are looked at. What is touched depends on Bronze and the pending submissions alone, not
    on what a build that died has written.
-#}
{% macro touch_tables() %}
    {% set tables = [] %}
    {% for node in silver_models() %}{% do tables.extend(bronze_tables_of(node) + named_tables(node)) %}{% endfor %}
    {% if not build_state().rebuilds_all %}
        {% for table in tables | unique %}
            {% set key = record_key(table) | join(', ') %}
            {% do run_query(
                'create or replace table memory.scratch.' ~ table ~ '__records as select distinct ' ~ key
                ~ ' from ' ~ bronze_relation(table)
                ~ ' where submission_id in (select submission_id from memory.scratch.pending_submission)'
            ) %}
        {% endfor %}
    {% endif %}
    {% for node in silver_models() if not node.config.follows %}{% do touch_table(node) %}{% endfor %}
    {% do touch_issues() %}
    {% for node in silver_models() if node.config.follows %}{% do touch_table(node) %}{% endfor %}
{% endmacro %}


{#- The keys of one Silver table that are recomputed, and the Bronze rows that it reads. -#}
{% macro touch_table(node) %}
    {% if not is_anew(node.name) %}
        {% do run_query('create or replace table memory.scratch.' ~ node.name ~ '__touched as ' ~ touched_keys_of(node)) %}
    {% endif %}
    {% for table in bronze_tables_of(node) %}
        {% do run_query('create or replace table memory.scratch.' ~ node.name ~ '__' ~ table ~ ' as ' ~ latest_versions(table, node)) %}
    {% endfor %}
{% endmacro %}


{#- The key columns of a Silver table: its config's, else that of its one staging model. -#}
{% macro key_of(node) %}
    {% set given = node.config.key %}
    {{ return([given] if given is string else given or [staged_key(node)]) }}
{% endmacro %}


{#-
    What gives a Silver table's key from a row of a Bronze table: config `touched_by={table: [expressions]}`,
    else columns of the same names.
-#}
{% macro key_from(node, table) %}
    {% set given = (node.config.touched_by or {}).get(table) %}
    {{ return([given] if given is string else given or key_of(node)) }}
{% endmacro %}


{#- The Bronze tables, but FHIR's, whose current rows a Silver model reads, and those its config names. -#}
{% macro bronze_tables_of(node) %}
    {% set found = [] %}
    {% for unique_id in node.depends_on.nodes if unique_id in graph.sources %}
        {% set source_node = graph.sources[unique_id] %}
        {% if source_node.source_name == 'bronze' and source_node.name != 'fhir_resource' %}{% do found.append(source_node.name) %}{% endif %}
    {% endfor %}
    {{ return(found | unique | list) }}
{% endmacro %}
{% macro named_tables(node) %}
    {{ return((node.config.touched_by or {}).keys() | reject('equalto', 'fhir_resource') | list) }}
{% endmacro %}


{% macro touched_keys_of(node) %}
    {% set key = key_of(node) %}
    {% set types = staged_types(node) %}
    {% set parts = [] %}
    {% if node.config.touched %}
        {% do parts.append(node.config.touched) %}
    {% elif types %}
        {% do parts.append(
            'select ' ~ ((node.config.touched_by or {}).get('fhir_resource') or 'resource_id')
            ~ ' from memory.scratch.touched where is_touched and resource_type in (' ~ sql_list(types) ~ ')'
        ) %}
    {% endif %}
    {% if not node.config.touched %}
        {% for table in (bronze_tables_of(node) + named_tables(node)) | unique %}
            {% set record = record_key(table) | join(', ') %}
            {% do parts.append(
                'select ' ~ key_from(node, table) | join(', ') ~ ' from ' ~ bronze_relation(table)
                ~ ' where (' ~ record ~ ') in (select (' ~ record ~ ') from memory.scratch.' ~ table ~ '__records)'
            ) %}
        {% endfor %}
    {% endif %}
    {#- Rows that take something from a row of another table, which is touched. -#}
    {% for link in node.config.links or [] %}
        {% set other = graph.nodes.values() | selectattr('resource_type', 'equalto', 'model') | selectattr('name', 'equalto', link.table) | first %}
        {% do parts.append(
            'select ' ~ key | join(', ') ~ ' from lake.silver.' ~ node.name ~ ' where (' ~ link.columns | join(', ')
            ~ ') in (select (' ~ key_of(other) | join(', ') ~ ') from memory.scratch.' ~ link.table ~ '__touched)'
        ) %}
    {% endfor %}
    {{ return('select distinct * from (' ~ parts | join(' union all ') ~ ') as found (' ~ key | join(', ') ~ ')') }}
{% endmacro %}


{#-
    The condition that a row of another table, with the key in `columns` (default: of the same names),
    belongs to the keys that this build recomputes of the model whose SQL has it.
-#}
{% macro of_touched_keys(columns=none) -%}
    {%- set key = key_of(model) -%}
    {%- if keeps_rows(model.name) -%}
    ({{ (columns or key) | join(', ') }}) in (select ({{ key | join(', ') }}) from memory.scratch.{{ model.name }}__touched)
    {%- else -%}
    true
    {%- endif -%}
{%- endmacro %}


{#- The condition that a row of a Silver table, or one for it, has a touched key, or none at all. -#}
{% macro has_touched_key(node) -%}
    {%- set key = key_of(node) -%}
    ({{ key | join(', ') }}) in (select ({{ key | join(', ') }}) from memory.scratch.{{ node.name }}__touched)
    {%- for column in key %} or {{ column }} is null{% endfor -%}
{%- endmacro %}


{#- Type and id by which silver.data_issue names the record of a row. -#}
{% macro issue_record(node) -%}
    {%- set types = staged_types(node) -%}
    {%- set key = key_of(node) -%}
    {%- if types -%}
    if(contains({{ key[0] }}, '/'), split_part({{ key[0] }}, '/', 1), '{{ types[0] }}') as resource_type, split_part({{ key[0] }}, '/', -1) as resource_id
    {%- else -%}
    '{{ (bronze_tables_of(node) + named_tables(node)) | first }}' as resource_type, concat_ws('|', {{ key | join(', ') }}) as resource_id
    {%- endif -%}
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
