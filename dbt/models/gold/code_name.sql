-- Grain: one row per code and code system of what counts: the one name under which marts show it.

-- The display that was sent most often with the code by codings, of equally frequent ones the first in
-- the alphabet, without SNOMED CT's tag. A concept's own text is no name of a code: it is somebody's words.
{%- set named_concepts = [
    ['encounter', 'type_code', 'type_system', 'type_codings'],
    ['encounter', 'reason_code', 'reason_system', 'reason_codings'],
    ['condition', 'code', 'code_system', 'codings'],
    ['procedure', 'code', 'code_system', 'codings'],
    ['medication_request', 'code', 'code_system', 'codings'],
    ['observation', 'code', 'code_system', 'codings'],
] %}

with named as (
    {%- for table, code, code_system, codings in named_concepts %}
    select
        {{ code }} as code,
        {{ code_system }} as code_system,
        list_filter(
            {{ codings }},
            lambda coding:
                coding.code = {{ code }}
                and coding.display is not null
                and {{ canonical_system('coding."system"') }} is not distinct from {{ code_system }}
        )[1].display as display
    from {{ counted(table) }}
    where {{ code }} is not null
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),

counted as (
    select code, code_system, display, count(*) as record_count
    from named
    where display is not null
    group by code, code_system, display
)

select
    code,
    code_system,
    {{ without_tag("arg_max(display, {'record_count': record_count, 'reversed': -rank})") }} as display,
    count(*)::integer as display_count,
    sum(record_count)::bigint as record_count
from (select *, row_number() over (order by display) as rank from counted)
group by code, code_system
