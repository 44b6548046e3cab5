-- What a rule selects, in one row.
-- Reads pair_candidates (select_pairs.sql), tried_demos (its demos), current_pairs, answers, numbered_prompts. No parameters.
-- Returns pairs, prompts, longer (pairs whose chosen answer has more characters), length_ratio_geomean (chosen / rejected),
-- margin_mean, margin_median, same_pairs (pairs that are also in current_pairs), demos, and the mean of the demos' characters
-- and tokens.
WITH kept AS (
    SELECT * FROM pair_candidates WHERE lost IS NULL
),

shown AS (
    SELECT a.n_chars, a.n_tokens
    FROM tried_demos AS d
    INNER JOIN numbered_prompts AS p ON d.prompt_id = p.prompt_id
    INNER JOIN answers AS a ON p.prompt_no = a.prompt_no AND id_number(d.response_id) = a.id
)

SELECT
    count(*) AS pairs,
    count(DISTINCT k.prompt_no) AS prompts,
    count(*) FILTER (WHERE k.chosen.n_chars > k.rejected.n_chars) AS longer,
    exp(avg(k.log_length_ratio)) AS length_ratio_geomean,
    avg(k.margin) AS margin_mean,
    median(k.margin) AS margin_median,
    count(c.prompt_no) AS same_pairs,
    (SELECT count(*) FROM shown) AS demos,
    (SELECT avg(n_chars) FROM shown) AS demo_chars,
    (SELECT avg(n_tokens) FROM shown) AS demo_tokens
FROM kept AS k
LEFT JOIN current_pairs AS c ON k.prompt_no = c.prompt_no AND k.chosen.id = c.chosen AND k.rejected.id = c.rejected
