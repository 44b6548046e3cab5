-- The rows of an exported sft/ folder: what TRL reads (prompt, completion), and where each came from.
-- Reads selected_demos (the demos of the run), prompts, responses, sources.
--   $keep_reasoning  what the model thought stands in front of its answer, as it came; characters are those of the answer alone
--   (where the source says so, residue is stripped: views/written_answer.sql)
--   $keep_system     the system prompt of the source is the first message
-- Gives the columns of the folder, and some that are not written: messages_digest (of the prompt, whatever its id), row_digest (of
-- prompt and texts: the same row from another run has the same), and where the prompt stands between 0 and 1, in an order of its own
-- each, when rows are left out of a mix (mix_place) and when they are held out for tests (test_place), characters of the
-- prompt, and whether it is what LLaMA-Factory reads (takes_turns).
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
