"""Texts read by a server: a whole build against a fake one, resumed, re-selected, and refused."""

import polars as pl
import pytest

from datakit.export import fusion
from datakit.probe.remote import read_answer
from tests.helpers.command import count, datakit, recipe_over, rows_of, write_problems, write_recipe
from tests.helpers.fake_endpoint import Fake, running
from tests.helpers.fake_logprobs import MICRO, logprob_of, reader

QWEN = str(MICRO / "qwen2")


def recipe_of(fake, folder, n=1, **sections):
    """Two models behind one URL, of one tokenizer."""
    problems = write_problems(folder / "p.jsonl", 8)
    recipe = recipe_over(fake.url, problems, n=2, tokenizer=QWEN, extra_body={"chat_template_kwargs": {"thinks": False}})
    recipe["sources"].append(recipe["sources"][0] | {"model": "fake/two", "system": "Be brief."})
    recipe |= {"score": None, "select": {"split": "hash", "sft_share": 1.0, "margin": None}}
    return recipe | {"probe": {"texts": "demos", "top_k": 3}, "export": {"teacher": "min_ce"}} | sections


def build(folder, recipe, *more):
    return datakit("build", "--recipe", write_recipe(folder / "r.yaml", recipe), "--out", folder / "run", *more)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("probed")
    with running(Fake(fault=reader())) as fake:
        done = build(folder, recipe_of(fake, folder))
        assert done.returncode == 0, done.stderr
        yield folder, fake, done.stderr


def test_every_model_reads_every_demo(built):
    folder, _, said = built
    demos = count(folder / "run", "demos")
    rows = rows_of(folder / "run", "SELECT * FROM distributions ORDER BY text_id, model")
    assert demos > 3 and len(rows) == 2 * demos and count(folder / "run", "failures") == 0
    assert {row["text_id"] for row in rows} == {row["response_id"] for row in rows_of(folder / "run", "SELECT * FROM demos")}
    for row in rows:
        n = len(row["token_ids"])
        assert len(row["ends"]) == len(row["token_logprobs"]) == n and len(row["top_ids"]) == len(row["top_logprobs"]) == 3 * n
        assert row["ends"][-1] == row["n_bytes"] and row["nll"] == pytest.approx(-sum(row["token_logprobs"]), abs=1e-4)
    assert '"top_k":3' in rows[0]["reading"] and '"system":"Be brief."' in rows[1]["reading"]
    assert "probe" in said and f"{folder / 'run' / 'fusion'}: {demos} texts" in said


def test_what_is_asked_for(built):
    _, fake, _ = built
    bodies = [body for body in fake.requests if "prompt_logprobs" in body]
    for body in bodies:
        asked = {name: body[name] for name in ("prompt_logprobs", "return_token_ids", "max_tokens", "add_generation_prompt")}
        assert asked == {"prompt_logprobs": 3, "return_token_ids": True, "max_tokens": 1, "add_generation_prompt": False}
        assert body["messages"][-1]["role"] == "assistant" and body["chat_template_kwargs"] == {"thinks": False}
        assert ("system" in body["messages"][0]["role"]) == (body["model"] == "fake/two")


def test_the_rows_are_those_of_the_answer(built):
    """The made-up log-probabilities of the tokens themselves, in their places of the whole conversation."""
    folder, fake, _ = built
    (row,) = rows_of(folder / "run", "SELECT * FROM distributions WHERE model = 'fake/one' ORDER BY text_id LIMIT 1")
    (text,) = rows_of(folder / "run", f"SELECT text FROM responses WHERE response_id = '{row['text_id']}'")
    body = next(b for b in fake.requests if "prompt_logprobs" in b and b["messages"][-1]["content"] == text["text"].strip())
    import json

    answer = json.loads(reader()(1, body).body)
    first = len(answer["prompt_token_ids"]) - 1 - len(row["token_ids"])  # behind the end of the turn comes a line end
    own = [logprob_of(id, first + at) if (first + at) % 2 else -9.0 for at, id in enumerate(row["token_ids"])]
    assert row["token_logprobs"] == pytest.approx(own, abs=1e-4)
    tops = [row["top_ids"][3 * at : 3 * at + 3] for at in range(len(own))]
    assert [id in top for id, top in zip(row["token_ids"], tops, strict=True)] == [
        bool((first + at) % 2) for at in range(len(own))
    ]


def test_a_second_build_reads_nothing(built):
    folder, fake, _ = built
    before = len(fake.requests)
    assert build(folder, recipe_of(fake, folder)).returncode == 0
    assert len(fake.requests) == before


def test_rows_stand_in_one_order_whenever_they_were_read(built, monkeypatch):
    """By prompt and response, as in sft/; also where many wait on disk for those that come before them."""
    folder, _, _ = built
    files = [folder / "run" / "fusion" / name for name in ("train.parquet", "vocabulary.parquet")]
    before = [pl.read_parquet(path) for path in files]
    keys = before[0].select("prompt_id", "response_id")
    assert keys.height > 6 and keys.equals(pl.read_parquet(folder / "run" / "sft" / "train.parquet").select(keys.columns))
    for part in (folder / "run").glob("*/part-*.parquet"):
        if part.parent.name in ("distributions", "readings"):
            pl.read_parquet(part).reverse().write_parquet(part)
    monkeypatch.setattr(fusion, "ROWS_AT_A_TIME", 3)
    assert datakit("select", folder / "run").returncode == 0
    assert all(pl.read_parquet(path).equals(rows) for path, rows in zip(files, before, strict=True))
    assert sorted(path.name for path in files[0].parent.iterdir()) == ["README.md", "manifest.json", *[p.name for p in files]]


@pytest.mark.slow
def test_what_a_reselection_brings_is_left_out_and_named(built):
    """All demos instead of one a prompt: those without distributions wait for a build; then all are there."""
    folder, fake, _ = built
    read = count(folder / "run", "demos")
    done = datakit("select", folder / "run", "--set", "select.demos_per_prompt=all", "--set", "export.teacher=author")
    demos = count(folder / "run", "demos")
    assert done.returncode == 0 and demos > read
    exported = pl.read_parquet(folder / "run" / "sft" / "train.parquet").select("prompt_id", "response_id")
    assert exported.equals(exported.sort("prompt_id", "response_id"))  # else trainings of two equal runs would differ
    assert f"fusion: {demos - read} texts left out that not all models have read yet" in done.stderr
    assert f"--out {folder / 'run'} --until probe" in done.stderr and f"fusion: {read} texts" in done.stderr
    before = len(fake.requests)
    again = build(folder, recipe_of(fake, folder))
    assert again.returncode == 0 and len(fake.requests) - before == 2 * (demos - read)
    datakit("select", folder / "run", "--set", "export.teacher=min_ce")
    assert f"fusion: {demos} texts" in datakit("select", folder / "run", "--set", "export.teacher=min_ce").stderr
    gone = datakit("select", folder / "run", "--set", "export.teacher=null")
    assert gone.returncode == 0 and not (folder / "run" / "fusion").exists()


def test_a_dry_run_says_what_would_be_read(built):
    folder, fake, _ = built
    import json

    recipe = recipe_of(fake, folder)
    for source in recipe["sources"]:
        source["price"] = {"input": 1.0, "output": 2.0}
    path = write_recipe(folder / "dry.yaml", recipe)
    new = json.loads(datakit("build", "--recipe", path, "--out", folder / "none", "--dry-run", "--json").stdout)
    assert [(one["model"], one["missing"], one["at_most"]) for one in new["readings"]] == [
        ("fake/one", 8, True),
        ("fake/two", 8, True),
    ]
    one = new["readings"][0]
    assert one["prompt_tokens"] > 8 and one["cost"] == pytest.approx((one["prompt_tokens"] + 2 * 8) / 1e6)
    there = json.loads(datakit("build", "--recipe", path, "--out", folder / "run", "--dry-run", "--json").stdout)
    assert [(one["missing"], one["at_most"]) for one in there["readings"]] == [(0, False)] * 2


@pytest.fixture
def fresh(tmp_path):
    with running(Fake(fault=reader())) as fake:
        yield tmp_path, fake


def test_what_cannot_be_read_is_a_failure_and_the_others_go_on(fresh):
    """A template that writes some texts otherwise; an author's own reading only."""
    folder, fake = fresh
    fake.fault = reader(rewrites="7")
    recipe = recipe_of(fake, folder, probe={"texts": "demos", "top_k": 3, "by": "author"}, export={"teacher": "author"})
    done = build(folder, recipe)
    assert done.returncode == 0
    failed = rows_of(folder / "run", "SELECT stage, error, permanent, key FROM failures")
    texts = {row["text_id"] for row in rows_of(folder / "run", "SELECT text_id FROM distributions")}
    assert failed and {(row["stage"], row["error"], row["permanent"]) for row in failed} == {("probe", "not_found", True)}
    assert len(failed) + len(texts) == count(folder / "run", "demos") and not texts & {row["key"] for row in failed}
    assert "failed at probe, fake/" in done.stderr and "left out that could not be read" in done.stderr
    before = len(fake.requests)
    build(folder, recipe)
    assert len(fake.requests) == before, "for good: not asked again"


@pytest.mark.slow
def test_distributions_come_with_the_samples_where_each_model_reads_its_own(fresh):
    """No text is asked about once more; a sample that came without them is."""
    folder, fake = fresh
    fake.fault = reader(fake=fake)
    recipe = recipe_of(fake, folder, probe={"texts": "demos", "top_k": 3, "by": "author"}, export={"teacher": "author"})
    done = build(folder, recipe)
    assert done.returncode == 0 and not any("prompt_logprobs" in body for body in fake.requests), done.stderr
    assert all(body["top_logprobs"] == 3 and body["return_tokens_as_token_ids"] for body in fake.requests)
    rows = rows_of(folder / "run", "SELECT d.*, r.text FROM distributions d JOIN responses r ON d.text_id = r.response_id")
    assert len(rows) == count(folder / "run", "responses") == 32 and count(folder / "run", "failures") == 0
    for row in rows:
        own = [logprob_of(id, at) for at, id in enumerate(row["token_ids"])]
        assert row["token_logprobs"] == pytest.approx(own, abs=1e-4) and row["ends"][-1] == len(row["text"].strip().encode())
    assert f"fusion: {count(folder / 'run', 'demos')} texts" in done.stderr
    plain = {row["response_id"] for row in rows_of(folder / "run", "SELECT response_id FROM responses")}
    without = recipe_of(fake, folder) | {"probe": None, "export": {}}
    (folder / "plain").mkdir()
    build(folder / "plain", without)
    assert plain == {row["response_id"] for row in rows_of(folder / "plain" / "run", "SELECT response_id FROM responses")}


@pytest.mark.slow
def test_a_server_that_cannot_do_it_stops_the_stage(fresh):
    folder, fake = fresh
    fake.fault = lambda number, body: None  # another server: it ignores the field
    done = build(folder, recipe_of(fake, folder))
    assert done.returncode == 3 and "the answer has no prompt_logprobs" in done.stderr
    assert not (folder / "run" / "fusion").exists()
    fake.fault = reader(most=2)
    done = build(folder, recipe_of(fake, folder))
    assert done.returncode == 3 and "probe.top_k:" in done.stderr and "--max-logprobs" in done.stderr
    fake.fault = reader()
    assert build(folder, recipe_of(fake, folder)).returncode == 0


@pytest.mark.parametrize(("sections", "said"), [
    ({"probe": None}, "export.teacher: min_ce needs distributions: add a probe section"),
    ({"export": {"teacher": "pairwise"}}, "pairwise compares each source with the pivot: set probe.pivot"),
    ({"probe": {"pivot": "nobody"}}, "probe.pivot: nobody: neither one of the recipe's sources nor a model folder"),
    ({"probe": {"by": "author", "texts": "all"}}, "by: author reads only answers"),
    ({"probe": {"texts": "solutions"}, "export": {"teacher": "author"}}, "solutions have no model"),
])  # fmt: skip
def test_recipes_that_mean_nothing(tmp_path, sections, said):
    fake = Fake()
    fake.url = "http://127.0.0.1:9/v1"
    done = build(tmp_path, recipe_of(fake, tmp_path) | sections)
    assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr


def test_entries_of_a_place():
    """The likeliest by rank, as many everywhere; the token itself where it is not among them is no candidate."""
    vocabulary = [None, b"a", b"b", b"c", None]

    def entries(**found):
        return {name[1:]: {"logprob": logprob, "rank": rank} for name, (rank, logprob) in found.items()}

    answer = {
        "prompt_token_ids": [0, 1, 2, 4],
        "prompt_logprobs": [None, entries(_1=(9, -5.0), _3=(2, -1.0), _2=(1, -0.5)), entries(_2=(1, -0.1), _3=(2, -3.0)),
                            entries(_4=(1, -0.2), _1=(2, -2.0))],
    }  # fmt: skip
    assert read_answer(answer, vocabulary, b"ab", 2) == {
        "token_ids": [1, 2, 4], "ends": [1, 2, 2], "token_logprobs": [-5.0, -0.1, -0.2],
        "n_bytes": 2, "nll": pytest.approx(5.3),
        "top_ids": [2, 3, 2, 3, 4, 1], "top_logprobs": [-0.5, -1.0, -0.1, -3.0, -0.2, -2.0],
    }  # fmt: skip
    assert read_answer(answer, vocabulary, b"c", 2) is None
