-- How often the longer of two answers of one prompt and source (of one prompt) scores higher: among right ones, and among wrong ones, so
-- that it is no matter of being right. Ties in length or score do not count.
-- Reads answers.
--   $by_source  both answers are one source model's
--   $verified   else all answers are together
--   $most       at most about so many prompts, evenly taken
-- Gives among (right, wrong, all), comparisons, wins.
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
)

SELECT a.among, count(*) AS comparisons, count(*) FILTER (WHERE a.score > b.score) AS wins
FROM taken AS a
INNER JOIN taken AS b ON a.prompt_no = b.prompt_no AND a.side = b.side AND a.among = b.among
WHERE a.n_chars > b.n_chars AND a.score <> b.score
GROUP BY a.among
ORDER BY a.among
