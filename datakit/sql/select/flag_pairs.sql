-- The candidates; those that people have excluded as a pair are lost: the same two answers, or another two with the same texts.
-- Kept as the temporary table `matched`.
-- Reads matched (match_answers.sql), flagged_pairs (find_flagged_pairs.sql). No parameters.
-- Returns the columns of matched.
SELECT m.* REPLACE (if(f.prompt_no IS NOT NULL, coalesce(m.lost, 'flagged'), m.lost) AS lost)
FROM matched AS m
LEFT JOIN flagged_pairs AS f
    ON m.prompt_no = f.prompt_no AND m.chosen.text_hash = f.chosen AND m.rejected.text_hash = f.rejected
