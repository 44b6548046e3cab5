"""The index that finds pages of candidates: numbers and ids of all candidates and answers, in memory.

It is a snapshot of the run. Names are looked up for the rows of a page only, and texts are read by place (audit/texts.py).
"""

from __future__ import annotations

from datakit.audit.texts import Texts
from datakit.audit.why import Reasons, reasons
from datakit.collect.flags import near_id
from datakit.errors import BadInput
from datakit.select.rule import Rule, make_candidates, mark_answers
from datakit.store import Run, load_sql

BY_SELECTION = ("matched", "placed", "faults", "excluded", "source_answers", "flagged_pairs")
"""Temporary tables of the selection that the index does not need; they are dropped before its largest tables are made."""


def make_index(run: Run, rule: Rule, texts: Texts, prompt_id: str | None = None) -> Reasons:
    """Make the temporary tables browsed (candidates), browsed_answers, browsed_prompts, browsed_models and browsed_contestants.

    `prompt_id`: only this prompt; the rule still reads all of them, because windows and shares depend on the whole run.
    Raises BadInput if there is no such prompt.
    """
    make_candidates(run, rule, whole=prompt_id is None)
    found = reasons(run, rule)
    if prompt_id is not None:
        _keep_one(run, rule, prompt_id)
    _empty(run, *BY_SELECTION)
    texts.make_places()
    run.make_table("browsed_models", "SELECT DISTINCT model_no, model FROM numbered_sources")
    run.make_table("browsed_contestants", load_sql("browse/index_contestants"))
    run.make_table("browsed_prompts", load_sql("browse/index_prompts"))
    params = {"verifier": rule.verifier, "few": prompt_id is not None}
    run.make_table("browsed_answers", load_sql("browse/index_answers"), params)
    _empty(run, "answers")
    texts.drop_places()
    run.make_table("browsed", load_sql("browse/index_pairs"))
    _empty(run, "pair_candidates")
    return found


def no_prompt(run: Run, prompt_id: str) -> BadInput:
    """Return the error for a run that has no such prompt."""
    return BadInput(f"{run.folder}: no prompt has the id '{prompt_id}'{near_id(run, 'prompt_id', prompt_id)}")


def _empty(run: Run, *tables: str) -> None:
    for name in tables:
        run.make_table(name, "SELECT NULL AS nothing LIMIT 0")


def _keep_one(run: Run, rule: Rule, prompt_id: str) -> None:
    """Keep only the rows of one prompt in `answers` and `pair_candidates`, with all columns."""
    found = run.query("SELECT prompt_no FROM numbered_prompts WHERE prompt_id = $id", {"id": prompt_id})
    if found.is_empty() and run.query("SELECT count(*) FROM prompts WHERE prompt_id = $id", {"id": prompt_id}).item() == 0:
        raise no_prompt(run, prompt_id)
    number = found.item() if found.height else 0  # a dropped prompt has none
    kept = "SELECT * FROM pair_candidates WHERE prompt_no = $number"
    run.make_table("kept_candidates", kept, {"number": number})
    mark_answers(run, rule, whole=True, prompt_no=number)
    run.make_table("pair_candidates", "SELECT * FROM kept_candidates")
