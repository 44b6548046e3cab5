"""A second question after a model's own answer to the first: one ordinary run per model, whose prompts come from the first run.

The conversation up to the second question is a prompt like any other, so a changed first answer makes a new prompt, and nothing
outdated is mixed in.
"""

from __future__ import annotations

import json
from pathlib import Path

from datakit.collect.reading import with_prompts
from datakit.collect.rows import read_rows
from datakit.collect.tally import Tally
from datakit.domains import domain_of
from datakit.errors import BadInput
from datakit.evaluation.contest import Contest
from datakit.evaluation.models import Model
from datakit.evaluation.scores import written_by
from datakit.recipe import Recipe
from datakit.recipe.benchmarks import SecondTurn
from datakit.rewards import as_references
from datakit.store import Run, load_sql
from datakit.tables import Row, Rows


def second_recipe(run: Run, contest: Contest, second: SecondTurn, model: Model, place: Path) -> Recipe:
    """Return the recipe of one model's second turn, and write its prompts to the file `place`. Raises BadInput if there are
    none."""
    benchmark = contest.benchmark
    at = [one.name for one in contest.contestants].index(model.name)
    source = run.recipe().sources[at]
    asked = {"model": source.model, "revision": source.revision}
    questions = _questions(contest.recipe, second)
    rows: Rows = []
    for prompt_id, messages, reference, category, text in run.query(load_sql("evaluation/first_answers"), asked).iter_rows():
        if (question := questions.get(prompt_id)) is None:
            continue
        turns = [*messages, {"role": "assistant", "content": text}, {"role": "user", "content": question["prompt"]}]
        references = [one for one in (reference, question.get("reference")) if one]
        both = {"reference": as_references(references)} if len(references) == 2 else {}
        rows.append({"prompt_id": prompt_id, "messages": turns, "category": category, **both})
    if not rows:
        raise BadInput(f"benchmark {benchmark.name}: {model.name} has no first answer that a second question could follow")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    score = contest.recipe.score[0].model_dump(mode="json", exclude_unset=True) | second.judge
    prompts: Row = {"type": "file", "path": str(place.absolute())}
    recipe = benchmark.recipe([model.source_for(benchmark)], contest.found.folder, [prompts], score=score)
    return written_by(recipe, [model])


def _questions(recipe: Recipe, second: SecondTurn) -> dict[str, Row]:
    """Return the second question and its reference by prompt, read again from the benchmark's data."""
    found: dict[str, Row] = {}
    for section in recipe.prompts:
        tally = Tally(section)
        firsts = {
            (where, number): prompt.prompt_id
            for (where, number, _), prompt in with_prompts(read_rows(section, tally), tally, domain_of(recipe).read)
        }
        seconds = section.model_copy(update={"columns": {**section.columns, **second.columns}})
        for where, number, row in read_rows(seconds, Tally(seconds)):
            if isinstance(row.get("prompt"), str) and (prompt_id := firsts.get((where, number))) is not None:
                found.setdefault(prompt_id, row)
    return found
