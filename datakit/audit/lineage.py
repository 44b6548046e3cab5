"""The fate of a prompt and of every answer to it."""

from __future__ import annotations

from dataclasses import dataclass
from threading import RLock

from datakit.audit.candidates import make_index, no_prompt
from datakit.audit.said import Said
from datakit.audit.texts import Texts
from datakit.audit.why import Reasons
from datakit.domains import domain_of
from datakit.select.rule import rule_in
from datakit.store import Run, load_sql
from datakit.tables import Row, Rows


@dataclass(frozen=True)
class Lineage:
    """Everything that is known about a prompt."""

    prompt: Row
    answers: Rows
    """The columns of sql/browse/lineage.sql, with text, thought, verdict, scores by judge; the best first."""
    candidates: Rows
    """The candidates, each with `why` it is a pair or not."""
    failures: Rows
    overlaps: Rows
    flags: Rows


def read_lineage(run: Run, prompt_id: str) -> Lineage:
    """Return the lineage of one prompt of a run that is not being browsed. Raises BadInput if the run has no such prompt."""
    recipe = run.recipe()
    rule = rule_in(run, recipe, domain_of(recipe))
    texts = Texts(run, RLock(), placed=False)
    try:
        return find_lineage(run, make_index(run, rule, texts, prompt_id), texts, Said(run).standing(), prompt_id)
    finally:
        texts.close()


def find_lineage(run: Run, reasons: Reasons, texts: Texts, said: Rows, prompt_id: str) -> Lineage:
    """Return the lineage of a prompt from the tables of `make_index`. Raises BadInput if the run has no such prompt."""
    prompts = run.query("SELECT * FROM prompts WHERE prompt_id = $id", {"id": prompt_id}).to_dicts()
    if not prompts:
        raise no_prompt(run, prompt_id)
    rule, known = reasons.rule, {"id": prompt_id}
    params = {"prompt_id": prompt_id, "verified": rule.verifier is not None, "wrong": list(rule.wrong)}
    answers = run.query(load_sql("browse/lineage"), params).to_dicts()
    judges = run.query("SELECT judge FROM judges ORDER BY 1")["judge"].to_list()
    read = texts.answers([(row["response_id"], row["part"], row["row"]) for row in answers])
    verdicts = texts.verdicts([{**row, "prompt_id": prompt_id} for row in answers], rule.verifier)
    for row in answers:
        by_judge = dict(zip(judges, row["by_judge"] or (), strict=False))
        row |= {**read.get(row["response_id"], {}), "verdict": verdicts.get(row["response_id"], {}), "by_judge": by_judge}
    mine = "SELECT *, n AS place FROM browsed WHERE prompt_no = (SELECT prompt_no FROM browsed_prompts WHERE prompt_id = $id)"
    run.make_table("picked", mine, known)
    failures = "SELECT * FROM current_failures WHERE key IN (SELECT response_id FROM wanted_responses WHERE prompt_id = $id)"
    any_failure = run.query("SELECT count(*) FROM failures").item() > 0
    ids = {prompt_id, *(row["response_id"] for row in answers)}
    return Lineage(
        prompts[0],
        answers,
        name_picked(run, reasons),
        run.query(failures, known).to_dicts() if any_failure else [],
        run.query("SELECT * FROM overlaps WHERE prompt_id = $id ORDER BY share DESC", known).to_dicts(),
        [flag for flag in said if ids & {flag["prompt_id"], flag["response_id"], flag["chosen_id"]}],
    )


def name_picked(run: Run, reasons: Reasons) -> Rows:
    """Return the candidates of the table `picked` with names, their context (sql/browse/beside.sql), and `why`."""
    rows = run.query(load_sql("browse/named")).to_dicts()
    beside = run.query(load_sql("browse/beside"), {"any_source": reasons.rule.any_source})
    stands = beside.rows_by_key("place", named=True, unique=True)
    both = [row | stands[row["place"]] for row in rows]
    return [row | {"why": reasons.of(row)} for row in both]
