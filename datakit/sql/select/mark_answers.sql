-- Every current response with its verdict and its score, and whether it may be chosen or rejected.
-- Reads current_responses, responses, sources, prompts, verdicts, scores, faults (find_faults.sql, flag_answers.sql).
--   $verifier  name of the verifier, or NULL where the domain has none: then every answer counts as right and as wrong
--   $wrong     outcomes that count as wrong
--   $judges    the judges whose scores count: one, none, or several (then `score` is left to rank_answers.sql)
-- Gives one row a response. "Cannot judge" is neither right nor wrong: no verdict, an outcome in between, a judge without a
-- finite score (`scored` is FALSE). What is not complete is neither: an answer that was cut off, or a thought without one (its
-- text_hash and n_chars are NULL). Of identical texts of one model to one prompt one may be used, the first by id that can be
-- (the others are `repeated`). n_thought_tokens: the server's count, or the thought's share of the characters of n_tokens
-- (`thought_counted` is FALSE); NULL where there is no thought. `dropped`: its source drops answers with residue, and it has some.
-- Where its source strips residue, a text_hash is that of the text without it: what exports cannot tell apart makes no pair.
-- What has a `fault` is neither right nor wrong.
WITH judgements AS (
    SELECT response_id, any_value(score) AS score, count(DISTINCT judge) FILTER (WHERE isfinite(score)) AS n_judges
    FROM scores
    WHERE list_contains($judges::VARCHAR [], judge)
    GROUP BY response_id
),

stripped AS (
    SELECT r.response_id, md5_number_lower(compared_text(strip_residue(r.text))) AS text_hash
    FROM responses AS r
    INNER JOIN sources AS s ON r.model = s.model AND r.sampling = s.sampling AND r.revision IS NOT DISTINCT FROM s.revision
    WHERE r.residue = 'role header' AND s.residue = 'strip'
),

judged AS (
    SELECT
        r.response_id,
        r.prompt_id,
        r.model,
        r.n_chars,
        r.n_tokens,
        coalesce(h.text_hash, r.text_hash) AS text_hash,
        r.complete,
        r.finish_reason,
        r.residue,
        r.residue_choice,
        r.residue_choice = 'drop' AND r.residue IS NOT NULL AS dropped,
        if(
            length(trim(r.reasoning, E' \t\r\n')) > 0,
            coalesce(r.n_reasoning_tokens, r.n_tokens * length(r.reasoning) / (length(r.reasoning) + coalesce(r.n_chars, 0))),
            NULL
        ) AS n_thought_tokens,
        r.n_reasoning_tokens IS NOT NULL AS thought_counted,
        v.outcome,
        f.fault,
        if(len($judges::VARCHAR []) = 1, s.score, NULL) AS score,
        coalesce(s.n_judges, 0) = len($judges::VARCHAR []) AS scored,
        r.text_hash IS NOT NULL AND row_number() OVER (
            PARTITION BY r.prompt_id, r.model, coalesce(h.text_hash, r.text_hash)
            ORDER BY
                NOT scored,
                NOT coalesce(v.outcome = 'passed' OR list_contains($wrong, v.outcome), FALSE),
                NOT r.complete,
                r.residue_choice = 'drop' AND r.residue IS NOT NULL,
                r.response_id
        ) > 1 AS repeated
    FROM current_responses AS r
    INNER JOIN prompts AS p ON r.prompt_id = p.prompt_id
    LEFT JOIN verdicts AS v
        ON r.response_id = v.response_id AND v.verifier = $verifier AND v.reference_digest = p.reference_digest
    LEFT JOIN judgements AS s ON r.response_id = s.response_id
    LEFT JOIN stripped AS h ON r.response_id = h.response_id
    LEFT JOIN faults AS f ON r.prompt_id = f.prompt_id AND r.response_id = f.response_id
)

SELECT
    *,
    scored AND NOT repeated AND complete AND NOT dropped AND fault IS NULL
    AND ($verifier IS NULL OR coalesce(outcome = 'passed', FALSE)) AS is_right,
    scored AND NOT repeated AND complete AND NOT dropped AND fault IS NULL
    AND ($verifier IS NULL OR coalesce(list_contains($wrong, outcome), FALSE)) AS is_wrong
FROM judged
