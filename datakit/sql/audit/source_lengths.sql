-- Per source: mean lengths of the answers that a rule selects, and how the scores that select grow with length within prompts.
-- Reads pair_candidates (select_pairs.sql), tried_demos (the rule's demos), valued, answers, numbered_prompts,
-- numbered_sources.
-- No parameters.
-- Returns the columns of audit.report.SourceLengths. Slope and correlation are over answers that may be in a pair.
WITH models AS (
    SELECT DISTINCT model_no, model FROM numbered_sources
),

chosen AS (
    SELECT chosen.model_no AS model_no, count(*) AS n, avg(chosen.n_chars) AS chars, avg(chosen.n_tokens) AS tokens
    FROM pair_candidates
    WHERE lost IS NULL
    GROUP BY chosen.model_no
),

rejected AS (
    SELECT rejected.model_no AS model_no, avg(rejected.n_chars) AS chars, avg(rejected.n_tokens) AS tokens
    FROM pair_candidates
    WHERE lost IS NULL
    GROUP BY rejected.model_no
),

demos AS (
    SELECT a.model_no, count(*) AS n, avg(a.n_chars) AS chars, avg(a.n_tokens) AS tokens
    FROM tried_demos AS d
    INNER JOIN numbered_prompts AS p ON d.prompt_id = p.prompt_id
    INNER JOIN answers AS a ON p.prompt_no = a.prompt_no AND id_number(d.response_id) = a.id
    GROUP BY a.model_no
),

grouped AS (
    SELECT
        model_no,
        regr_sxx(value, ln(greatest(n_chars, 1))) AS sxx,
        regr_sxy(value, ln(greatest(n_chars, 1))) AS sxy,
        regr_syy(value, ln(greatest(n_chars, 1))) AS syy
    FROM valued
    WHERE (may_be_chosen OR may_be_rejected) AND isfinite(value)
    GROUP BY prompt_no, model_no
),

grown AS (
    SELECT model_no, sum(sxy) / nullif(sum(sxx), 0) AS slope, sum(sxy) / nullif(sqrt(sum(sxx) * sum(syy)), 0) AS correlation
    FROM grouped
    GROUP BY model_no
)

SELECT
    m.model,
    coalesce(c.n, 0) AS pairs,
    c.chars AS chosen_chars,
    c.tokens AS chosen_tokens,
    r.chars AS rejected_chars,
    r.tokens AS rejected_tokens,
    coalesce(d.n, 0) AS demos,
    d.chars AS demo_chars,
    d.tokens AS demo_tokens,
    g.slope,
    g.correlation
FROM models AS m
LEFT JOIN chosen AS c ON m.model_no = c.model_no
LEFT JOIN rejected AS r ON m.model_no = r.model_no
LEFT JOIN demos AS d ON m.model_no = d.model_no
LEFT JOIN grown AS g ON m.model_no = g.model_no
ORDER BY m.model
