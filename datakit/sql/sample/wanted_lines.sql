-- The samples that the recipe wants from its endpoints and servers, each once.
-- Reads wanted_responses, responses. No parameters.
-- Returns response_id, prompt_id (if several prompts have the same messages, the first), messages_digest, model, revision,
-- sampling, sample_index, is_there.
SELECT
    w.response_id,
    min(w.prompt_id) AS prompt_id,
    any_value(w.messages_digest) AS messages_digest,
    any_value(w.model) AS model,
    any_value(w.revision) AS revision,
    any_value(w.sampling) AS sampling,
    any_value(w.sample_index) AS sample_index,
    count(r.response_id) > 0 AS is_there
FROM wanted_responses AS w
LEFT JOIN responses AS r ON w.response_id = r.response_id
WHERE w.source_type <> 'responses'
GROUP BY w.response_id
