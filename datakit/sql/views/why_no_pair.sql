-- Why two answers (structs of match_answers.sql) can be no pair whatever the rules about margins and lengths, else NULL; a macro.
-- Where nothing is verified the scores are all that tells chosen from rejected: also as the judge gave them, the chosen one is higher.
-- `single`: there is one answer that may be used, which then stands on both sides.
CREATE MACRO why_no_pair(chosen, rejected, margin, verified, single) AS CASE
    WHEN chosen.id IS NULL AND rejected.id IS NULL THEN 'nothing to judge by'
    WHEN chosen.id IS NULL THEN 'no right answer'
    WHEN rejected.id IS NULL THEN 'no wrong answer'
    WHEN single THEN 'only one answer'
    WHEN chosen.id <> rejected.id AND chosen.text_hash = rejected.text_hash THEN 'same text'
    WHEN NOT verified AND margin IS NULL THEN 'nothing to judge by'
    WHEN NOT verified AND (coalesce(margin, 0) <= 0 OR chosen.score <= rejected.score) THEN 'tied scores'
END
