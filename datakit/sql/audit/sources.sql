-- What each source model gave.
-- Reads sources, answers, audit_wanted, pairs, demos, responses.
--   $wrong  outcomes that count as wrong
-- Gives one row a model, also where it gave nothing. A model with several samplings is one row: pairs are made by model.
-- pass_rate = passed / (passed + wrong); most_distinct = the most different texts that one prompt got; wanted, failures and
-- pending count responses that were asked for (of imported ones only those that are there).
-- residue: what answers should not have in them (tables.residue), and how many pairs hold such an answer.
-- truncated = not complete, and `endings` are the reasons of these; thought_tokens_counted: by the server, not by characters.
WITH models AS (
    SELECT
        model,
        string_agg(DISTINCT revision, ', ' ORDER BY revision) AS revision,
        string_agg(DISTINCT type, ', ' ORDER BY type) AS type,
        sum(n) FILTER (WHERE asks.others IS DISTINCT FROM FALSE)::BIGINT AS n  -- the usual way of one that asks some prompts otherwise
    FROM sources
    GROUP BY model
),

given AS (
    SELECT
        model,
        count(DISTINCT prompt_id) AS prompts,
        count(*) AS responses,
        count(DISTINCT (prompt_id, text_hash)) FILTER (WHERE text_hash IS NOT NULL) AS distinct_texts,
        count(*) FILTER (WHERE NOT complete) AS truncated,
        count(*) FILTER (WHERE outcome = 'passed') AS passed,
        count(*) FILTER (WHERE outcome = 'failed') AS failed,
        count(*) FILTER (WHERE outcome = 'timeout') AS timeout,
        count(*) FILTER (WHERE outcome = 'error') AS error,
        count(*) FILTER (WHERE outcome = 'unparseable') AS unparseable,
        count(*) FILTER (WHERE outcome = 'unverifiable') AS unverifiable,
        count(*) FILTER (WHERE outcome IS NULL) AS no_verdict,
        count(*) FILTER (WHERE list_contains($wrong, outcome)) AS wrong,
        avg(score) FILTER (WHERE isfinite(score)) AS mean_score,
        avg(n_tokens) AS mean_tokens,
        avg(n_chars) AS mean_chars,
        avg(n_thought_tokens) AS mean_thought_tokens,
        avg(n_tokens - coalesce(n_thought_tokens, 0)) AS mean_answer_tokens,
        bool_and(thought_counted) FILTER (WHERE n_thought_tokens IS NOT NULL) AS thought_tokens_counted
    FROM answers
    GROUP BY model
),

endings AS (
    SELECT model, list({'reason': reason, 'responses': n} ORDER BY n DESC, reason) AS endings
    FROM (
        SELECT model, if(text_hash IS NULL, 'thought without an answer', finish_reason) AS reason, count(*) AS n
        FROM answers
        WHERE NOT complete
        GROUP BY ALL
    )
    GROUP BY model
),

widest AS (
    SELECT model, max(n_texts) AS most_distinct
    FROM (SELECT model, count(DISTINCT text_hash) AS n_texts FROM answers GROUP BY model, prompt_id)
    GROUP BY model
),

residues AS (
    SELECT
        model,
        list({'residue': residue, 'responses': n, 'pairs': n_pairs, 'choice': choice} ORDER BY n DESC, residue) AS residue
    FROM (
        SELECT
            a.model,
            a.residue,
            any_value(a.residue_choice) AS choice,
            count(DISTINCT a.response_id) AS n,
            count(DISTINCT (p.prompt_id, p.model)) FILTER (WHERE p.prompt_id IS NOT NULL) AS n_pairs
        FROM answers AS a
        LEFT JOIN (SELECT prompt_id, model, unnest([chosen_id, rejected_id]) AS response_id FROM pairs) AS p
            ON a.prompt_id = p.prompt_id AND a.response_id = p.response_id
        WHERE a.residue IS NOT NULL
        GROUP BY a.model, a.residue
    )
    GROUP BY model
),

asked AS (
    SELECT
        model,
        count(DISTINCT response_id) FILTER (WHERE state <> 'absent') AS wanted,
        count(DISTINCT response_id) FILTER (WHERE state = 'failed') AS failures,
        count(DISTINCT response_id) FILTER (WHERE state = 'pending') AS pending
    FROM audit_wanted
    GROUP BY model
)

SELECT
    m.model,
    m.revision,
    m.type,
    m.n,
    coalesce(g.prompts, 0) AS prompts,
    coalesce(g.responses, 0) AS responses,
    coalesce(g.distinct_texts, 0) AS distinct,
    coalesce(w.most_distinct, 0) AS most_distinct,
    coalesce(g.truncated, 0) AS truncated,
    coalesce(g.passed, 0) AS passed,
    coalesce(g.failed, 0) AS failed,
    coalesce(g.timeout, 0) AS timeout,
    coalesce(g.error, 0) AS error,
    coalesce(g.unparseable, 0) AS unparseable,
    coalesce(g.unverifiable, 0) AS unverifiable,
    coalesce(g.no_verdict, 0) AS no_verdict,
    g.passed / nullif(g.passed + g.wrong, 0) AS pass_rate,
    g.mean_score,
    g.mean_tokens,
    g.mean_chars,
    g.mean_thought_tokens,
    g.mean_answer_tokens,
    g.thought_tokens_counted,
    coalesce(e.endings, []) AS endings,
    coalesce(r.residue, []) AS residue,
    coalesce(a.wanted, 0) AS wanted,
    coalesce(a.failures, 0) AS failures,
    coalesce(a.pending, 0) AS pending,
    (SELECT count(*) FROM pairs AS p WHERE p.model = m.model) AS pairs,
    (
        SELECT count(*)
        FROM demos AS d
        INNER JOIN responses AS r ON d.response_id = r.response_id
        WHERE r.model = m.model
    ) AS demos
FROM models AS m
LEFT JOIN given AS g ON m.model = g.model
LEFT JOIN endings AS e ON m.model = e.model
LEFT JOIN residues AS r ON m.model = r.model
LEFT JOIN widest AS w ON m.model = w.model
LEFT JOIN asked AS a ON m.model = a.model
ORDER BY m.model
