{#- Full years between a (perhaps partial) birth date and a day; null where that makes no sense. -#}
{% macro age_years(birth_date, day) -%}
    case
        when {{ first_day(birth_date) }} <= {{ day }}
            then datesub('year', {{ first_day(birth_date) }}, {{ day }})::integer
    end
{%- endmacro %}


{#- Snapshot of the lake in which Silver last changed. -#}
{% macro silver_snapshot() -%}
    {%- if execute and flags.WHICH in ('run', 'build') -%}
    {%- set query -%}
        with silver_table as (
            select tables.table_id, tables.begin_snapshot
            from __ducklake_metadata_lake.ducklake_table as tables
            inner join __ducklake_metadata_lake.ducklake_schema as schemas
                on tables.schema_id = schemas.schema_id
            where schemas.schema_name = 'silver' and tables.end_snapshot is null
        )

        select greatest(
            (select max(begin_snapshot) from silver_table),
            (
                select max(greatest(begin_snapshot, coalesce(end_snapshot, 0)))
                from __ducklake_metadata_lake.ducklake_data_file
                where table_id in (select table_id from silver_table)
            ),
            (
                select max(begin_snapshot)
                from __ducklake_metadata_lake.ducklake_delete_file
                where table_id in (select table_id from silver_table)
            )
        )
    {%- endset -%}
    {{ return(run_query(query).rows[0][0] or 0) }}
    {%- endif -%}
    {{ return(0) }}
{%- endmacro %}


{#-
    Hours between two instants as written; null where either is none or has no time of day, or they are
    the wrong way round.
-#}
{% macro length_hours(started_at, ended_at) -%}
    case
        when length({{ started_at }}) <= 10 or length({{ ended_at }}) <= 10 then null
        when {{ instant(ended_at) }} >= {{ instant(started_at) }}
            then date_diff('second', {{ instant(started_at) }}, {{ instant(ended_at) }}) / 3600
    end
{%- endmacro %}


{#-
    Aggregate: members as a list in the order of their instants (a FHIR date or time as written), then of
    their fields. Those without a time come first, those with a part of a date at its first instant.
-#}
{% macro in_order(written_at, member, condition='true') -%}
    list_transform(
        list_sort(
            list({
                'instant': coalesce({{ instant_of(written_at) }}, '-infinity'::timestamptz),
                'member': {{ member }}
            }) filter ({{ condition }})
        ),
        lambda timed: timed.member
    )
{%- endmacro %}


{#-
    Whether a condition is over, by its clinical status or because something is said of its end.
    https://hl7.org/fhir/R4/condition-definitions.html#Condition.abatement_x_
-#}
{% macro is_over() -%}
    (
        coalesce(clinical_status in ('resolved', 'inactive', 'remission'), false)
        or coalesce(abatement_at, abatement_text) is not null
    )
{%- endmacro %}


{#- Ten years: what lasts longer is flagged (quality/suites/marts/patient_encounter_summary.yml). -#}
{% macro longest_stay_hours() -%}
    87600
{%- endmacro %}
