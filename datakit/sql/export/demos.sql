-- The rows of an exported sft/ folder: what TRL reads (prompt, completion), and where each came from.
-- Reads demos, prompts, responses.
--   $keep_reasoning  what the model thought stands in front of its answer, as it came; characters are those of the answer alone
SELECT
    p.messages AS prompt,
    [{'role': 'assistant', 'content': if($keep_reasoning, whole_answer(r.text, r.reasoning, r.reasoning_form), r.text)}] AS completion,
    d.prompt_id,
    p.source,
    r.model,
    d.response_id,
    d.score,
    r.n_chars AS completion_chars,
    r.n_tokens AS completion_tokens
FROM demos AS d
INNER JOIN prompts AS p ON d.prompt_id = p.prompt_id
INNER JOIN responses AS r ON d.response_id = r.response_id
ORDER BY d.prompt_id
