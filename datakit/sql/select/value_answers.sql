-- The answers with the score that selects. Kept as the temporary view `valued`.
-- Reads answers (mark_answers.sql), length_slopes (model_no, slope: what select.length_adjust removes from scores; no rows:
-- nothing).
-- No parameters. Returns the columns of answers, slope, value (the score without what length adds to it), and row, its place in
-- answers.
SELECT a.*, s.slope, length_free(a.score, a.n_chars, s.slope) AS value, a.rowid AS row
FROM answers AS a
LEFT JOIN length_slopes AS s ON a.model_no = s.model_no
