-- Candidates that a search by place cannot find, because their texts are in journals or in parts written by older versions.
-- Reads browsed (index_pairs.sql), browsed_prompts, responses, prompts.
--   $words  a text; case is ignored
-- Returns n of the candidates whose prompt or answers contain it.
WITH answers AS (
    SELECT id_number(response_id) AS id FROM responses WHERE contains(lower(text), lower($words))
),

asked AS (
    SELECT b.prompt_no
    FROM browsed_prompts AS b
    INNER JOIN prompts AS p ON b.prompt_id = p.prompt_id
    WHERE contains(lower(array_to_string([turn.content FOR turn IN p.messages], ' ')), lower($words))
)

SELECT n
FROM browsed
WHERE
    chosen_no IN (SELECT id FROM answers)
    OR rejected_no IN (SELECT id FROM answers)
    OR prompt_no IN (SELECT prompt_no FROM asked)
