-- The columns that a wrpo/ folder has in addition to those of dpo/: the best answer of the source models.
-- Reads selected_pairs (the pairs of the run, with all columns of this version), responses, sources.
--   $keep_reasoning  the model's thought precedes its answer, as it came
-- Returns prompt_id and model (of the pair), source_chosen, source_model, source_chosen_id, source_chosen_score,
-- source_chosen_chars, source_chosen_tokens.
SELECT
    x.prompt_id,
    x.model,
    [{
        'role': 'assistant',
        'content': written_answer(r.text, r.reasoning, r.reasoning_form, $keep_reasoning, s.residue = 'strip')
    }] AS source_chosen,
    r.model AS source_model,
    x.source_chosen_id,
    x.source_chosen_score,
    r.n_chars AS source_chosen_chars,
    r.n_tokens AS source_chosen_tokens
FROM selected_pairs AS x
INNER JOIN responses AS r ON x.source_chosen_id = r.response_id
LEFT JOIN sources AS s ON r.model = s.model AND r.sampling = s.sampling AND r.revision IS NOT DISTINCT FROM s.revision
