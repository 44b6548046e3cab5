-- Statistics of each source model.
-- Reads sources, numbered_sources, answers, audit_missing, pairs, demos.
--   $wrong  outcomes that count as wrong
-- Returns one row per model, even if it gave nothing. A model with several samplings is one row: pairs are made by model.
-- pass_rate = passed / (passed + wrong); most_distinct = the largest number of different texts for one prompt; wanted, failures
-- and pending count responses that were asked for (of imported ones only those that exist).
-- residue: what answers should not contain (tables.residue), and how many pairs have such an answer.
-- truncated = not complete, and `endings` are the finish reasons of these; thought_tokens_counted: by the server, not by
-- characters.
WITH models AS (
    SELECT
        model,
        string_agg(DISTINCT revision, ', ' ORDER BY revision) AS revision,
        string_agg(DISTINCT type, ', ' ORDER BY type) AS type,
        sum(n) FILTER (WHERE asks.others IS DISTINCT FROM FALSE)::BIGINT AS n  -- without its settings for some prompts
    FROM sources
    GROUP BY model
),

given AS (
    SELECT
        model_no,
        count(*) AS responses,
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
    GROUP BY model_no
),

endings AS (
    SELECT model_no, list({'reason': reason, 'responses': n} ORDER BY n DESC, reason) AS endings
    FROM (
        SELECT model_no, if(text_hash IS NULL, 'thought without an answer', finish_reason) AS reason, count(*) AS n
        FROM answers
        WHERE NOT complete
        GROUP BY ALL
    )
    GROUP BY model_no
),

by_prompt AS (
    SELECT model_no, prompt_no, count(*) FILTER (WHERE text_hash IS NOT NULL AND NOT repeated) AS n_texts
    FROM answers
    GROUP BY ALL
),

widest AS (
    SELECT model_no, count(*) AS prompts, sum(n_texts)::BIGINT AS distinct_texts, max(n_texts) AS most_distinct
    FROM by_prompt
    GROUP BY model_no
),

held AS (
    SELECT prompt_id, model, unnest([chosen_id, rejected_id]) AS response_id FROM pairs
),

residues AS (
    SELECT
        model_no,
        list({'residue': residue, 'responses': n, 'pairs': n_pairs, 'choice': choice} ORDER BY n DESC, residue) AS residue
    FROM (
        SELECT
            a.model_no,
            a.residue,
            any_value(a.residue_choice) AS choice,
            count(DISTINCT a.id) AS n,
            count(DISTINCT (p.prompt_id, p.model)) FILTER (WHERE p.prompt_id IS NOT NULL) AS n_pairs
        FROM answers AS a
        LEFT JOIN held AS p ON a.id = id_number(p.response_id)
        WHERE a.residue IS NOT NULL
        GROUP BY a.model_no, a.residue
    )
    GROUP BY model_no
),

asked AS (
    SELECT
        model_no,
        count(DISTINCT response_id) FILTER (WHERE state <> 'absent') AS missing,
        count(DISTINCT response_id) FILTER (WHERE state = 'failed') AS failures,
        count(DISTINCT response_id) FILTER (WHERE state = 'pending') AS pending
    FROM audit_missing
    GROUP BY model_no
),

there AS (
    SELECT model_no, count(DISTINCT id) AS n FROM answers GROUP BY model_no
),

demo_counts AS (
    SELECT a.model_no, count(DISTINCT d.prompt_id) AS n
    FROM demos AS d
    INNER JOIN answers AS a ON id_number(d.response_id) = a.id
    GROUP BY a.model_no
),

pair_counts AS (
    SELECT model, count(*) AS n FROM pairs GROUP BY model
),

numbers AS (
    SELECT DISTINCT model_no, model FROM numbered_sources
)

SELECT
    m.model,
    m.revision,
    m.type,
    m.n,
    coalesce(w.prompts, 0) AS prompts,
    coalesce(g.responses, 0) AS responses,
    coalesce(w.distinct_texts, 0) AS distinct,
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
    coalesce(t.n, 0) + coalesce(a.missing, 0) AS wanted,
    coalesce(a.failures, 0) AS failures,
    coalesce(a.pending, 0) AS pending,
    coalesce(p.n, 0) AS pairs,
    coalesce(d.n, 0) AS demos
FROM models AS m
INNER JOIN numbers AS n ON m.model = n.model
LEFT JOIN given AS g ON n.model_no = g.model_no
LEFT JOIN endings AS e ON n.model_no = e.model_no
LEFT JOIN residues AS r ON n.model_no = r.model_no
LEFT JOIN widest AS w ON n.model_no = w.model_no
LEFT JOIN asked AS a ON n.model_no = a.model_no
LEFT JOIN there AS t ON n.model_no = t.model_no
LEFT JOIN demo_counts AS d ON n.model_no = d.model_no
LEFT JOIN pair_counts AS p ON m.model = p.model
ORDER BY m.model
