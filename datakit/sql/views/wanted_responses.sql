-- The ids of the responses that the current recipe wants: every prompt that is not dropped, every source
-- that asks it in this way, sample_index below n.
-- Reads prompts, sources. No parameters. Returns one row per wanted response; the id is tables.make_response_id.
-- A sampled response belongs to messages, and is wanted by every prompt that has them. An imported one belongs to its prompt:
-- if an earlier prompt has the same messages (`shares_messages`), the later prompt's id is part of the response's id.
-- For an imported source (type 'responses') these are the responses that may exist, not those that must: files have holes.
SELECT
    make_response_id(
        p.messages_digest,
        s.model,
        s.revision,
        s.sampling,
        i.sample_index,
        own_id := if(s.type = 'responses' AND p.shares_messages, p.prompt_id, NULL)
    ) AS response_id,
    p.prompt_id,
    p.messages_digest,
    s.model,
    s.revision,
    s.sampling,
    s.type AS source_type,
    s.complete AS complete_reasons,
    s.residue AS residue_choice,
    i.sample_index
FROM prompts AS p
CROSS JOIN sources AS s
CROSS JOIN LATERAL (SELECT unnest(range(s.n)) AS sample_index) AS i
WHERE p.dropped IS NULL AND is_asked(s.asks, p.category, p.source)
