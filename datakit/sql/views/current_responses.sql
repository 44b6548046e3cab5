-- The responses that the current recipe wants and that are there; stages, selection and audit read this, never `responses`.
-- Reads responses, wanted_responses, the variable complete_reasons (tables.answers.COMPLETE).
-- Gives the columns of responses, `residue_choice` (keep, strip or drop: what its source says of residue) and `complete`, one row a prompt and response: there is an answer, and it ended for a reason that
-- means so (also as its source has it; none at all where a dataset says none).
-- A sampled response belongs to messages: it follows a prompt that was renamed, and serves two prompts that ask the same.
SELECT
    r.* REPLACE (w.prompt_id AS prompt_id),
    r.text_hash IS NOT NULL
    AND (
        r.finish_reason IS NULL
        OR list_contains(getvariable('complete_reasons'), r.finish_reason)
        OR coalesce(list_contains(w.complete_reasons, r.finish_reason), FALSE)
    ) AS complete,
    coalesce(w.residue_choice, 'keep') AS residue_choice
FROM responses AS r
INNER JOIN wanted_responses AS w ON r.response_id = w.response_id
