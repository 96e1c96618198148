-- Reference columns of which more than a tenth points nowhere (see silver.reference_integrity).
{{ config(severity='warn') }}

select source_table, column_name, reference_count, dangling_count
from {{ ref('reference_integrity') }}
where dangling_count > 0.1 * reference_count
