-- Reference columns of which more than a tenth points nowhere (see silver.reference_integrity).
{{ config(severity='warn') }}

select
    source_table,
    column_name,
    sum(reference_count) as reference_count,
    sum(dangling_count) as dangling_count
from {{ ref('reference_integrity') }}
group by source_table, column_name
having sum(dangling_count) > 0.1 * sum(reference_count)
