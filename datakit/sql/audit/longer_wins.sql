-- How often the longer of two answers to one prompt (and from one source, with $by_source) scores higher. Right and wrong
-- answers are compared among themselves, so that correctness does not affect the result. Ties in length or score do not count.
-- Reads answers.
--   $by_source  both answers come from one source model
--   $verified   answers were verified; FALSE: all answers are compared together
--   $most       approximate maximum number of prompts, sampled evenly
-- Returns among (right, wrong, all), comparisons, wins, prompts, and spread: the sum over prompts of (wins - comparisons * the
-- overall share) squared, with which an interval can account for comparisons of one prompt being correlated.
WITH taken AS (
    SELECT
        prompt_no,
        if($by_source, model_no, 0) AS side,
        CASE WHEN NOT $verified THEN 'all' WHEN passed THEN 'right' WHEN failed THEN 'wrong' END AS among,
        n_chars,
        score
    FROM answers
    WHERE
        scored AND isfinite(score) AND complete AND NOT repeated
        AND prompt_no % (SELECT greatest(max(prompt_no) // $most, 1) FROM answers) = 0
),

by_prompt AS (
    SELECT a.among, a.prompt_no, count(*) AS comparisons, count(*) FILTER (WHERE a.score > b.score) AS wins
    FROM taken AS a
    INNER JOIN taken AS b ON a.prompt_no = b.prompt_no AND a.side = b.side AND a.among = b.among
    WHERE a.n_chars > b.n_chars AND a.score <> b.score
    GROUP BY a.among, a.prompt_no
),

shares AS (
    SELECT among, sum(wins) / sum(comparisons) AS share FROM by_prompt GROUP BY among
)

SELECT
    p.among,
    sum(p.comparisons)::BIGINT AS comparisons,
    sum(p.wins)::BIGINT AS wins,
    count(*) AS prompts,
    sum((p.wins - p.comparisons * s.share) ** 2)::DOUBLE AS spread
FROM by_prompt AS p
INNER JOIN shares AS s ON p.among = s.among
GROUP BY p.among
ORDER BY p.among
