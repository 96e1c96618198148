-- Grain: one row per Silver table, measure, column and detail.
{%- set counted_tables = silver_tables() %}

with table_size as (
    {%- for table in counted_tables %}
    select '{{ table }}' as table_name, count(*) as row_count from {{ ref(table) }}
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),

dropped as (
    select table_name, column_name, reason, count(*) as affected_count
    from {{ ref('data_issue') }}
    where reason not like '%reference%'
    group by table_name, column_name, reason
)

select
    source_table as table_name,
    'dangling reference' as measure,
    column_name,
    target_type as detail,
    sum(reference_count)::bigint as row_count,
    sum(dangling_count)::bigint as affected_count,
    coalesce(sum(dangling_count) / nullif(sum(reference_count), 0), 0)::double as affected_share
from {{ ref('reference_integrity') }}
group by source_table, column_name, target_type
union all
select
    dropped.table_name,
    'dropped value',
    dropped.column_name,
    dropped.reason,
    -- A resource may have lost so much that it is no row: then more were told of than there are rows.
    greatest(table_size.row_count, dropped.affected_count),
    dropped.affected_count,
    (dropped.affected_count / greatest(table_size.row_count, dropped.affected_count))::double
from dropped
inner join table_size on dropped.table_name = table_size.table_name
