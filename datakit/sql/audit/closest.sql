-- The result of every prompt that has candidates. Kept as the temporary table `audit_closest`.
-- Reads pair_candidates (select_pairs.sql). No parameters.
-- Returns prompt_no, paired, and for a prompt without a pair `lost`: the reason of the candidate that came closest to a pair.
SELECT
    prompt_no,
    bool_or(lost IS NULL) AS paired,
    arg_max(
        lost,
        coalesce(
            list_position(
                [
                    'nothing to judge by', 'no right answer', 'no wrong answer', 'only one answer', 'same text', 'tied scores', 'flagged',
                    'no right answer of a source',
                    'margin below the window', 'margin above the window', 'length ratio', 'length difference', 'another source''s pair',
                    'serves SFT', 'length bins'
                ],
                lost
            ),
            100
        )
    ) AS lost
FROM pair_candidates
GROUP BY prompt_no
