-- The rows of an exported sft/ folder: what TRL reads (prompt, completion), and where each row came from.
-- Reads selected_demos (the demos of the run), prompts, responses, sources.
--   $keep_reasoning  the model's thought precedes its answer, as it came; characters are those of the answer alone
--   (residue is stripped if the source asks for that: views/written_answer.sql)
--   $keep_system     the source's system prompt is the first message
-- Returns the columns of the folder, and some that are not written: messages_digest (of the prompt, whatever its id),
-- row_digest (of prompt and texts: equal for the same row from another run), mix_place and test_place (the prompt's position
-- between 0 and 1, in two independent orders: for leaving rows out of a mix, and for holding rows out for tests), the
-- characters of the prompt, and whether LLaMA-Factory can read it (takes_turns).
SELECT
    asked_messages(p.messages, r.sampling, $keep_system) AS prompt,
    [{
        'role': 'assistant',
        'content': written_answer(r.text, r.reasoning, r.reasoning_form, $keep_reasoning, s.residue = 'strip')
    }] AS completion,
    d.prompt_id,
    p.source,
    r.model,
    d.response_id,
    d.score,
    r.n_chars AS completion_chars,
    r.n_tokens AS completion_tokens,
    p.messages_digest,
    md5(concat_ws(chr(31), p.messages_digest, r.text_hash)) AS row_digest,
    md5_number_lower('mix/' || p.messages_digest) / pow(2, 64) AS mix_place,
    md5_number_lower('test/' || p.messages_digest) / pow(2, 64) AS test_place,
    list_sum([length(turn.content) FOR turn IN prompt])::BIGINT AS prompt_chars,
    takes_turns([turn.role FOR turn IN prompt]) AS takes_turns
FROM selected_demos AS d
INNER JOIN prompts AS p ON d.prompt_id = p.prompt_id
INNER JOIN responses AS r ON d.response_id = r.response_id
LEFT JOIN sources AS s ON r.model = s.model AND r.sampling = s.sampling AND r.revision IS NOT DISTINCT FROM s.revision
ORDER BY d.prompt_id, d.response_id
