-- Every current response with its verdict and its score, and what it may be in a pair. Kept as the temporary table `answers`:
-- selection takes the first columns (rule.NUMBERS and the constants next to it), the audit all; each column takes a hundredth
-- of a selection's time.
-- Reads current_responses, responses, sources, verdicts, scores, faults (find_faults.sql, flag_answers.sql).
--   $verifier  name of the verifier, or NULL if the domain has none: every answer counts as both right and wrong then
--   $wrong     outcomes that count as wrong
--   $judges    the judges whose scores count: one, none, or several (`score` is left to rank_answers.sql then)
--   $chosen, $rejected  the source models whose answers may be chosen, and rejected; NULL: all
-- Returns one row per response, by numbers (numbered_prompts, numbered_sources, id_number). "Cannot judge" is neither right nor
-- wrong: no verdict, an outcome in between, a judge without a finite score (`scored` is FALSE). What is not complete is
-- neither: an answer that was cut off, or a thought without an answer (its text_hash and n_chars are NULL). What has a `fault`
-- is neither. `repeated` is left to mark_copies.sql, which keeps of identical texts the one with the lowest `claim`: scored
-- answers come first, then those that are right or wrong, complete, not dropped. `dropped`: its source drops answers with
-- residue, and it has some. If its source strips residue, text_hash is that of the stripped text: texts that are equal in
-- exports make no pair. n_thought_tokens: the server's count, or the thought's share of n_tokens by characters
-- (`thought_counted` is FALSE); NULL if there is no thought. (response_id, judge) is the key of scores, so nothing is grouped
-- if one judge counts. Few answers are in none of them.
WITH judgements AS (
    SELECT response_id, score, isfinite(score)::INTEGER AS n_judges
    FROM scores
    WHERE len($judges::VARCHAR []) = 1 AND judge = list_extract($judges::VARCHAR [], 1)
    UNION ALL
    SELECT response_id, NULL, count(DISTINCT judge) FILTER (WHERE isfinite(score))
    FROM scores
    WHERE len($judges::VARCHAR []) > 1 AND list_contains($judges::VARCHAR [], judge)
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
        r.*,
        v.outcome,
        f.fault,
        s.score,
        coalesce(s.n_judges, 0) = len($judges::VARCHAR []) AS scored,
        coalesce(h.text_hash, r.text_hash) AS shown_hash,
        r.residue_choice = 'drop' AND r.residue IS NOT NULL AS dropped,
        coalesce(v.outcome = 'passed', FALSE) AS passed,
        coalesce(list_contains($wrong, v.outcome), FALSE) AS failed,
        scored AND r.complete AND NOT dropped AND f.fault IS NULL AS usable
    FROM current_responses AS r
    LEFT JOIN verdicts AS v
        ON r.response_id = v.response_id AND v.verifier = $verifier AND v.reference_digest = r.reference_digest
    LEFT JOIN judgements AS s ON r.response_id = s.response_id
    LEFT JOIN stripped AS h ON r.response_id = h.response_id
    LEFT JOIN faults AS f ON r.prompt_id = f.prompt_id AND r.response_id = f.response_id
)

SELECT
    prompt_no,
    model_no,
    id_number(response_id) AS id,
    n_chars::INTEGER AS n_chars,
    n_tokens::INTEGER AS n_tokens,
    shown_hash AS text_hash,
    score,
    (if(scored, 0, 8) + if(passed OR failed, 0, 4) + if(complete, 0, 2) + if(dropped, 1, 0))::UTINYINT AS claim,
    FALSE AS repeated,
    usable AND ($verifier IS NULL OR passed) AS is_right,
    usable AND ($verifier IS NULL OR failed) AS is_wrong,
    is_right AND ($chosen::VARCHAR [] IS NULL OR list_contains($chosen, model)) AS may_be_chosen,
    is_wrong AND ($rejected::VARCHAR [] IS NULL OR list_contains($rejected, model)) AS may_be_rejected,
    if($target::VARCHAR IS NULL, may_be_chosen, is_right AND model <> $target) AS may_be_demo,
    passed,
    failed,
    scored,
    coalesce(fault = 'flagged', FALSE) AS flagged,
    complete,
    dropped,
    source_no,
    sample_index,
    outcome,
    fault,
    finish_reason,
    residue,
    residue_choice,
    if(
        length(trim(reasoning, E' \t\r\n')) > 0,
        coalesce(n_reasoning_tokens, n_tokens * length(reasoning) / (length(reasoning) + coalesce(n_chars, 0))),
        NULL
    ) AS n_thought_tokens,
    n_reasoning_tokens IS NOT NULL AS thought_counted
FROM judged
