-- The rows of an exported dpo/ folder: what TRL reads (prompt, chosen, rejected), and where each row came from.
-- Reads selected_pairs (the pairs of the run, with all columns of this version), prompts, responses, sources.
--   $keep_reasoning  the model's thought precedes its answer, as it came; characters are those of the answer alone
--   (residue is stripped if the source asks for that: views/written_answer.sql)
--   $keep_system     the source's system prompt (if a pair joins two sources, that of the chosen answer) is the first message
-- Returns the columns of the folder, and the columns of demos.sql that are not written.
-- The answers are found first, by one scan of all responses: a direct join of pairs would hold the texts of all responses in
-- memory.
WITH answers AS (
    SELECT r.response_id, r.text, r.reasoning, r.reasoning_form, r.sampling, r.n_chars, r.n_tokens, r.text_hash, s.residue = 'strip' AS strips
    FROM responses AS r
    LEFT JOIN sources AS s ON r.model = s.model AND r.sampling = s.sampling AND r.revision IS NOT DISTINCT FROM s.revision
    WHERE r.response_id IN (SELECT unnest([chosen_id, rejected_id]) FROM selected_pairs)
)

SELECT
    asked_messages(p.messages, c.sampling, $keep_system) AS prompt,
    [{
        'role': 'assistant',
        'content': written_answer(c.text, c.reasoning, c.reasoning_form, $keep_reasoning, c.strips)
    }] AS chosen,
    [{
        'role': 'assistant',
        'content': written_answer(r.text, r.reasoning, r.reasoning_form, $keep_reasoning, r.strips)
    }] AS rejected,
    x.prompt_id,
    p.source,
    x.model,
    x.rejected_model,
    x.chosen_id,
    x.rejected_id,
    x.judge,
    x.chosen_score,
    x.rejected_score,
    x.margin,
    x.log_length_ratio,
    x.length_slope,
    c.n_chars AS chosen_chars,
    r.n_chars AS rejected_chars,
    c.n_tokens AS chosen_tokens,
    r.n_tokens AS rejected_tokens,
    p.messages_digest,
    md5(concat_ws(chr(31), p.messages_digest, c.text_hash, r.text_hash)) AS row_digest,
    md5_number_lower('mix/' || p.messages_digest) / pow(2, 64) AS mix_place,
    md5_number_lower('test/' || p.messages_digest) / pow(2, 64) AS test_place,
    list_sum([length(turn.content) FOR turn IN prompt])::BIGINT AS prompt_chars,
    takes_turns([turn.role FOR turn IN prompt]) AS takes_turns
FROM selected_pairs AS x
INNER JOIN prompts AS p ON x.prompt_id = p.prompt_id
INNER JOIN answers AS c ON x.chosen_id = c.response_id
INNER JOIN answers AS r ON x.rejected_id = r.response_id
ORDER BY x.prompt_id, x.model, x.chosen_id, x.rejected_id
