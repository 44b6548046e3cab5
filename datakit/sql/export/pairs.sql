-- The rows of an exported dpo/ folder: what TRL reads (prompt, chosen, rejected), and where each came from.
-- Reads pairs, prompts, responses, answers (mark_answers.sql: with the scores that selected).
--   $keep_reasoning  what the model thought stands in front of its answer, as it came; characters are those of the answer alone
--   (where the source says so, residue is stripped: views/written_answer.sql)
--   $keep_system     the system prompt of the source (where a pair joins two: of the chosen answer's) is the first message
-- Gives the columns of the folder, and the four of demos.sql that are not written.
SELECT
    asked_messages(p.messages, c.sampling, $keep_system) AS prompt,
    [{
        'role': 'assistant',
        'content': written_answer(c.text, c.reasoning, c.reasoning_form, $keep_reasoning, cs.residue_choice = 'strip')
    }] AS chosen,
    [{
        'role': 'assistant',
        'content': written_answer(r.text, r.reasoning, r.reasoning_form, $keep_reasoning, rs.residue_choice = 'strip')
    }] AS rejected,
    x.prompt_id,
    p.source,
    x.model,
    x.rejected_model,
    x.chosen_id,
    x.rejected_id,
    cs.score AS chosen_score,
    rs.score AS rejected_score,
    x.margin,
    x.log_length_ratio,
    c.n_chars AS chosen_chars,
    r.n_chars AS rejected_chars,
    c.n_tokens AS chosen_tokens,
    r.n_tokens AS rejected_tokens,
    p.messages_digest,
    md5(concat_ws(chr(31), p.messages_digest, c.text_hash, r.text_hash)) AS row_digest,
    md5_number_lower('mix/' || p.messages_digest) / pow(2, 64) AS mix_place,
    md5_number_lower('test/' || p.messages_digest) / pow(2, 64) AS test_place
FROM pairs AS x
INNER JOIN prompts AS p ON x.prompt_id = p.prompt_id
INNER JOIN responses AS c ON x.chosen_id = c.response_id
INNER JOIN responses AS r ON x.rejected_id = r.response_id
LEFT JOIN answers AS cs ON x.prompt_id = cs.prompt_id AND x.chosen_id = cs.response_id
LEFT JOIN answers AS rs ON x.prompt_id = rs.prompt_id AND x.rejected_id = rs.response_id
ORDER BY x.prompt_id, x.model
