-- How far two judges agree.
-- Reads judged (judged.sql).
--   $judges  the judges, in order
-- Gives one row for each two judges, over the answers that both scored (repeated texts once):
--   answers       how many
--   spearman      correlation of their ranks over all answers, ties sharing the mean rank
--   answer_pairs  two answers of one prompt, of any source
--   alike, unlike, tied   pairs that both order alike, that they order the other way round, that one of them or both tie
--   agreement     alike / (alike + unlike)
--   kendall       tau-b over these pairs: (alike - unlike) / sqrt(pairs not tied by the one x pairs not tied by the other)
WITH both_scored AS (
    SELECT a.judge, b.judge AS other, a.prompt_id, a.model, a.response_id, a.score, b.score AS other_score
    FROM judged AS a
    INNER JOIN judged AS b
        ON a.prompt_id = b.prompt_id AND a.response_id = b.response_id
        AND list_position($judges::VARCHAR [], a.judge) < list_position($judges::VARCHAR [], b.judge)
    WHERE a.finite AND b.finite AND NOT a.repeated
),

placed AS (
    SELECT
        judge,
        other,
        rank() OVER (PARTITION BY judge, other ORDER BY score)
        + (count(*) OVER (PARTITION BY judge, other, score) - 1) / 2 AS place,
        rank() OVER (PARTITION BY judge, other ORDER BY other_score)
        + (count(*) OVER (PARTITION BY judge, other, other_score) - 1) / 2 AS other_place
    FROM both_scored
),

monotone AS (
    SELECT judge, other, count(*) AS answers, corr(place, other_place) AS spearman
    FROM placed
    GROUP BY judge, other
),

compared AS (
    SELECT
        x.judge,
        x.other,
        count(*) AS answer_pairs,
        count(*) FILTER (WHERE sign(x.score - y.score) * sign(x.other_score - y.other_score) > 0) AS alike,
        count(*) FILTER (WHERE sign(x.score - y.score) * sign(x.other_score - y.other_score) < 0) AS unlike,
        count(*) FILTER (WHERE x.score <> y.score) AS ordered,
        count(*) FILTER (WHERE x.other_score <> y.other_score) AS other_ordered
    FROM both_scored AS x
    INNER JOIN both_scored AS y
        ON x.judge = y.judge AND x.other = y.other AND x.prompt_id = y.prompt_id AND x.response_id < y.response_id
    GROUP BY x.judge, x.other
)

SELECT
    m.judge,
    m.other,
    m.answers,
    if(isfinite(m.spearman), m.spearman, NULL) AS spearman,
    coalesce(c.answer_pairs, 0) AS answer_pairs,
    coalesce(c.alike, 0) AS alike,
    coalesce(c.unlike, 0) AS unlike,
    coalesce(c.answer_pairs - c.alike - c.unlike, 0) AS tied,
    c.alike / nullif(c.alike + c.unlike, 0) AS agreement,
    (c.alike - c.unlike) / nullif(sqrt(c.ordered::DOUBLE * c.other_ordered), 0) AS kendall
FROM monotone AS m
LEFT JOIN compared AS c ON m.judge = c.judge AND m.other = c.other
ORDER BY list_position($judges::VARCHAR [], m.judge), list_position($judges::VARCHAR [], m.other)
