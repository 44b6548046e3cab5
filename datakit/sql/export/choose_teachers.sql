-- The model whose distributions are exported with each text of fusion/. Kept as the temporary table `chosen_teachers`.
-- Reads probed_texts (probe/texts.sql), distributions, readings, failures.
--   $teacher  min_ce: of all models that read the text, pivot included, the one with the lowest negative log-likelihood per
--             byte; author: the model that gave the answer; pairwise: for each source the better of source and pivot
-- Returns `source` (for pairwise, else null), text_id, and model, revision, reading, teacher_nll_per_byte of the teacher,
-- pivot_nll_per_byte (null if no pivot read the text), and `unread`: null, or why the text is left out ('missing': a model that
-- should read it has not done so yet; 'failed': no model that could be the teacher was able to read it).
-- Models with different tokenizers are compared per byte of the text, a unit that all share.
WITH wanted AS (
    SELECT t.text_id, t.author, r.model, r.revision, r.reading, r.is_pivot
    FROM probed_texts AS t
    CROSS JOIN readings AS r
    WHERE r.is_pivot OR NOT r.by_author OR t.author = r.model
),

read AS (
    SELECT
        w.*,
        d.nll / d.n_bytes AS nll_per_byte,
        d.text_id IS NULL AND f.key IS NULL AS missing
    FROM wanted AS w
    LEFT JOIN distributions AS d
        ON
            w.text_id = d.text_id
            AND w.model = d.model
            AND w.revision IS NOT DISTINCT FROM d.revision
            AND w.reading = d.reading
    LEFT JOIN (SELECT DISTINCT key, source FROM failures WHERE stage = 'probe' AND permanent) AS f
        ON w.text_id = f.key AND w.model = f.source
),

candidates AS (
    SELECT NULL::VARCHAR AS source, * FROM read WHERE $teacher = 'min_ce' OR ($teacher = 'author' AND model = author)
    UNION ALL
    SELECT s.model AS source, r.*
    FROM read AS r
    INNER JOIN readings AS s ON NOT s.is_pivot AND (r.is_pivot OR r.model = s.model)
    WHERE $teacher = 'pairwise'
),

best AS (
    SELECT
        source,
        text_id,
        arg_min({'model': model, 'revision': revision, 'reading': reading}, (nll_per_byte, NOT is_pivot, model, reading))
            FILTER (nll_per_byte IS NOT NULL) AS teacher,
        min(nll_per_byte) AS teacher_nll_per_byte,
        bool_or(missing) AS any_missing,
        bool_or(nll_per_byte IS NULL) AS any_failed
    FROM candidates
    GROUP BY source, text_id
),

pivots AS (
    SELECT text_id, min(nll_per_byte) AS pivot_nll_per_byte FROM read WHERE is_pivot GROUP BY text_id
),

places AS (
    SELECT p.source, t.text_id
    FROM probed_texts AS t
    CROSS JOIN (
        SELECT NULL::VARCHAR AS source WHERE $teacher <> 'pairwise'
        UNION ALL
        SELECT DISTINCT model FROM readings WHERE $teacher = 'pairwise' AND NOT is_pivot
    ) AS p
    WHERE $teacher <> 'author' OR t.author IS NOT NULL
)

SELECT
    p.source,
    p.text_id,
    b.teacher.model AS model,
    b.teacher.revision AS revision,
    b.teacher.reading AS reading,
    b.teacher_nll_per_byte,
    v.pivot_nll_per_byte,
    CASE
        WHEN b.text_id IS NULL OR b.any_missing THEN 'missing'
        WHEN b.teacher IS NULL OR ($teacher = 'pairwise' AND b.any_failed) THEN 'failed'
    END AS unread
FROM places AS p
LEFT JOIN best AS b ON p.text_id = b.text_id AND p.source IS NOT DISTINCT FROM b.source
LEFT JOIN pivots AS v ON p.text_id = v.text_id
