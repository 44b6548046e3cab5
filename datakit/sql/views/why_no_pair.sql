-- Why two answers (structs of match_answers.sql) can be no pair whatever the rules about margins and lengths, else NULL. A
-- macro. If nothing is verified, only scores tell chosen from rejected: the chosen answer must also have the higher score as
-- the judge gave it. `single`: only one answer may be used, and it is on both sides.
CREATE MACRO why_no_pair(chosen, rejected, margin, verified, single) AS CASE
    WHEN chosen.id IS NULL AND rejected.id IS NULL THEN 'nothing to judge by'
    WHEN chosen.id IS NULL THEN 'no right answer'
    WHEN rejected.id IS NULL THEN 'no wrong answer'
    WHEN single THEN 'only one answer'
    WHEN chosen.id <> rejected.id AND chosen.text_hash = rejected.text_hash THEN 'same text'
    WHEN NOT verified AND margin IS NULL THEN 'nothing to judge by'
    WHEN NOT verified AND (coalesce(margin, 0) <= 0 OR chosen.score <= rejected.score) THEN 'tied scores'
END
