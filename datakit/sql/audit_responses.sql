-- Every current response with what the audit counts. Kept as the temporary table `audit_responses`.
-- Reads answers (judge_answers.sql), current_responses. No parameters.
-- Gives one row a response: the columns of answers, and `orphaned` where its prompt_id is no longer in prompts (then nothing
-- can judge it).
SELECT *, FALSE AS orphaned
FROM answers
UNION ALL BY NAME
SELECT
    r.response_id,
    r.prompt_id,
    r.model,
    length(r.text) AS n_chars,
    r.n_tokens,
    md5(r.text) AS text_digest,
    coalesce(r.finish_reason = 'length', FALSE) AS truncated,
    FALSE AS repeated,
    FALSE AS is_right,
    FALSE AS is_wrong,
    TRUE AS orphaned
FROM current_responses AS r
ANTI JOIN answers AS a ON r.response_id = a.response_id
