"""A run folder that version 0.1 wrote (4 problems of the demo, 80 answers) stays readable, and a build goes on with it."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest

from datakit.audit.inspect import inspect
from datakit.options import Options
from datakit.stages import build, reselect
from datakit.store import Run
from datakit.tables import TABLES
from tests.helpers.folders import ROOT
from tests.helpers.monitors import Heard

OLD = ROOT / "tests" / "fixtures" / "run-0.1"
GROWING = ("responses", "verdicts", "scores", "failures")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A copy whose recipe starts from this project's recipes."""
    copy = shutil.copytree(OLD, tmp_path / "run")
    values = json.loads((copy / "recipe.json").read_text())
    (copy / "recipe.json").write_text(json.dumps(values | {"folder": str(ROOT / "recipes")}))
    return copy


def alike(found: Any, wanted: Any) -> bool:
    """Equal, but for the last digits of sums."""
    if isinstance(wanted, dict):
        return found.keys() >= wanted.keys() and all(alike(found[key], value) for key, value in wanted.items())
    if isinstance(wanted, list):
        return len(found) == len(wanted) and all(map(alike, found, wanted))
    return math.isclose(found, wanted, rel_tol=1e-9) if isinstance(wanted, float) else bool(found == wanted)


def rows_of(folder: Path) -> dict[str, list[tuple[Any, ...]]]:
    with Run.open(folder) as opened:
        return {table: sorted(opened.frame(table).select(TABLES[table].key).rows()) for table in TABLES}


def test_its_report_is_the_one_of_then(run: Path) -> None:
    wanted = json.loads((OLD.parent / "run-0.1.inspect.json").read_text())
    found = inspect(run).as_json()
    for report in (wanted, found):
        report["run"] = {name: value for name, value in report["run"].items() if name not in ("folder", "recipe", "select")}
        for judge in report["judges"]:
            for scores in (judge, *judge["sources"]):
                scores.pop("score_histogram")  # its ends were those of answers that were counted twice, by source and over all
    assert set(wanted.pop("warnings")) <= set(found.pop("warnings")), "more may be warned of today"
    assert {name: found[name] for name, value in wanted.items() if not alike(found[name], value)} == {}


def test_a_build_goes_on_with_it_and_asks_for_nothing(run: Path) -> None:
    before = rows_of(run)
    with Run.open(run) as opened:
        recipe = opened.recipe()
    summary = build(recipe, run, Options(limit=4), Heard())
    after = rows_of(run)
    assert {table: after[table] for table in GROWING if not set(before[table]) <= set(after[table])} == {}
    assert after["responses"] == before["responses"] and after["scores"] == before["scores"]
    assert (summary.failures, summary.stopped) == ([], [])
    assert summary.exported == {"sft": len(after["demos"]), "dpo": len(after["pairs"])}


def test_another_rule_selects_in_it(run: Path) -> None:
    with Run.open(run) as opened:
        n_pairs = opened.frame("pairs").height
    summary = reselect(run, ["select.margin=null"], Heard())
    assert summary.exported["dpo"] >= n_pairs
    with Run.open(run) as opened:
        assert opened.recipe().select.margin is None
