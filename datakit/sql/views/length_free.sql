-- A score without what length adds to it: slope times the logarithm of the answer's characters. A macro; a NULL slope removes
-- nothing.
CREATE MACRO length_free(score, n_chars, slope) AS score - coalesce(slope, 0) * ln(greatest(n_chars, 1))
