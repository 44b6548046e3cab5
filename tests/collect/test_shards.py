"""Builds in shards, merged, are the undivided build row for row; what are no shards of one build is told apart and named."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from datakit.errors import BadInput
from datakit.options import Options, Shard
from datakit.recipe import parse
from datakit.stages import build, merge
from datakit.store import Flags, Run
from tests.helpers.command import datakit, write_recipe
from tests.helpers.fake_endpoint import Fake, running
from tests.helpers.fake_logprobs import MICRO, reader
from tests.helpers.monitors import Heard

N = 12
ASKED = "SELECT DISTINCT prompt_id FROM responses ORDER BY 1"


def write_prompts(path: Path, n: int = N) -> Path:
    """The last two ask the same."""
    rows = [{"id": f"p{at:02}", "question": f"What is {min(at, n - 2)} + 1?"} for at in range(n)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def recipe_of(url: str, prompts: Path, temperature: float = 0.8) -> dict[str, Any]:
    source = {"type": "endpoint", "model": "fake/one", "base_urls": [url], "n": 3, "sampling": {"temperature": temperature}}
    columns = {"prompt_id": "id", "prompt": "question"}
    return {
        "domain": "instruct",
        "prompts": [{"type": "file", "path": str(prompts), "columns": columns}],
        "sources": [source | {"tokenizer": str(MICRO / "qwen2")}],
        "score": None,
        "probe": {"by": "author", "top_k": 2},  # what comes with samples is merged, too
    }


@pytest.fixture(scope="module")
def fake() -> Iterator[Fake]:
    with running(Fake(models=("fake/one",))) as fake:
        fake.fault = reader(fake=fake)
        yield fake


@pytest.fixture(scope="module")
def shards(fake: Fake, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an undivided run (whole), its recipe, and three shards in the run that they will be (run/shards/I), each
    with a mirror (mirror/shards/I)."""
    folder = tmp_path_factory.mktemp("shards")
    recipe = write_recipe(folder / "r.yaml", recipe_of(fake.url, write_prompts(folder / "p.jsonl")))
    whole = datakit("build", "--recipe", recipe, "--out", folder / "whole", "--until", "sample")
    assert whole.returncode == 0, whole.stderr
    mirrored = {"mirror": f"file://{folder}/mirror"}
    recipe = write_recipe(folder / "mirrored.yaml", recipe_of(fake.url, folder / "p.jsonl") | mirrored)
    for at in range(3):
        out = folder / "run" / "shards" / str(at)
        done = datakit("build", "--recipe", recipe, "--until", "sample", "--shard", f"{at}/3", "--out", out)
        assert done.returncode == 0 and "prompts in other shards" in done.stderr, done.stderr
    return folder


def table(folder: Path, name: str) -> pl.DataFrame:
    """Its rows without what tells when and how long."""
    with Run.open(folder) as run:
        frame = run.frame(name)
    return frame.drop("created_at", "latency_s", "request_id", strict=False).sort(pl.all().exclude(pl.List(pl.Struct)))


def test_each_prompt_is_asked_in_one_shard_with_those_that_ask_the_same(shards: Path) -> None:
    asked = [table(shards / "run" / "shards" / str(at), "prompts").filter(pl.col("dropped").is_null()) for at in range(3)]
    ids = [frame["prompt_id"].to_list() for frame in asked]
    assert sorted(one for some in ids for one in some) == [f"p{at:02}" for at in range(N)] and all(ids)
    assert any({"p10", "p11"} <= set(some) for some in ids)


def test_mirrors_of_shards_have_places_of_their_own(shards: Path, tmp_path: Path) -> None:
    for at in range(2):
        pulled = datakit("pull", f"file://{shards}/mirror/shards/{at}", tmp_path / str(at))
        assert pulled.returncode == 0, pulled.stderr
        for name in ("prompts", "responses", "distributions"):
            assert_frame_equal(table(tmp_path / str(at), name), table(shards / "run" / "shards" / str(at), name))
    assert "mirror" not in json.loads((tmp_path / "0" / "recipe.json").read_text())["recipe"]
    planned = datakit("build", "--recipe", shards / "mirrored.yaml", "--out", tmp_path / "none", "--dry-run")
    assert f"mirror: file://{shards}/mirror" in planned.stderr


def test_merged_they_are_the_undivided_run(shards: Path, fake: Fake) -> None:
    places = [shards / "run" / "shards" / str(at) for at in range(3)]
    n_asked = fake.n_requests
    done = datakit("merge", shards / "run", *places)
    assert done.returncode == 0 and "33 responses, 33 distributions, of 3 shards" in done.stderr, done.stderr
    assert_frame_equal(table(shards / "run", "responses"), table(shards / "whole", "responses"))
    assert_frame_equal(table(shards / "run", "prompts"), table(shards / "whole", "prompts"))
    read = [table(shards / name, "distributions").sort("text_id") for name in ("run", "whole")]
    assert len(read[0]) == 33 and read[0].equals(read[1])
    again = datakit("merge", shards / "run", *reversed(places))
    assert again.returncode == 0 and "nothing new, of 3 shards" in again.stderr
    built = datakit("build", "--recipe", shards / "r.yaml", "--out", shards / "run")
    assert built.returncode == 0 and fake.n_requests == n_asked, built.stderr


def test_what_is_merged_later_is_added_and_what_is_missing_is_said(shards: Path, tmp_path: Path) -> None:
    first, *others = [shards / "run" / "shards" / str(at) for at in range(3)]
    Flags(first).add([{"target": "prompt", "prompt_id": "p00", "flag": "note", "note": "odd", "who": "ann"}])
    heard = Heard()
    n_first = len(table(first, "responses"))
    assert merge(tmp_path / "run", [first], heard).added["responses"] == n_first
    [said] = heard.warnings
    assert said.endswith(f"are not among these; the next build of {tmp_path / 'run'} asks them")
    merged = merge(tmp_path / "run", others, Heard())
    assert (merged.added["responses"], merged.lacking) == (33 - n_first, 0)
    assert_frame_equal(table(tmp_path / "run", "responses"), table(shards / "whole", "responses"))
    assert table(tmp_path / "run", "flags")["note"].to_list() == ["odd"]


def test_what_every_shard_imports_is_in_the_merged_run_once(tmp_path: Path) -> None:
    """Answers that exist already, with their scores, and one without a text, which is a failure."""
    texts = ("", "so", "or so")
    rows = [
        {"prompt": f"What is {at} + 1?", "model": "m", "text": text, "score": score}
        for at in range(N)
        for score, text in enumerate(texts)
    ]
    (tmp_path / "r.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = {"type": "responses", "path": "r.jsonl", "judge": "given"}
    recipe = write_recipe(tmp_path / "r.yaml", {"domain": "instruct", "sources": [source], "select": {"margin": None}})
    for at in range(3):
        datakit("build", "--recipe", recipe, "--out", tmp_path / str(at), "--until", "sample", "--shard", f"{at}/3")
    merged = datakit("merge", tmp_path / "run", *(tmp_path / str(at) for at in range(3)))
    assert f"{2 * N} responses, " in merged.stderr and f", {2 * N} scores, of 3 shards" in merged.stderr
    for run in ("run", "whole"):
        done = datakit("build", "--recipe", recipe, "--out", tmp_path / run)
        assert done.returncode == 0, done.stderr
    for name in ("responses", "scores", "prompts", "pairs", "current_failures"):
        found, undivided = (table(tmp_path / run, name).drop("at", strict=False) for run in ("run", "whole"))
        assert found.height >= N - 2 and found.equals(undivided), name


def built(folder: Path, recipe: dict[str, Any], **options: Any) -> Path:
    build(parse(recipe, "r.yaml", folder.parent), folder, Options(until="sample", **options), Heard())
    return folder


def test_what_are_no_shards_of_one_build_is_named(shards: Path, fake: Fake, tmp_path: Path) -> None:
    first, second = (shards / "run" / "shards" / str(at) for at in range(2))
    warmer = built(tmp_path / "warmer", recipe_of(fake.url, shards / "p.jsonl", temperature=1.0), shard=Shard(1, 3))
    more = built(tmp_path / "more", recipe_of(fake.url, write_prompts(tmp_path / "q.jsonl", N + 1)), shard=Shard(1, 3))
    halves = built(tmp_path / "half", recipe_of(fake.url, shards / "p.jsonl"), shard=Shard(1, 2))
    out = tmp_path / "run"
    for places, said in (
        ([first, second, first], f"{first}: given twice"),
        ([first, shards / "run" / "shards" / "." / "0"], f"{first}: given twice"),
        ([first, tmp_path / "none"], "none: not a run folder"),
        ([first, warmer], f"{warmer}: made by another recipe than {first}:\n  sources.0.sampling:"),
        ([first, more], "they are shards of different prompts"),
        ([second, halves], f"{second} and {halves} overlap: both ask "),
        ([first, shards / "whole"], f"{first} and {shards / 'whole'} overlap: both ask "),
    ):
        done = datakit("merge", out, *places)
        assert done.returncode == 2 and said in done.stderr, done.stderr
        assert not out.exists()
    done = datakit("merge", shards / "whole", first, warmer)
    assert done.returncode == 2 and "made by another recipe" in done.stderr
    assert datakit("merge", first, first, second).returncode == 2


@pytest.mark.parametrize("text", ["4/4", "-1/4", "1", "a/b", "1/0", "0/4/2", ""])
def test_a_shard_is_one_of_n_from_zero(text: str) -> None:
    with pytest.raises(BadInput, match="the first of four as 0/4 and the last as 3/4"):
        Shard.parse(text)


def test_pairs_are_not_selected_in_a_shard() -> None:
    with pytest.raises(BadInput, match="give --until sample"):
        Options(shard=Shard(0, 4))
