{#-
    Classes of glucose by the international consensus on time in range (Battelino et al., Diabetes Care 2019;42:1593,
    table 1; tight range: Battelino et al., Lancet Diabetes Endocrinol 2023;11:42): target 70-180 mg/dL and tight
    range 70-140 with both ends inside, level 2 below 54 and above 250.

    Values are compared in the unit in which the source wrote them: 10.0 mmol/L is the target's upper end, though it is
    180.2 mg/dL. A value in mmol/L with more than one decimal is a sensor's whole mg/dL (values.py) and compared as such.
-#}
{% macro glucose_class(mg_dl, as_written, unit) -%}
    {%- set tenths = "try_cast(replace(" ~ as_written ~ ", ',', '.') as decimal(9, 5)) * 10" -%}
    case
        when {{ unit }} = 'mmol/L' and out_of_range is null and {{ tenths }} = floor({{ tenths }})
            then {{ class_by_limits(tenths, [30, 39, 78, 100, 139]) }}
        else {{ class_by_limits(mg_dl, [54, 70, 140, 180, 250]) }}
    end
{%- endmacro %}
{% macro class_by_limits(value, limits) -%}
    case
        when {{ value }} < {{ limits[0] }} then 'very_low'
        when {{ value }} < {{ limits[1] }} then 'low'
        when {{ value }} <= {{ limits[2] }} then 'tight_target'
        when {{ value }} <= {{ limits[3] }} then 'target'
        when {{ value }} <= {{ limits[4] }} then 'high'
        else 'very_high'
    end
{%- endmacro %}


{#- Which system's record stands for a reading that several have: the manufacturer's own, then what was passed on. -#}
{% macro glucose_system_rank(system) -%}
    case {{ system }}
        when 'dexcom_clarity' then 1
        when 'libreview' then 2
        when 'tidepool' then 3
        else 4
    end
{%- endmacro %}


{#-
    The records on each local day of a subject that a pending submission touches: of a reading that several systems
    have one row is kept, so all of a day are compared. A version on another day brings that day in.
-#}
{% macro touched_glucose_days() -%}
    with recursive version_day as (
        select distinct subject_id, system, record_key, local_time::date as day
        from lake.bronze.monitor_reading
        where
            local_time is not null
            and subject_id in (select subject_id from memory.scratch.monitor_reading__records)
    ),

    reached as (
        select version_day.subject_id, version_day.day
        from version_day
        semi join memory.scratch.monitor_reading__records as record
            using (subject_id, system, record_key)
        union
        select other.subject_id, other.day
        from reached
        inner join version_day as one
            on reached.subject_id = one.subject_id and reached.day = one.day
        inner join version_day as other
            on
                one.subject_id = other.subject_id
                and one.system = other.system
                and one.record_key = other.record_key
    )

    select version_day.subject_id, version_day.system, version_day.record_key
    from version_day
    semi join reached using (subject_id, day)
    union
    select subject_id, system, record_key
    from memory.scratch.monitor_reading__records
{%- endmacro %}
