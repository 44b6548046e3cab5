-- The ids of the responses that the current recipe wants: every prompt that is not dropped, every source, sample_index below n.
-- Reads prompts, sources. No parameters. Gives one row a wanted response; the id is tables.make_response_id, spelled in SQL.
-- For an imported source (type 'responses') it is what may be there, not what must: files have holes.
SELECT
    left(
        sha256(
            concat_ws(chr(31), p.messages_digest, s.model, coalesce(s.revision, ''), s.sampling, i.sample_index)
        ),
        24
    ) AS response_id,
    p.prompt_id,
    p.messages_digest,
    s.model,
    s.revision,
    s.sampling,
    s.type AS source_type,
    i.sample_index
FROM prompts AS p
CROSS JOIN sources AS s
CROSS JOIN LATERAL (SELECT unnest(range(s.n)) AS sample_index) AS i
WHERE p.dropped IS NULL
