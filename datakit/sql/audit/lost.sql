-- Why candidates did not become pairs.
-- Reads pair_candidates (select_pairs.sql), audit_closest, feasible (prompt_no of the prompts that have a pair that obeys all
-- rules).
-- No parameters.
-- Returns reason, candidates (one per prompt and source), prompts (those without any pair whose closest candidate has this
-- reason), and feasible (how many of those prompts have another pair that would obey).
WITH prompts AS (
    SELECT c.lost, count(*) AS n, count(f.prompt_no) AS n_feasible
    FROM audit_closest AS c
    LEFT JOIN feasible AS f ON c.prompt_no = f.prompt_no
    WHERE NOT c.paired
    GROUP BY c.lost
)

SELECT
    c.lost AS reason,
    count(*) AS candidates,
    coalesce(any_value(p.n), 0) AS prompts,
    coalesce(any_value(p.n_feasible), 0) AS feasible
FROM pair_candidates AS c
LEFT JOIN prompts AS p ON c.lost = p.lost
WHERE c.lost IS NOT NULL
GROUP BY c.lost
ORDER BY candidates DESC, reason
