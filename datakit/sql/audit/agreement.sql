-- How far each two judges agree.
-- Reads judged (judged.sql).
--   $judges  the judges, in order
-- Returns one row for each two judges, over the answers that both scored (repeated texts once):
--   answers       how many
--   spearman      correlation of their ranks over all answers; ties share the mean rank
--   answer_pairs  pairs of answers to one prompt, from any source
--   alike, unlike, tied   pairs that both judges order the same way, in opposite ways, or that at least one of them ties
--   agreement     alike / (alike + unlike)
--   kendall       tau-b over these pairs: (alike - unlike) / sqrt(pairs not tied by one judge x pairs not tied by the other)
WITH both_scored AS (
    SELECT a.judge_no, b.judge_no AS other_no, a.prompt_no, a.id, a.score, b.score AS other_score
    FROM judged AS a
    INNER JOIN judged AS b
        ON a.prompt_no = b.prompt_no AND a.id = b.id AND a.judge_no < b.judge_no
    WHERE a.finite AND b.finite AND NOT a.repeated
),

placed AS (
    SELECT
        judge_no,
        other_no,
        rank() OVER (PARTITION BY judge_no, other_no ORDER BY score)
        + (count(*) OVER (PARTITION BY judge_no, other_no, score) - 1) / 2 AS place,
        rank() OVER (PARTITION BY judge_no, other_no ORDER BY other_score)
        + (count(*) OVER (PARTITION BY judge_no, other_no, other_score) - 1) / 2 AS other_place
    FROM both_scored
),

monotone AS (
    SELECT judge_no, other_no, count(*) AS answers, corr(place, other_place) AS spearman
    FROM placed
    GROUP BY judge_no, other_no
),

compared AS (
    SELECT
        x.judge_no,
        x.other_no,
        count(*) AS answer_pairs,
        count(*) FILTER (WHERE sign(x.score - y.score) * sign(x.other_score - y.other_score) > 0) AS alike,
        count(*) FILTER (WHERE sign(x.score - y.score) * sign(x.other_score - y.other_score) < 0) AS unlike,
        count(*) FILTER (WHERE x.score <> y.score) AS ordered,
        count(*) FILTER (WHERE x.other_score <> y.other_score) AS other_ordered
    FROM both_scored AS x
    INNER JOIN both_scored AS y
        ON x.judge_no = y.judge_no AND x.other_no = y.other_no AND x.prompt_no = y.prompt_no AND x.id < y.id
    GROUP BY x.judge_no, x.other_no
)

SELECT
    list_extract($judges::VARCHAR [], m.judge_no) AS judge,
    list_extract($judges::VARCHAR [], m.other_no) AS other,
    m.answers,
    if(isfinite(m.spearman), m.spearman, NULL) AS spearman,
    coalesce(c.answer_pairs, 0) AS answer_pairs,
    coalesce(c.alike, 0) AS alike,
    coalesce(c.unlike, 0) AS unlike,
    coalesce(c.answer_pairs - c.alike - c.unlike, 0) AS tied,
    c.alike / nullif(c.alike + c.unlike, 0) AS agreement,
    (c.alike - c.unlike) / nullif(sqrt(c.ordered::DOUBLE * c.other_ordered), 0) AS kendall
FROM monotone AS m
LEFT JOIN compared AS c ON m.judge_no = c.judge_no AND m.other_no = c.other_no
ORDER BY m.judge_no, m.other_no
