-- The rows of an exported fusion/ folder: what `train fuse` reads, and where each row came from.
-- Reads chosen_teachers (export/choose_teachers.sql), probed_texts (probe/texts.sql), distributions, prompts, responses,
-- sources.
--   $source                        with teacher pairwise, the source whose folder this is, else null
--   $keep_reasoning, $keep_system  as in export/demos.sql
-- Returns prompt and completion as messages (the text without white space at its ends, as the model read it), the distribution,
-- and the text's place, by which the caller orders the rows: sorting them here would hold all of them in memory.
-- Lists of top_* hold the positions of the text one after the other, equally many numbers for each.
SELECT
    asked_messages(p.messages, r.sampling, $keep_system) AS prompt,
    [{
        'role': 'assistant',
        'content': trim(
            if(
                t.response_id IS NULL,
                p.solution,
                written_answer(r.text, r.reasoning, r.reasoning_form, $keep_reasoning, s.residue = 'strip')
            ),
            E' \t\r\n'
        )
    }] AS completion,
    t.prompt_id,
    t.response_id,
    t.text_id,
    p.source,
    t.author AS model,
    1.0::DOUBLE AS weight,
    c.model AS teacher,
    c.revision AS teacher_revision,
    c.teacher_nll_per_byte,
    c.pivot_nll_per_byte,
    d.token_ids,
    d.ends,
    d.token_logprobs,
    d.top_ids,
    d.top_logprobs,
    t.place
FROM chosen_teachers AS c
INNER JOIN probed_texts AS t ON c.text_id = t.text_id
INNER JOIN distributions AS d
    ON
        c.text_id = d.text_id
        AND c.model = d.model
        AND c.revision IS NOT DISTINCT FROM d.revision
        AND c.reading = d.reading
INNER JOIN prompts AS p ON t.prompt_id = p.prompt_id
LEFT JOIN responses AS r ON t.response_id = r.response_id
LEFT JOIN sources AS s ON r.model = s.model AND r.sampling = s.sampling AND r.revision IS NOT DISTINCT FROM s.revision
WHERE c.source IS NOT DISTINCT FROM $source AND c.unread IS NULL
