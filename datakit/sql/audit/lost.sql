-- Why candidates did not become pairs.
-- Reads pair_candidates (select_pairs.sql), audit_closest. No parameters.
-- Gives reason, candidates (one a prompt and source), prompts: those without any pair whose closest candidate has this reason.
SELECT
    c.lost AS reason,
    count(*) AS candidates,
    (SELECT count(*) FROM audit_closest AS p WHERE NOT p.paired AND p.lost = c.lost) AS prompts
FROM pair_candidates AS c
WHERE c.lost IS NOT NULL
GROUP BY c.lost
ORDER BY candidates DESC, reason
