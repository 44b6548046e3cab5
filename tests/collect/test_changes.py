"""What a second build of one run folder may change: another dataset does not take the place of the one that is there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from datakit.check.problems import check
from datakit.errors import RunError
from datakit.options import Options
from datakit.recipe import Recipe, parse
from datakit.stages import build
from datakit.store import Run
from datakit.tables import Rows
from tests.helpers.monitors import Heard


def recipe_of(folder: Path, files: dict[str, Rows], prompts: Rows | None = None, **changes: Any) -> Recipe:
    for name, rows in files.items():
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    given: dict[str, Any] = {}
    if prompts is not None:
        (folder / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in prompts))
        given["prompts"] = [{"type": "file", "path": "prompts.jsonl"}]
    sources = [{"type": "responses", "path": name} for name in files]
    values = {"domain": "math", "sources": sources, "verify": {"workers": 1}, "select": {"margin": None}, **given, **changes}
    return parse(values, "r.yaml", folder)


def answers(model: str, *at: int) -> Rows:
    return [{"prompt_id": f"p{i}", "prompt": f"{i} + 1?", "reference": str(i + 1), "model": model, "text": "2"} for i in at]


OTHER_PROMPTS = "prompts: none of the 2 in the run is in the recipe"
OTHER_SOURCES = "sources: none of those that have answered (a, b) is in the recipe"
CHANGES: list[tuple[str, dict[str, Rows], list[str]]] = [
    ("all prompts are others", {"a.jsonl": answers("a", 7, 8), "b.jsonl": answers("b", 7)}, [OTHER_PROMPTS]),
    ("all sources are others", {"a.jsonl": answers("c", 0, 1)}, [OTHER_SOURCES]),
    ("all of both", {"a.jsonl": answers("c", 7, 8)}, [OTHER_PROMPTS, OTHER_SOURCES]),
    ("a prompt more", {"a.jsonl": answers("a", 0, 1, 2), "b.jsonl": answers("b", 0)}, []),
    ("one prompt is left, beside others", {"a.jsonl": answers("a", 1, 7, 8), "b.jsonl": answers("b", 8)}, []),
    ("a source less", {"a.jsonl": answers("a", 0, 1)}, []),
    ("a source for another", {"a.jsonl": answers("a", 0, 1), "b.jsonl": answers("c", 0)}, []),
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    build(recipe_of(folder, {"a.jsonl": answers("a", 0, 1), "b.jsonl": answers("b", 0)}), folder / "run", Options(), Heard())
    return folder


@pytest.mark.parametrize(("files", "said"), [change[1:] for change in CHANGES], ids=[change[0] for change in CHANGES])
def test_another_dataset_needs_another_folder(made: Path, files: dict[str, Rows], said: list[str]) -> None:
    """`collect` would be the first stage to change it; with --resample the words are a wish."""
    recipe = recipe_of(made, files)
    if not said:
        build(recipe, made / "run", Options("collect"), Heard())
        build(recipe_of(made, {"a.jsonl": answers("a", 0, 1), "b.jsonl": answers("b", 0)}), made / "run", Options(), Heard())
        return
    with Run.open(made / "run") as run:
        before = run.query("SELECT * FROM prompts").rows()
    with pytest.raises(RunError) as stopped:
        build(recipe, made / "run", Options("collect"), Heard())
    assert [line.strip() for line in str(stopped.value).splitlines()[1:-1]] == said
    assert "give another --out, or go on with --resample" in str(stopped.value)
    with Run.open(made / "run") as run:
        assert run.query("SELECT * FROM prompts").rows() == before


def test_a_limit_that_reads_other_prompts_is_named(made: Path) -> None:
    """Prompts were put in front of those that the run has."""
    recipe = recipe_of(made, {"a.jsonl": answers("a", 7, 8, 0, 1), "b.jsonl": answers("b", 0)})
    with pytest.raises(RunError) as stopped:
        build(recipe, made / "run", Options("collect", limit=2), Heard())
    limited = "in the first 2 prompts of the recipe, and --limit reads no more"
    assert f"prompts: none of the 2 in the run is {limited}" in str(stopped.value)
    with pytest.raises(RunError) as stopped:  # here the limit leaves nothing out
        build(recipe_of(made, {"a.jsonl": answers("a", 7, 8)}), made / "run", Options("collect", limit=3), Heard())
    assert OTHER_PROMPTS in str(stopped.value)


def test_resample_goes_on_with_another_dataset(tmp_path: Path) -> None:
    build(recipe_of(tmp_path, {"a.jsonl": answers("a", 0)}), tmp_path / "run", Options("collect"), Heard())
    build(recipe_of(tmp_path, {"a.jsonl": answers("c", 7)}), tmp_path / "run", Options("collect", resample=True), Heard())
    with Run.open(tmp_path / "run") as run:
        assert run.query("SELECT prompt_id FROM prompts WHERE dropped IS NULL").rows() == [("p7",)]


KEPT_ONCE = "with the messages of an earlier one and another reference; the first one counts (the first: prompts.jsonl: line"
GOLDS: list[tuple[list[tuple[str, str]], str | None]] = [
    ([("12 * 12?", "144"), ("1?", "1"), ("12 * 12?", "145")], f"1 prompt {KEPT_ONCE} 3)"),
    ([("12 * 12?", "144"), ("12 * 12?", "144"), ("12 * 12?", "145"), ("1?", "1"), ("1?", "2")], f"2 prompts {KEPT_ONCE} 3)"),
    ([("12 * 12?", "144"), ("12 * 12?", "145"), ("12 * 12?", "145")], f"1 prompt {KEPT_ONCE} 2)"),
    ([("12 * 12?", "144"), ("12 * 12?", "144")], None),
    ([("12 * 12?", "144"), ("12 * 13?", "145")], None),
]


@pytest.mark.parametrize(("rows", "said"), GOLDS)
def test_two_golds_of_one_question_are_said(tmp_path: Path, rows: list[tuple[str, str]], said: str | None) -> None:
    prompts: Rows = [{"prompt": question, "reference": gold} for question, gold in rows]
    recipe = recipe_of(tmp_path, {"a.jsonl": answers("a", 0)}, prompts)
    built, checked = Heard(), Heard()
    build(recipe, tmp_path / "run", Options("collect"), built)
    check(recipe, None, checked)
    for heard in (built, checked):
        assert [warning for warning in heard.warnings if "another reference" in warning] == ([] if said is None else [said])


def test_a_row_without_a_text_is_no_failure_to_try_again(tmp_path: Path) -> None:
    rows = answers("a", 0, 1)
    heard = Heard()
    done = build(recipe_of(tmp_path, {"a.jsonl": [*rows, rows[0] | {"text": None}]}), tmp_path / "run", Options(), heard)
    assert "imported rows without a text: 1; they are failures, and no answers" in done.warnings
    assert not any("retry-failures" in warning for warning in done.warnings)
