"""The fusion demonstration: what it measures on is held out, and its tables say what the values say."""

from __future__ import annotations

import importlib
import json
import math
import re
from collections import Counter
from typing import Any

import polars as pl
import pytest

from datakit.evaluation.models import read_models
from datakit.recipe import LocalSource, load
from tests.helpers.folders import ROOT


@pytest.fixture(scope="module")
def tables() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        yield importlib.import_module("fusion_table")


def problems(name: str) -> list[dict[str, str]]:
    lines = (ROOT / "data" / "fusion" / name).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def lab(tables) -> Any:
    return importlib.import_module("fusion_lab")


def test_an_evaluation_takes_the_name_of_every_ablation(lab, tmp_path):
    """And Polars reads every file of one: brackets in a path are a pattern to it."""
    ablating = importlib.import_module("ablating")
    names = {ablating._file_name(row, cell.name, "1") for row, cells in ablating.ROWS.items() for cell in cells}
    places = {ablating._file_name("scored", *cell.select.values()) for cells in ablating.ROWS.values() for cell in cells}
    assert all(re.fullmatch(r"[\w.-]+", name) for name in names | places)
    given = lab.Lab(tmp_path).given({name: tmp_path / name for name in names})
    assert {model.name for model in read_models(given, None, None)} == names


def test_in_the_second_round_the_sources_are_called_as_in_the_first(lab, tmp_path):
    """So that none of them is asked again, and the target alone is new."""
    (tmp_path / "sft-2").mkdir()
    first, second = load(lab.RECIPES / "sources.yaml"), load(lab.Lab(tmp_path).second_recipe(2))
    *sources, target = second.sources
    assert isinstance(target, LocalSource) and target.location == tmp_path / "sft-2" and second.select.target == target.model
    assert sources == first.sources
    assert [one.location for one in sources if isinstance(one, LocalSource)] == [lab.MODELS / name for name in lab.SOURCES]
    assert second.select.model_copy(update={"target": None}) == first.select


def test_a_copied_run_is_whole_or_not_there(lab, tmp_path):
    one = lab.Lab(tmp_path)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "file").write_text("x")
    (tmp_path / "copy.part").mkdir()  # of a copy that was interrupted
    (tmp_path / "copy.part" / "half").touch()
    assert [file.name for file in one.copy("run", "copy").iterdir()] == ["file"] and not (tmp_path / "copy.part").exists()


def test_the_problems_that_measure_are_none_of_those_that_teach():
    taught, held_out = problems("problems.jsonl"), problems("unseen.jsonl")
    asked = {problem["question"] for problem in held_out}
    assert len(asked) == len(held_out) == 600 and len({problem["question"] for problem in taught}) == 3_000
    assert not asked & {problem["question"] for problem in taught}
    assert Counter(problem["kind"] for problem in held_out) == dict.fromkeys({problem["kind"] for problem in taught}, 50)


def test_all_micro_models_together_are_small():
    """A clone and a wheel carry them."""
    folders = [file.parent for file in (ROOT / "data" / "micro").glob("*/config.json")]
    assert len(folders) == 17
    assert sum(file.stat().st_size for folder in folders for file in folder.iterdir()) < 24_000_000


def values(**of_models: list[float]) -> pl.DataFrame:
    """The same in both ways of asking."""
    frames = [
        pl.DataFrame({"prompt_id": ["a", "b", "c", "d"], "kind": ["x", "x", "y", "y"], "value": right}).with_columns(
            name=pl.lit(name), benchmark=pl.lit(benchmark)
        )
        for name, right in of_models.items()
        for benchmark in ("fusion_greedy", "fusion_sampled")
    ]
    return pl.concat(frames)


def test_a_difference_is_paired_over_the_means_of_the_seeds(tables):
    """By hand: the problems' differences are 1, 0.5, 0, 0, their mean 0.375, their standard error sqrt(0.229167 / 4)."""
    found = values(new1=[1, 1, 1, 0], new2=[1, 0, 1, 0], old=[0, 0, 1, 0])
    new, old = tables.Row("new", ["new1", "new2"]), tables.Row("old", ["old"])
    difference = tables.difference(found, "fusion_greedy", new, old)
    assert difference.points == pytest.approx(37.5) and difference.by_seed == pytest.approx([50.0, 25.0])
    assert difference.error == pytest.approx(100 * math.sqrt(0.229167 / 4), abs=1e-3)
    assert "| new over old | +37.5 ± 23.9 (+50.0, +25.0) | +37.5 ± 23.9 (+50.0, +25.0) |" in tables.differences(
        found, [(new, old)]
    )


def test_the_table_has_means_and_what_each_seed_gave(tables):
    found = values(new1=[1, 1, 1, 0], new2=[1, 0, 1, 0], old=[0, 0, 1, 0])
    told = tables.scores(found, [tables.Row("new", ["new1", "new2"]), tables.Row("old", ["old"])])
    assert "| new | 62.5 | 75.0, 50.0 | 62.5 | 75.0, 50.0 |" in told and "| old | 25.0 |  | 25.0 |  |" in told
    by_kind = tables.kinds(found, [tables.Row("new", ["new1", "new2"]), tables.Row("old", ["old"])])
    assert "| x | 75 | 0 |" in by_kind and "| y | 50 | 50 |" in by_kind


def test_the_plot_is_an_image_that_stands_alone(tables, tmp_path):
    pytest.importorskip("vl_convert")
    rows = [tables.Row("new", ["new1", "new2"]), tables.Row("old", ["old"])]
    tables.plot(values(new1=[1, 1, 1, 0], new2=[1, 0, 1, 0], old=[0, 0, 1, 0]), rows, tmp_path / "plot.svg")
    text = (tmp_path / "plot.svg").read_text(encoding="utf-8")
    assert (
        text.startswith("<svg")
        and "new" in text
        and "greedy" in text
        and "http://" not in text.replace("http://www.w3.org", "")
    )
