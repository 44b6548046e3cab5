-- Responses that were written without messages_digest, n_chars, text_hash and residue, or when texts were compared differently.
-- These columns are computed as the rows are read.
-- Reads older_responses, wanted_responses, find_residue (tables.residue). No parameters.
-- Returns the columns of responses. messages_digest stays NULL for responses that no current prompt wants: their messages are
-- not known.
SELECT
    r.* REPLACE (
        coalesce(r.messages_digest, w.messages_digest) AS messages_digest,
        length(compared_text(r.text)) AS n_chars,
        md5_number_lower(compared_text(r.text)) AS text_hash,
        find_residue(r.text, r.reasoning) AS residue
    )
FROM older_responses AS r
LEFT JOIN (
    SELECT response_id, any_value(messages_digest) AS messages_digest
    FROM wanted_responses
    GROUP BY response_id
) AS w ON r.response_id = w.response_id
