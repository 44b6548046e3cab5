-- One page of candidates, by keyset: those after (or before) a candidate in an order. Kept as the temporary table `picked`.
-- Reads browsed (index_pairs.sql), limited (numbers that a search or flags leave; read where $limits).
--   $reason       'pair', 'any', or why a candidate is none
--   $source       a source model's number, of either answer      $outcome  of either answer
--   $margin_low, $margin_high, $ratio_low, $ratio_high   ends included; the ratio is chosen / rejected characters
--   $against      only where a judge scores the rejected answer above the chosen one
--   $limits       only numbers of `limited`
--   $sort         'n', 'margin', 'longer' (the chosen answer, the most first) or 'against'; $descends turns it
--   $anchor       the number of the candidate beside the page, or NULL; $forward: the page comes after it
--   $most         rows of the page
-- What is NULL does not filter. Gives the columns of browsed, `total`, and `place` in the page.
WITH placed AS (
    SELECT
        *,
        coalesce(
            if($descends, -1, 1)
            * CASE $sort
                WHEN 'margin' THEN margin
                WHEN 'longer' THEN -log_length_ratio
                WHEN 'against' THEN -against
                ELSE 0
            END,
            1e300
        ) AS place
    FROM browsed
),

matching AS MATERIALIZED (
    SELECT n, place
    FROM placed
    WHERE
        ($reason = 'any' OR coalesce(lost, 'pair') = $reason)
        AND ($source IS NULL OR model_no = $source OR rejected_model_no = $source)
        AND ($outcome IS NULL OR chosen_outcome = $outcome OR rejected_outcome = $outcome)
        AND ($margin_low IS NULL OR margin >= $margin_low)
        AND ($margin_high IS NULL OR margin <= $margin_high)
        AND ($ratio_low IS NULL OR log_length_ratio >= ln($ratio_low))
        AND ($ratio_high IS NULL OR log_length_ratio <= ln($ratio_high))
        AND (NOT $against OR against > 0)
        AND (NOT $limits OR n IN (SELECT n FROM limited))
),

anchored AS (
    SELECT n, place FROM placed WHERE n = $anchor
),

shown AS (
    SELECT m.n, m.place, (SELECT count(*) FROM matching) AS total
    FROM matching AS m
    LEFT JOIN anchored AS a ON TRUE
    WHERE
        a.n IS NULL
        OR if($forward, m.place > a.place OR m.place = a.place AND m.n > a.n, m.place < a.place OR m.place = a.place AND m.n < a.n)
    ORDER BY if($forward, m.place, -m.place), if($forward, m.n, -m.n)
    LIMIT $most
)

SELECT b.*, s.total, row_number() OVER (ORDER BY s.place, s.n) AS place
FROM shown AS s
INNER JOIN browsed AS b ON s.n = b.n
