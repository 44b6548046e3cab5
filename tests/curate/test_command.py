"""Curation in a build: reasons in their order, evidence, deciding anew without a model, limits of kept prompts, the command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from datakit.collect.begin import begin
from datakit.curate import curator
from datakit.domains import domain_of
from datakit.options import Options
from datakit.recipe import load
from datakit.store import Run
from tests.helpers.command import datakit, rows_of, write_recipe
from tests.helpers.fake_endpoint import Fake, running

ITEM = "A gardener plants 14 rows of 9 tulips and 6 rows of 12 roses. How many flowers does the gardener plant in all?"
PROMPTS = {
    "a": "What is 3 + 4 when you count on your fingers in the kitchen?",
    "b": "what is 3 + 4, when you count on your fingers in the kitchen",
    "c": "What is 3 + 4 when you count on your toes in the kitchen?",
    "d": "Short",
    "e": f"Help me, please: {ITEM}",
    "f": "What is 9 + 9 for somebody who has never heard of any number before in life?",
    "g": "What is 5 + 1 in a country where nobody has ever been taught to add at all?",
}
REFERENCES = {"a": "7", "b": "7", "c": "7", "d": "1", "e": "198", "f": "18", "g": "6"}
CURATE: dict[str, Any] = {
    "filters": {"characters": {"min": 10}},
    "duplicates": {"near": 0.5},
    "decontaminate": ["items.jsonl"],
}


def write_inputs(folder: Path) -> Path:
    rows = [{"id": id, "q": text, "gold": REFERENCES[id], "level": at} for at, (id, text) in enumerate(PROMPTS.items())]
    (folder / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    items = [{"id": "i1", "text": ITEM}, {"id": "i2", "text": "Who wrote the book on the table in the hall of mirrors?"}]
    (folder / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in items))
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_inputs(tmp_path)


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was built until collect, and what that said beside it."""
    folder = write_inputs(tmp_path_factory.mktemp("collected"))
    done = datakit("build", "--recipe", recipe(folder, CURATE), "--out", folder / "run", "--until", "collect")
    assert done.returncode == 0, done.stderr
    (folder / "said.txt").write_text(done.stderr)
    return folder / "run"


def recipe(folder: Path, curate: dict[str, Any] | None, url: str = "http://127.0.0.1:9/v1") -> Path:
    columns = {"prompt_id": "id", "prompt": "q", "reference": "gold"}
    values: dict[str, Any] = {
        "domain": "math",
        "prompts": [{"type": "file", "path": "prompts.jsonl", "columns": columns}],
        "sources": [{"type": "endpoint", "model": "fake/one", "base_urls": [url], "n": 2, "sampling": {"max_tokens": 64}}],
        "verify": {"workers": 1},
        "select": {"margin": None},
    }
    return write_recipe(folder / "r.yaml", values | ({"curate": curate} if curate is not None else {}))


def dropped(run: Path) -> dict[str, str | None]:
    return {row["prompt_id"]: row["dropped"] for row in rows_of(run, "SELECT prompt_id, dropped FROM prompts ORDER BY 1")}


DECIDED = {"a": None, "b": "duplicate", "c": "near duplicate", "d": "filter: characters", "e": "contaminated: items"} | {
    "f": None,
    "g": None,
}


def test_reasons_and_their_evidence(collected: Path) -> None:
    assert dropped(collected) == DECIDED
    assert "1 prompt dropped: contaminated: items" in (collected.parent / "said.txt").read_text()
    found = {row["prompt_id"]: row for row in rows_of(collected, "select * from overlaps where reason not like 'near:%'")}
    assert {id: (row["reason"], row["met"]) for id, row in found.items()} == {
        "b": ("duplicate", "a"),
        "c": ("near duplicate", "a"),
        "d": ("filter: characters", "5"),
        "e": ("contaminated: items", "i1"),
    }
    assert found["b"]["share"] == 1 and 0.5 < found["c"]["share"] < 1 and found["e"]["share"] > 0.95
    assert found["e"]["text"].startswith("a gardener plants 14 rows") and "count on your" in found["c"]["text"]


def test_deciding_anew_asks_nothing_and_deletes_nothing(folder: Path) -> None:
    run = folder / "run"
    with running(Fake()) as fake:
        first = recipe(folder, CURATE, fake.url)
        assert datakit("build", "--recipe", first, "--out", run, "--until", "sample").returncode == 0
        assert rows_of(run, "SELECT DISTINCT prompt_id FROM responses ORDER BY 1") == [{"prompt_id": id} for id in "afg"]
        n_asked = fake.n_requests
        milder = {"filters": {"characters": {"min": 70}}}  # a, b, c, d go; e comes
        done = datakit("curate", "--recipe", recipe(folder, milder, fake.url), "--out", run)
        assert done.returncode == 0 and fake.n_requests == n_asked, done.stderr
        assert [id for id, reason in dropped(run).items() if reason is None] == ["e", "f", "g"]
        assert len(rows_of(run, "SELECT * FROM responses")) == 6, "those of a prompt that went are there"
        assert {row["prompt_id"] for row in rows_of(run, "SELECT prompt_id FROM current_responses")} == {"f", "g"}
        last = recipe(folder, None, fake.url)
        assert datakit("build", "--recipe", last, "--out", run, "--until", "sample").returncode == 0
        assert set(dropped(run).values()) == {None} and rows_of(run, "SELECT * FROM overlaps") == []
        assert fake.n_requests == n_asked + 4, "b, c, d and e are asked now, and nothing twice"


@pytest.mark.parametrize(("limit", "kept"), [(1, "a"), (2, "af"), (3, "afg"), (9, "afg")])
def test_a_limit_counts_prompts_that_are_kept(folder: Path, limit: int, kept: str) -> None:
    loaded = load(recipe(folder, CURATE))
    with Run.create(folder / "run") as run:
        prompts = begin(run, loaded, domain_of(loaded), Options(limit=limit), curator(loaded)).prompts
        found = pl.concat([frame for _, frame in prompts.frames(100)])
    assert "".join(found.filter(pl.col("dropped").is_null())["prompt_id"]) == kept
    assert found["prompt_id"].max() == (kept[-1] if limit <= 3 else "g"), "and no more are read"


def test_the_command_has_a_limit_too(folder: Path) -> None:
    done = datakit("curate", "--recipe", recipe(folder, CURATE), "--out", folder / "run", "--limit", 1)
    assert done.returncode == 0 and dropped(folder / "run") == {"a": None}


def test_a_dry_run_writes_nothing_and_shows_what_was_met(folder: Path) -> None:
    done = datakit("curate", "--recipe", recipe(folder, CURATE), "--dry-run", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "7 prompts before, 3 after (57% dropped)" in done.stdout and not (folder / "runs").exists()
    for said in ("- duplicate", "d: Short", "met i1, share 1.000", "in common: a gardener plants"):
        assert said in done.stdout
    shown = json.loads(datakit("curate", "--recipe", recipe(folder, CURATE), "--dry-run", "--json").stdout)
    assert (shown["before"], shown["after"]) == (7, 3) and sum(shown["nearest"]["counts"]) == 3
    assert {one["reason"]: one["prompts"] for one in shown["reasons"]} == {reason: 1 for reason in DECIDED.values() if reason}
    assert [one["met_prompt"] for one in shown["samples"] if one["reason"] == "near duplicate"] == [PROMPTS["a"]]


def test_inspect_shows_it_too(collected: Path) -> None:
    report = json.loads(datakit("inspect", collected, "--json").stdout)
    assert report["curation"]["after"] == 3 and report["tables"]["overlaps"] >= 4
    assert {"reason": "duplicate", "prompts": 1} in report["funnel"][1]["lost"]
    assert "kept prompts by the share of the nearest benchmark item" in datakit("inspect", collected).stdout
    assert not list(collected.glob(".scratch-*")) and not list(collected.glob("*/*.tmp"))


def test_all_dropped_is_a_warning(folder: Path) -> None:
    given = {"filters": {"characters": {"min": 1000}}}
    done = datakit("curate", "--recipe", recipe(folder, given), "--out", folder / "run")
    assert done.returncode == 0 and "curate drops every prompt" in done.stderr


def test_a_column_of_the_file_and_one_that_is_not_there(folder: Path) -> None:
    given = {"filters": {"columns": [{"column": "level", "max": 4}]}}
    assert datakit("curate", "--recipe", recipe(folder, given), "--out", folder / "run").returncode == 0
    assert {id for id, reason in dropped(folder / "run").items() if reason == "filter: level"} == {"f", "g"}
    given = {"filters": {"columns": [{"column": "levl", "max": 4}]}}
    done = datakit("curate", "--recipe", recipe(folder, given), "--out", folder / "other")
    assert done.returncode == 2 and "has anything in a column 'levl'" in done.stderr and not (folder / "other").exists()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"decontaminate": ["nothing.jsonl"]}, "nothing.jsonl: no such file"),
        ({"decontaminate": ["prompts.jsonl"]}, "no text in text; name the columns of prompts.jsonl"),
        ({"decontaminate": ["no-such-benchmark"]}, "no-such-benchmark: no such suite, benchmark or file"),
        ({"decontaminate": [{"texts": "q"}]}, "give one of benchmark, path and dataset"),
        ({"duplicates": {"near": 0.1}}, "greater than 0.3"),
        ({"filter": {}}, "did you mean 'filters'?"),
    ],
)
def test_what_cannot_be_is_said_before_a_run_is_made(folder: Path, given: dict[str, Any], said: str) -> None:
    done = datakit("curate", "--recipe", recipe(folder, given), "--out", folder / "run")
    assert done.returncode == 2 and said in done.stderr, done.stderr
    assert not (folder / "run").exists()


def test_a_benchmark_by_its_name_from_a_copy(folder: Path) -> None:
    """recipes/eval/gsm8k.yaml says where its items are; $DATAKIT_DATA has them."""
    copy = folder / "data" / "openai" / "gsm8k" / "main"
    copy.mkdir(parents=True)
    (copy / "test.jsonl").write_text(json.dumps({"question": ITEM, "answer": "#### 198"}) + "\n")
    (copy / "train.jsonl").write_text(json.dumps({"question": PROMPTS["f"], "answer": "#### 18"}) + "\n")
    path = recipe(folder, {"decontaminate": ["gsm8k"]})
    done = datakit("curate", "--recipe", path, "--out", folder / "run", env={"DATAKIT_DATA": str(folder / "data")})
    assert done.returncode == 0, done.stderr
    assert {id for id, reason in dropped(folder / "run").items() if reason} == {"e"}
