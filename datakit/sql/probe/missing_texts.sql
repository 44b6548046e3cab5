-- The texts that a model has not read yet. Texts are read, never sorted or kept: the result can be streamed.
-- Reads probed_texts (probe/texts.sql), prompts, responses, sources, distributions, failures.
--   $model, $revision, $reading  the model and how it reads
--   $by_author                   only the answers of this model itself
--   $keep_reasoning              as in probe/texts.sql
--   $retry_failures              also read again what failed permanently
-- Returns text_id, messages (of the prompt) and text.
WITH missing AS (
    SELECT t.*
    FROM probed_texts AS t
    ANTI JOIN distributions AS d
        ON
            t.text_id = d.text_id
            AND d.model = $model
            AND d.revision IS NOT DISTINCT FROM $revision
            AND d.reading = $reading
    ANTI JOIN (
        SELECT key FROM failures WHERE stage = 'probe' AND source = $model AND permanent AND NOT $retry_failures
    ) AS f ON t.text_id = f.key
    WHERE NOT $by_author OR t.author = $model
)

SELECT
    m.text_id,
    p.messages,
    trim(
        if(
            m.response_id IS NULL,
            p.solution,
            written_answer(r.text, r.reasoning, r.reasoning_form, $keep_reasoning, s.residue = 'strip')
        ),
        E' \t\r\n'
    ) AS text
FROM missing AS m
INNER JOIN prompts AS p ON m.prompt_id = p.prompt_id
LEFT JOIN responses AS r ON m.response_id = r.response_id
LEFT JOIN sources AS s ON r.model = s.model AND r.sampling = s.sampling AND r.revision IS NOT DISTINCT FROM s.revision
