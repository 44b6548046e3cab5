-- Approximate tokens of prompts and of each source's system prompt, template and prefill. Kept as the temporary table
-- `rough_tokens`.
-- Reads prompts, sources, responses. No parameters. Returns one row per prompt (`sampling` null) and one per sampling.
-- 4 characters per token, 1.5 in Chinese, Japanese and Korean, which have three bytes per character in UTF-8. Scripts with two
-- bytes (Cyrillic, Greek, Arabic) fall in between, as they do in most tokenizers.
WITH texts AS (
    SELECT p.prompt_id, NULL AS sampling, m.content AS text
    FROM prompts AS p, unnest(p.messages) AS _ (m)
    UNION ALL
    SELECT NULL, sampling, concat(sampling ->> '$.system', sampling ->> '$.template', sampling ->> '$.prefill')
    FROM (SELECT sampling FROM sources WHERE type <> 'responses' UNION SELECT sampling FROM responses WHERE sampling <> 'imported')
),

sized AS (
    SELECT
        prompt_id,
        sampling,
        sum(length(text)) AS n_chars,
        sum(strlen(text) - length(text)) / 2 AS n_cjk
    FROM texts
    WHERE text IS NOT NULL
    GROUP BY prompt_id, sampling
)

SELECT prompt_id, sampling, (n_chars - n_cjk) / 4 + n_cjk / 1.5 AS tokens
FROM sized
