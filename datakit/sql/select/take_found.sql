-- The candidates, in which the pairs that were found replace those that break a rule. Kept as the temporary table `matched`, or
-- `searched`.
-- Reads matched (match_answers.sql), found (search_pairs.sql). No parameters. Returns the columns of matched.
SELECT
    m.prompt_no,
    m.side,
    if(f.pair IS NULL, m.chosen, f.pair.chosen) AS chosen,
    if(f.pair IS NULL, m.rejected, f.pair.rejected) AS rejected,
    if(f.pair IS NULL, m.margin, f.pair.margin) AS margin,
    m.largest,
    CASE WHEN f.prompt_no IS NULL THEN m.lost WHEN f.pair IS NULL THEN f.lost END AS lost
FROM matched AS m
LEFT JOIN found AS f ON m.prompt_no = f.prompt_no AND m.side = f.side
