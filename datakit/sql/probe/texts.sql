-- The texts whose distributions the recipe wants, each once, without the texts. Kept as the temporary table `probed_texts`.
-- Reads demos, prompts, responses, sources.
--   $texts           demos, solutions or all
--   $keep_reasoning  the model's thought precedes its answer, as in exports
-- Returns text_id, prompt_id, response_id and author (its model; both null for a solution), and place, from 0, by prompt and
-- response. The id is that of the response if the text is its answer as stored, except for white space at both ends; else a
-- hash of the response and the written text, or of the prompt's messages and the solution.
WITH answers AS (
    SELECT
        d.prompt_id,
        d.response_id,
        r.model AS author,
        trim(r.text, E' \t\r\n') AS stored,
        trim(
            written_answer(r.text, r.reasoning, r.reasoning_form, $keep_reasoning, s.residue = 'strip'), E' \t\r\n'
        ) AS written
    FROM demos AS d
    INNER JOIN responses AS r ON d.response_id = r.response_id
    LEFT JOIN sources AS s ON r.model = s.model AND r.sampling = s.sampling AND r.revision IS NOT DISTINCT FROM s.revision
    WHERE $texts <> 'solutions'
),

named AS (
    SELECT
        if(stored = written, response_id, left(sha256(concat_ws(chr(31), response_id, written)), 24)) AS text_id,
        prompt_id,
        response_id,
        author
    FROM answers
    WHERE written <> ''
    UNION ALL
    SELECT left(sha256(concat_ws(chr(31), messages_digest, trim(solution, E' \t\r\n'))), 24), prompt_id, NULL, NULL
    FROM prompts
    WHERE $texts <> 'demos' AND dropped IS NULL AND trim(solution, E' \t\r\n') <> ''
)

SELECT
    text_id,
    min(prompt_id) AS prompt_id,
    min(response_id) AS response_id,
    min(author) AS author,
    row_number() OVER (ORDER BY min(prompt_id), min(response_id), text_id) - 1 AS place
FROM named
GROUP BY text_id
ORDER BY text_id
