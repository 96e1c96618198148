-- Grain: one row per clinical note: patient, encounter and text, however often it was sent.
{{ config(
    unique_key='note_id',
    touched="select case resource_type when 'DocumentReference' then resource_id else resource_type || '/' || resource_id end
             from memory.scratch.touched where resource_type in ('DocumentReference', 'DiagnosticReport')"
) }}

-- A DocumentReference gives the note its own id; where only a DiagnosticReport holds it, the id is
-- `DiagnosticReport/<id>`, since ids are unique within a resource type only.
with carrier as (
    select
        resource_id as note_id,
        'DocumentReference' as source_resource,
        1 as preference,
        patient_id,
        encounter_id,
        coalesce(noted_at, dated_at) as noted_at,
        attachments,
        submission_id,
        source_file,
        source_position,
        ingested_at,
        issues
    from {{ ref('stg_fhir__document_note') }}
    union all
    select
        'DiagnosticReport/' || resource_id,
        'DiagnosticReport',
        2,
        patient_id,
        encounter_id,
        coalesce(noted_at, period_start, dated_at),
        attachments,
        submission_id,
        source_file,
        source_position,
        ingested_at,
        issues
    from {{ ref('stg_fhir__report_note') }}
),

textual as (
    select
        * exclude (attachments),
        list_filter(
            list_transform(
                attachments,
                lambda a: from_json(a, '{"contentType":"VARCHAR","data":"VARCHAR"}')
            ),
            lambda a: a.data is not null and starts_with(lower(coalesce(a."contentType", 'text/plain')), 'text/')
        ) as texts
    from carrier
),

decoded as materialized (
    select
        * exclude (texts),
        len(texts) as text_count,
        list_filter(
            list_transform(texts, lambda a: {{ decoded_text('a.data', 'a."contentType"') }}),
            lambda t: t is not null
        ) as decoded_texts,
        array_to_string(
            list_filter(
                list_transform(texts, lambda a: {{ decoded_text('a.data', 'a."contentType"') }}),
                lambda t: t is not null
            ),
            chr(10) || chr(10)
        ) as note_text
    from textual
    where len(texts) > 0
),

-- Only what identifies a note is ranked, not its text. Notes that cannot be read are not the same note
-- because of it: each is kept, and told of.
chosen as (
    select note_id
    from (
        select
            note_id,
            row_number() over (
                partition by
                    patient_id,
                    encounter_id,
                    coalesce(md5(nullif(trim(note_text, {{ white_space() }}), '')), note_id)
                order by preference, note_id
            ) as place
        from decoded
    )
    where place = 1
),

note as (
    select decoded.*
    from decoded
    semi join chosen on decoded.note_id = chosen.note_id
    where length(trim(decoded.note_text, {{ white_space() }})) > 0 or decoded.text_count > len(decoded.decoded_texts)
)

select
    note_id,
    patient_id,
    encounter_id,
    noted_at,
    nullif(note_text, '') as note_text,
    {{ has_section('note_text', ['subjective', 'chief complaint', 'history of present illness', 'hpi'], 's') }} as has_subjective,
    {{ has_section('note_text', ['objective', 'physical exam', 'physical examination', 'examination', 'exam', 'vital signs', 'vitals', 'findings', 'medications'], 'o') }} as has_objective,
    {{ has_section('note_text', ['assessment', 'impression', 'diagnosis', 'diagnoses', 'a/p'], 'a') }} as has_assessment,
    {{ has_section('note_text', ['plan', 'recommendations', 'a/p'], 'p') }} as has_plan,
    length(note_text)::integer as char_count,
    (case
        when length(trim(note_text, {{ white_space() }})) = 0 then 0
        else len(string_split_regex(trim(note_text, {{ white_space() }}), '\s+'))
    end)::integer as word_count,
    source_resource,
    submission_id,
    source_file,
    source_position,
    ingested_at,
    nullif(
        list_concat(
            issues,
            case
                when text_count > len(decoded_texts)
                    then [{'column_name': 'note_text', 'reason': 'not text in base64'}]
            end
        ),
        []
    ) as issues
from note
