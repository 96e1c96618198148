-- Submissions from which Silver holds a row although they were withdrawn, superseded or never landed.
{%- set tables = silver_tables() %}
with present as (
    {%- for table in tables %}
    select distinct submission_id from {{ ref(table) }}
    {{ 'union' if not loop.last }}
    {%- endfor %}
)

select submission_id
from present
where submission_id not in (select submission_id from metadata.public.live_submission)
