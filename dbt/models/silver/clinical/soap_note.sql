-- Grain: one row per clinical note: patient, encounter and text, however often it was sent.
{{ config(
    key='note_id',
    kept='is_row',
    touched="select case resource_type when 'DocumentReference' then resource_id else resource_type || '/' || resource_id end
             from memory.scratch.touched where is_touched and resource_type in ('DocumentReference', 'DiagnosticReport')"
) }}

-- A DocumentReference gives the note its own id; where only a DiagnosticReport holds it, the id is
-- `DiagnosticReport/<id>`, since ids are unique within a resource type only.
with carrier as (
    select
        document.resource_id as note_id,
        document.resource_id,
        'DocumentReference' as source_resource,
        1 as preference,
        document.patient_id,
        document.encounter_id,
        coalesce(document.noted_at, document.dated_at) as noted_at,
        document.status,
        document.document_status,
        replaced.target_id is not null as is_replaced,
        document.attachments,
        document.contained_binaries,
        document.submission_id,
        document.source_file,
        document.source_position,
        document.ingested_at,
        document.issues
    from {{ ref('stg_fhir__document_note') }} as document
    left join (
        select distinct target_id from {{ all_links() }} where target_type = 'replaced DocumentReference'
    ) as replaced on document.resource_id = replaced.target_id
    union all
    select
        'DiagnosticReport/' || resource_id,
        resource_id,
        'DiagnosticReport',
        2,
        patient_id,
        encounter_id,
        coalesce(noted_at, period_start, dated_at),
        status,
        null,
        false,
        attachments,
        contained_binaries,
        submission_id,
        source_file,
        source_position,
        ingested_at,
        issues
    from {{ ref('stg_fhir__report_note') }}
),

-- The attachments of one resource are formats of one note (R4: DocumentReference.content,
-- DiagnosticReport.presentedForm).
format as (
    select
        * exclude (attachments, attachment, contained_binaries),
        attachment.data,
        attachment."contentType" as content_type,
        attachment.size,
        attachment.hash,
        attachment.url,
        {{ reference_id('attachment.url', 'Binary', none, 'resource_id') }} as binary_id,
        {{ contained_binary('contained_binaries', 'attachment.url') }} as held
    from (
        select
            *,
            generate_subscripts(attachments, 1) as place,
            from_json(
                unnest(attachments),
                '{"contentType":"VARCHAR","data":"VARCHAR","url":"VARCHAR","size":"BIGINT","hash":"VARCHAR"}'
            ) as attachment
        from carrier
    )
),

found as (
    select
        format.* exclude (data, content_type, url, binary_id, held),
        coalesce(format.data, format.held.data, bytes.data) as data,
        case
            when format.data is not null then format.content_type
            when format.held.data is not null
                then {{ binary_content_type('format.content_type', 'format.held.content_type') }}
            when bytes.data is not null
                then {{ binary_content_type('format.content_type', 'bytes.content_type') }}
            else format.content_type
        end as content_type,
        case
            when coalesce(format.data, format.held.data, bytes.data) is not null then null
            when format.binary_id is not null then 'Binary that is not there'
            when format.url is not null then 'attachment by url that is not in reach'
            else 'attachment without data'
        end as missing
    from format
    left join {{ ref('stg_fhir__attached_binary') }} as bytes on format.binary_id = bytes.resource_id
),

-- Plain UTF-8 is decoded here. transformation.attachment_text reads all other text and says why something is
-- none; of a format that is no text it is not given the bytes.
plain as (
    select
        *,
        case
            when {{ is_plain_utf8('content_type') }} and size is null and hash is null
                then ltrim(try(decode(from_base64(data))), chr(65279))
        end as plain_text
    from found
),

read as (
    select
        * exclude (data, plain_text),
        case
            when missing is not null then {'body': null, 'form': null, 'damage': [], 'unread': missing}
            when trim(plain_text, {{ white_space() }}) != '' and not contains(plain_text, chr(0))
                then {'body': plain_text, 'form': 'plain', 'damage': [], 'unread': null}
            else attachment_text(data, content_type, size, hash)
        end as reading
    from plain
),

-- Of the formats that can be read the one that needs the least conversion is the note, then the first.
-- What is damaged is told in any case, what is not read only where no other format was.
note as materialized (
    select
        note_id,
        any_value(source_resource) as source_resource,
        any_value(preference) as preference,
        any_value(patient_id) as patient_id,
        any_value(encounter_id) as encounter_id,
        any_value(noted_at) as noted_at,
        any_value(status) as status,
        any_value(document_status) as document_status,
        bool_and({{ note_counts('source_resource', 'status', 'document_status') }} and not is_replaced) as counts,
        any_value(submission_id) as submission_id,
        any_value(source_file) as source_file,
        any_value(source_position) as source_position,
        any_value(ingested_at) as ingested_at,
        any_value(issues) as issues,
        arg_min(reading.body, list_position(['plain', 'html', 'rtf', 'cda'], reading.form) * 100000 + place)
            as note_text,
        list_distinct(flatten(list(reading.damage))) as damage,
        list_distinct(list(reading.unread)) as unread
    from read
    group by note_id
),

-- Only what identifies a note is ranked, not its text. Notes that cannot be read are not the same note
-- because of it: each is kept, and told of. White space does not make another note.
chosen as (
    select note_id
    from (
        select
            note_id,
            row_number() over (
                partition by
                    patient_id,
                    encounter_id,
                    coalesce(md5({{ without_white_space('note_text') }}), note_id)
                order by counts desc, preference, note_id
            ) as place
        from note
    )
    where place = 1
)

select
    note_id,
    patient_id,
    encounter_id,
    noted_at,
    note_text,
    {{ has_section('note_text', ['subjective', 'chief complaint', 'history of present illness', 'hpi'], 's') }} as has_subjective,
    {{ has_section('note_text', ['objective', 'physical exam', 'physical examination', 'examination', 'exam', 'vital signs', 'vitals', 'findings', 'medications'], 'o') }} as has_objective,
    {{ has_section('note_text', ['assessment', 'impression', 'diagnosis', 'diagnoses', 'a/p'], 'a') }} as has_assessment,
    {{ has_section('note_text', ['plan', 'recommendations', 'a/p'], 'p') }} as has_plan,
    length(note_text)::integer as char_count,
    len(string_split_regex(trim(note_text, {{ white_space() }}), '\s+'))::integer as word_count,
    status,
    document_status,
    counts,
    source_resource,
    submission_id,
    source_file,
    source_position,
    ingested_at,
    note_text is not null or len(damage) > 0 as is_row,
    nullif(
        list_concat(
            issues,
            list_transform(
                list_concat(damage, case when note_text is null then unread end),
                lambda reason: {'column_name': 'note_text', 'reason': reason}
            )
        ),
        []
    ) as issues
from note
semi join chosen on note.note_id = chosen.note_id
