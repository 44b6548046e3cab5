-- The responses that the current recipe wants and that exist; stages, selection and audit read this, never `responses`.
-- Reads responses, numbered_prompts, numbered_sources, the variable complete_reasons (tables.answers.COMPLETE).
-- Returns one row per prompt and response: the columns of responses, prompt_no, source_no, model_no, reference_digest (of the
-- prompt), `residue_choice` (keep, strip or drop: the setting of its source) and `complete`: there is an answer, and its finish
-- reason counts as complete (by default or for its source; a response without a reason is complete).
-- These are the rows of wanted_responses, found by what their ids are made of: an id is computed only if several prompts have
-- the same messages. A sampled response belongs to messages: it follows a prompt that was renamed, and serves two prompts that
-- ask the same.
SELECT
    r.* REPLACE (p.prompt_id AS prompt_id),
    p.prompt_no,
    s.source_no,
    s.model_no,
    p.reference_digest,
    r.text_hash IS NOT NULL
    AND (
        r.finish_reason IS NULL
        OR list_contains(getvariable('complete_reasons'), r.finish_reason)
        OR coalesce(list_contains(s.complete, r.finish_reason), FALSE)
    ) AS complete,
    coalesce(s.residue, 'keep') AS residue_choice
FROM responses AS r
INNER JOIN numbered_prompts AS p ON r.messages_digest = p.messages_digest
INNER JOIN numbered_sources AS s
    ON r.model = s.model AND r.sampling = s.sampling AND r.revision IS NOT DISTINCT FROM s.revision AND r.sample_index < s.n
WHERE
    is_asked(s.asks, p.category, p.source)
    AND (
        NOT p.contested
        OR r.response_id = make_response_id(
            r.messages_digest,
            r.model,
            r.revision,
            r.sampling,
            r.sample_index,
            own_id := if(s.type = 'responses' AND p.shares_messages, p.prompt_id, NULL)
        )
    )
