"""No command undoes another, and nothing is selected, shrunk or taken for a run without a word."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from datakit.audit.inspect import inspect
from datakit.dry_run import plan
from datakit.errors import RunError, command
from datakit.options import Options
from datakit.recipe import parse
from datakit.stages import build, reselect
from datakit.store import Run
from datakit.tables.intervals import wilson
from tests.helpers.monitors import Heard

N = 12
KEPT = "select and limits are kept as datakit select --set made them"


def write_answers(folder: Path, n: int = N, scored: bool = True) -> None:
    """Three answers of one model to every prompt, with scores 1, 2 and 4."""
    rows = [
        {"id": f"p{at:02}", "prompt": f"Question {at}?", "model": "org/m", "text": f"Answer {at}/{score}", "score": score}
        for at in range(n)
        for score in (1.0, 2.0, 4.0)
    ]
    lines = [{name: value for name, value in row.items() if scored or name != "score"} for row in rows]
    (folder / "answers.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def write_sums(folder: Path, n: int) -> None:
    """A right and a wrong answer to each of 2n sums, of which the judge prefers now the one, now the other."""
    rows = [
        {"prompt": f"What is {at} + 0?", "gold": str(at), "model": "m", "text": rf"\boxed{{{at + wrong}}}", "score": score}
        for at in range(2 * n)
        for wrong, score in ((0, 0.0), (1, 1.0 if at % 2 else -1.0))
    ]
    (folder / "math.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def built(folder: Path, options: Options | None = None, scored: bool = True, **sections: Any) -> Heard:
    columns = {"prompt_id": "id", **({"score": "score"} if scored else {})}
    source = {"type": "responses", "path": "answers.jsonl", "columns": columns, **({"judge": "x"} if scored else {})}
    recipe = parse({"domain": "instruct", "sources": [source], **sections}, "r.yaml", folder)
    heard = Heard()
    heard.warnings += build(recipe, folder / "run", options or Options(), heard).warnings
    return heard


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_answers(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def once_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose selection was changed: no pair is left."""
    folder = tmp_path_factory.mktemp("set")
    write_answers(folder)
    built(folder)
    assert margins(folder) == {3.0}
    reselect(folder / "run", ["select.margin=[5, 9]"], Heard())
    assert margins(folder) == set()
    return folder


@pytest.fixture
def changed(once_set: Path, tmp_path: Path) -> Path:
    """A folder of the test's own with that run."""
    shutil.copytree(once_set, tmp_path, dirs_exist_ok=True)
    return tmp_path


def margins(folder: Path) -> set[float]:
    with Run.open(folder / "run") as run:
        return set(run.frame("pairs")["margin"])


# --------------------------------------------------------------------------------------------------- select, then build


def test_a_build_keeps_what_select_has_set_and_prints_it_for_the_recipe(changed: Path) -> None:
    reselect(changed / "run", ["limits.min_pairs=0"], Heard())
    again = built(changed)
    [said] = [text for text in again.warnings if text.startswith(KEPT)]
    assert said.endswith("select: {margin: [5.0, 9.0]}\nlimits: {min_pairs: 0}") and margins(changed) == set()
    assert [text for text in built(changed).warnings if text.startswith(KEPT)], "the third build says it, too"


def test_recipe_select_goes_back_to_the_recipe(changed: Path) -> None:
    assert not any(text.startswith(KEPT) for text in built(changed, Options(recipe_select=True)).warnings)
    assert margins(changed) == {3.0}
    assert not any(text.startswith(KEPT) for text in built(changed).warnings), "and stays there"


def test_a_changed_recipe_wins_in_words(changed: Path) -> None:
    heard = built(changed, select={"margin": [0.5, 9.0]})
    [said] = [text for text in heard.warnings if "have changed, and replace" in text]
    assert said.endswith("select: {margin: [5.0, 9.0]}") and margins(changed) == {3.0}


def test_setting_what_the_recipe_says_anyway_is_nothing_to_keep(changed: Path) -> None:
    reselect(changed / "run", ["select.margin=null"], Heard())
    with Run.open(changed / "run") as run:
        assert run.own_selection() is None
    assert not any(text.startswith(KEPT) for text in built(changed).warnings)


# -------------------------------------------------------------------------------------------------------- other surprises


LIMITED = (
    "8 of the 12 prompts of this run are beyond --limit 4, and out of its dataset; their answers stay, and come back with a"
)
SHORTER = (
    "9 of the 12 prompts of this run are not in the recipe any more, and out of its dataset; their answers stay, and come back"
)


def test_a_limit_on_a_larger_run_is_said(folder: Path) -> None:
    """At once, in a dry run, and once more where the build ends, with what there was before; and it is undone by a build."""
    said_of = {name: [text for text in built(folder, options).warnings if LIMITED in text] for name, options in LIMITS.items()}
    planned = Heard()
    with Run.open(folder / "run") as run:
        plan(run.recipe(), folder / "run", Options(limit=4), planned)
    assert said_of["whole"] == said_of["larger"] == said_of["again"] == said_of["whole again"] == []
    at_once, at_the_end = said_of["limit"]
    assert at_once.startswith(LIMITED) and at_the_end.startswith(f"0 demos (0 before) and 4 pairs (12 before): {LIMITED}")
    assert at_once in planned.warnings
    with Run.open(folder / "run") as run:
        assert run.frame("prompts")["dropped"].null_count() == N == run.frame("pairs").height


LIMITS = {
    "whole": Options(),
    "larger": Options(limit=2 * N),
    "limit": Options(limit=4),
    "again": Options(limit=4),
    "whole again": Options(),
}


def test_fewer_prompts_are_said(folder: Path) -> None:
    """Also by a build that goes on where one was killed that had read them."""
    built(folder)
    write_answers(folder, n=3)
    assert [text for text in built(folder, Options("collect")).warnings if text.startswith(SHORTER)]
    heard = built(folder)
    assert heard.warnings[-1].startswith(f"0 demos (0 before) and 3 pairs (12 before): {SHORTER}")
    assert "0 demos for SFT, 3 pairs for DPO (before: 0 and 12)" in heard.said
    again = built(folder)
    assert not any(SHORTER in text for text in again.warnings) and "0 demos for SFT, 3 pairs for DPO" in again.said
    write_answers(folder, n=N)
    assert "0 demos for SFT, 12 pairs for DPO (before: 0 and 3)" in built(folder).said


def test_a_folder_with_something_else_in_it_is_no_run(folder: Path) -> None:
    (folder / "run").mkdir()
    (folder / "run" / "thesis.tex").write_text("x")
    with pytest.raises(RunError, match="is not a run folder, and not empty"):
        built(folder)
    assert [path.name for path in (folder / "run").iterdir()] == ["thesis.tex"]
    (folder / "run" / "thesis.tex").unlink()
    built(folder)  # an empty folder may be given


def test_a_file_is_no_run(folder: Path) -> None:
    (folder / "run").write_text("x")
    with pytest.raises(RunError, match="is a file"):
        built(folder)


@pytest.mark.parametrize("allowed", [False, True])
def test_what_nothing_has_looked_at_becomes_a_demo_only_where_it_may(folder: Path, allowed: bool) -> None:
    write_answers(folder, scored=False)
    heard = built(folder, scored=False, select={"allow_unjudged": allowed}, limits={"min_pairs": None})
    with Run.open(folder / "run") as run:
        assert (run.frame("demos").height, run.frame("pairs").height) == (N if allowed else 0, 0)
    assert any(text.startswith("neither a verifier nor a judge looks at the answers") for text in heard.warnings)
    card = (folder / "run" / "sft" / "README.md").read_text()
    assert "one is taken by a stable hash" in card and ("so none of them is a demo" in card) != allowed


def test_a_build_ends_with_the_warnings_of_inspect(folder: Path) -> None:
    heard = built(folder, select={"margin": {"quantiles": [0.0, 0.5]}})
    assert inspect(folder / "run").warnings == heard.warnings[-len(inspect(folder / "run").warnings) :] != []


def test_quantiles_that_begin_below_zero_are_said(folder: Path) -> None:
    """Answers that are right by the verifier, and that the judge scores lower than wrong ones."""
    write_sums(folder, 6)
    source = {"type": "responses", "path": "math.jsonl", "columns": {"reference": "gold", "score": "score"}, "judge": "x"}
    recipe: dict[str, Any] = {"domain": "math", "sources": [source], "verify": {"workers": 1}}
    recipe["select"] = {"margin": {"quantiles": [0.0, 0.9]}}
    warnings = build(parse(recipe, "r", folder), folder / "run", Options(), Heard()).warnings
    assert any("begin at -1" in text for text in warnings)
    assert not any("coin" in text for text in warnings), "twelve comparisons say nothing of a judge"


def test_a_judge_like_a_coin_is_said_with_its_interval_and_can_be_held(folder: Path) -> None:
    write_sums(folder, 15)
    source = {"type": "responses", "path": "math.jsonl", "columns": {"reference": "gold", "score": "score"}, "judge": "x"}
    recipe = {"domain": "math", "sources": [source], "verify": {"workers": 1}, "limits": {"min_judge_accuracy": 0.6}}
    build(parse(recipe, "r", folder), folder / "run", Options(), Heard())
    report = inspect(folder / "run")
    low, high = wilson(15 / 30, 30)
    assert any("no better than a coin" in text and f"{low:.2f} to {high:.2f}" in text for text in report.warnings)
    [held] = [limit for limit in report.limits if limit.name == "min_judge_accuracy"]
    assert (held.value, held.ok, report.ok) == (0.5, False, False)


def test_pairs_first_that_leaves_no_demos_is_said(folder: Path) -> None:
    write_answers(folder, n=60)
    assert any("leaves next to nothing for SFT" in text for text in built(folder).warnings)
    shared = reselect(folder / "run", ["select.split=share", "select.sft_share=0.4"], Heard())
    assert (shared.exported["sft"], shared.exported["dpo"]) == (24, 36) and shared.warnings == []


def test_commands_in_hints_can_be_pasted() -> None:
    assert command("select", Path("my runs/it's")) == """datakit select 'my runs/it'"'"'s'"""
    with pytest.raises(RunError, match=r"make one with: datakit build --out 'no such/run'"):
        Run.open(Path("no such/run"))
