"""The score stage: equal conversations once, chunks, workers, kills, and the self-check that refuses to go on."""

from __future__ import annotations

import gzip
import json
import pickle
import random
import shutil
import threading
from functools import partial
from pathlib import Path
from typing import Any, cast

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datakit import rewards
from datakit.engine.local import LocalEngine, LocalEngines
from datakit.engine.protocol import Result
from datakit.errors import BadInput, WorkerError
from datakit.recipe import ArmoRM, Classifier
from datakit.rewards import selfcheck
from datakit.rewards.local import batching
from datakit.rewards.protocol import Score, no_score
from datakit.score import local
from datakit.score import missing as unscored
from datakit.store import Run
from datakit.tables import IMPORTED, TABLES, digest_of_messages, make_response_id
from tests.helpers.command import datakit, rows_of, write_recipe
from tests.helpers.later import later
from tests.helpers.laws import examples
from tests.helpers.plugged import InProcess
from tests.helpers.tiny_models import CONVERSATIONS, lying_in, make_armorm, make_classifier, talk

torch = later("torch")
load_file, save_file = later("safetensors.torch", "load_file"), later("safetensors.torch", "save_file")

JUDGE = "armorm@r1+dtype=float32"


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Models this small only wait for each other's threads, here and in worker processes."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield
    torch.set_num_threads(n_threads)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    return make_armorm(tmp_path_factory.mktemp("tiny"))


def settings_of(**fields: object) -> ArmoRM:
    return ArmoRM.model_validate({"type": "armorm", "model": "tiny", "revision": "r1", "dtype": "float32"} | fields)


def fill(run: Run, answers: dict[str, list[tuple[str, str]]]) -> dict[tuple[str, str], str]:
    """A run with these answers (model and text) to each question; gives the response ids by question and model."""
    ids = {}
    models = sorted({model for texts in answers.values() for model, _ in texts})
    run.replace(
        "sources", TABLES["sources"].frame([{"model": m, "sampling": IMPORTED, "type": "responses", "n": 1} for m in models])
    )
    prompts, responses = [], []
    for question, texts in answers.items():
        digest = digest_of_messages(talk(question))
        prompts.append({"prompt_id": question, "domain": "math", "messages": talk(question), "messages_digest": digest})
        for model, text in texts:
            ids[question, model] = make_response_id(digest, model, None, IMPORTED, 0)
            row = {"response_id": ids[question, model], "prompt_id": question, "model": model, "sampling": IMPORTED}
            responses.append(row | {"sample_index": 0, "text": text})
    run.replace("prompts", TABLES["prompts"].frame(prompts))
    run.append("responses", responses)
    return ids


# ------------------------------------------------------------------------------------------------- what is asked for once


def missing(run: Run, retry_failures: bool = False) -> set[tuple[tuple[str, ...], str, str]]:
    frames = list(unscored.stream_missing(run, "j@1", retry_failures))
    rows = pl.concat(frames).to_dicts() if frames else []
    return {(tuple(row["response_ids"]), row["messages"][0]["content"], row["text"]) for row in rows}


def test_equal_answers_to_equal_messages_are_one_conversation(tmp_path):
    with Run.create(tmp_path / "run") as run:
        ids = fill(run, {"a": [("x", "1"), ("y", "1"), ("z", "2")], "b": [("x", "1")]})
        twice = tuple(sorted([ids["a", "x"], ids["a", "y"]]))
        alone = {((ids["a", "z"],), "a", "2"), ((ids["b", "x"],), "b", "1")}
        assert missing(run) == {(twice, "a", "1"), *alone}
        assert unscored.count_missing(run, "j@1", False) == 4

        run.append("scores", [{"response_id": ids["a", "y"], "judge": "j@1", "score": 0.5}])
        run.append("scores", [{"response_id": ids["a", "z"], "judge": "j@2", "score": 0.5}])
        failed = {"stage": "score", "key": ids["b", "x"], "source": "j@1", "error": "too_long", "permanent": True}
        run.append("failures", [failed])
        assert missing(run) == {((ids["a", "x"],), "a", "1"), ((ids["a", "z"],), "a", "2")}
        assert unscored.count_missing(run, "j@1", False) == 2
        assert missing(run, retry_failures=True) == {((ids["a", "x"],), "a", "1"), *alone}
        assert unscored.count_missing(run, "j@1", True) == 3

        run.append("failures", [failed | {"key": ids["a", "z"], "permanent": False}])
        assert unscored.count_missing(run, "j@1", False) == 2, "what failed in passing is tried again"


@examples(4)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("12")), max_size=25))
def test_every_missing_response_is_in_one_conversation(tmp_path_factory, texts):
    answers: dict[str, list[tuple[str, str]]] = {}
    for at, (question, text) in enumerate(texts):
        answers.setdefault(question, []).append((f"m{at}", text))
    with Run.create(tmp_path_factory.mktemp("runs") / "run") as run, pytest.MonkeyPatch.context() as patch:
        ids = fill(run, answers)
        for share_rows in (1, 7, 1000):
            patch.setattr(unscored, "SHARE_ROWS", share_rows)
            found = missing(run)
            assert sorted(one for group, _, _ in found for one in group) == sorted(ids.values())
            assert len(found) == len(set(texts))
        assert unscored.count_missing(run, "j@1", False) == len(texts)
        again = {f"{question} again": (question, None) for question in answers}
        run.replace("prompts", more_prompts(run, again | {"gone": ("gone", "not in the recipe")}))
        assert missing(run) == found, "a second prompt with the same messages, and one that is dropped, add nothing"
        assert unscored.count_missing(run, "j@1", False) == len(texts)


def test_a_frame_is_read_while_the_one_before_it_is_worked_on():
    begun, closed = [threading.Event() for _ in range(3)], []

    def frames():
        try:
            for at, event in enumerate(begun):
                event.set()
                yield pl.DataFrame({"n": [at]})
        finally:
            closed.append(True)

    ahead = unscored.read_ahead(frames())
    assert next(ahead)["n"][0] == 0 and begun[1].wait(10) and not begun[2].is_set()
    assert [frame["n"][0] for frame in ahead] == [1, 2] and closed == [True]
    closed.clear()
    stopped = unscored.read_ahead(frames())
    next(stopped)
    stopped.close()
    assert closed == [True], "its snapshot is let go"


def more_prompts(run: Run, prompts: dict[str, tuple[str, str | None]]) -> pl.DataFrame:
    """The run's prompts, and these: by id what is asked, and why it is dropped."""
    new = [
        {"prompt_id": name, "domain": "math", "messages": talk(asked), "dropped": dropped}
        | {"messages_digest": digest_of_messages(talk(asked))}
        for name, (asked, dropped) in prompts.items()
    ]
    return pl.concat([run.frame("prompts"), TABLES["prompts"].frame(new)])


def test_the_rows_of_a_chunk_come_longest_first():
    messages = [talk("q"), talk("q" * 40), talk("q")]
    frame = pl.DataFrame({"response_ids": [["1"], ["2"], ["3"]], "messages": messages, "text": ["abc", "", "長い答え"]})
    rows = unscored.conversations(frame)
    assert [row["response_ids"] for row in rows] == [["2"], ["3"], ["1"]]
    assert rows[1]["messages"] == talk("q", "長い答え")


def test_a_model_that_fails_on_everything_stops_the_stage_when_what_was_made_is_stored(monkeypatch):
    """As on a device that is gone. A row that fails among others is a row of failures and no more."""
    monkeypatch.setattr(local, "HOPELESS", 3)
    good = {"score": 0.5, "objectives": None, "n_tokens": 9, "n_tokens_cut": 0, "error": None, "message": None}
    broken = dict.fromkeys(good) | {"error": "model_error", "message": "CUDA error: unspecified launch failure"}
    long = broken | {"error": "too_long"}
    values = [broken, broken, good, long, long, long, broken, None, broken, good]
    results = (Result({"response_ids": [str(at)]}, value, None, None, 0.1) for at, value in enumerate(values))
    given = local.chunks(results, "j@1")
    first = next(given)
    assert [row["response_id"] for row in first.scores] == ["2"]
    assert [row["key"] for row in first.failures] == ["0", "1", "3", "4", "5", "6", "7"]
    with pytest.raises(WorkerError, match="j@1 failed on 3 conversations in a row; the last: CUDA error: unspecified"):
        next(given)


def test_results_become_rows_of_all_their_responses(monkeypatch):
    monkeypatch.setattr(local, "STORE_ROWS", 3)
    good = {"score": 0.5, "objectives": [1.0], "n_tokens": 9, "n_tokens_cut": 2, "error": None, "message": None}
    bad = dict.fromkeys(good) | {"error": "too_long", "message": "m"}
    results = [
        Result({"response_ids": ["a", "b"]}, good, None, None, 0.1),
        Result({"response_ids": ["c", "d"]}, bad, None, None, 0.1),
        Result({"response_ids": ["e"]}, bad | {"error": "out_of_memory"}, None, None, 0.1),
        Result({"response_ids": ["f"]}, None, "crash", "it died", 0.1),
    ]
    first, last = local.chunks(results, "j@1")
    assert first.scores == [
        {"response_id": one, "judge": "j@1", "score": 0.5, "objectives": [1.0], "n_tokens_cut": 2} for one in ("a", "b")
    ]
    failures = [(row["key"], row["source"], row["error"], row["permanent"]) for row in first.failures + last.failures]
    assert failures == [
        ("c", "j@1", "too_long", True),
        ("d", "j@1", "too_long", True),
        ("e", "j@1", "out_of_memory", False),
        ("f", "j@1", "crash", False),
    ]
    assert first.note.endswith("tokens/s")


# -------------------------------------------------------------------------------------------------- workers, kills, parts


@pytest.mark.slow
def test_two_workers_give_the_golden_scores(shared_data):
    folder = shared_data / "armorm_tiny"
    with gzip.open(folder / "golden.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    random.Random(2).shuffle(rows)
    start = pickle.loads(pickle.dumps(partial(rewards.scoring_worker, lying_in(folder, settings_of()), ["cpu", "cpu"])))
    results = list(LocalEngine(2).map(start, [rows[at : at + 12] for at in range(0, len(rows), 12)], None))
    assert len(results) == len(rows)
    assert max(abs(result.value["score"] - result.row["score"]) for result in results) < 1e-6


def all_scores(run: Run) -> dict[str, float]:
    frame = run.frame("scores")
    assert not frame["response_id"].is_duplicated().any(), "scored twice"
    return dict(zip(frame["response_id"], frame["score"], strict=True))


@pytest.mark.slow
def test_an_error_that_no_check_foresaw_names_the_model(copy):
    path = copy / "tokenizer_config.json"
    path.write_text(path.read_text().replace("{% endfor %}", "{% if %}"))
    with pytest.raises(WorkerError, match=rf"^score\.model: {copy} cannot be used: .*TemplateSyntaxError"):
        next(local.self_check(lying_in(copy, settings_of(model=str(copy)))))


@pytest.mark.slow
def test_a_stage_that_is_ended_goes_on_where_it_was_and_asks_for_nothing_twice(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(local, "STORE_ROWS", 10)
    monkeypatch.setattr(local, "STORE_EVERY_S", 600.0)
    monkeypatch.setattr(unscored, "CHUNK_ROWS", 16)
    answers = {f"question {at}": [("x", f"answer {at % 7}"), ("y", "the same"), ("z", "the same")] for at in range(20)}
    with Run.create(tmp_path / "run") as run:
        ids = fill(run, answers)
        chunks = local.score_here(run, lying_in(tiny, settings_of(devices=["cpu"])), False, LocalEngines())
        run.append("scores", next(chunks).scores)
        chunks.close()
        before = all_scores(run)
        assert 10 <= len(before) < 30
        assert unscored.count_missing(run, JUDGE, False) == 60 - len(before)
        for chunk in local.score_here(run, lying_in(tiny, settings_of(devices=["cpu", "cpu"])), False, LocalEngines()):
            assert not {row["response_id"] for row in chunk.scores} & set(before)
            run.append("scores", chunk.scores)
        scores = all_scores(run)
        assert set(scores) == set(ids.values()) and scores.items() >= before.items()
        model = rewards.load(lying_in(tiny, settings_of()), ["cpu"])
        [alone] = model.score([talk("question 3", "the same")])
        for name in ("y", "z"):
            assert scores[ids["question 3", name]] == pytest.approx(alone.score, abs=1e-6)


def test_scores_of_an_earlier_version_are_read(tmp_path):
    with Run.create(tmp_path / "run") as run:
        (run.folder / "scores").mkdir(exist_ok=True)
        old = pl.DataFrame({"response_id": ["a"], "judge": ["j"], "score": [0.5], "objectives": [[1.0]]})
        old.write_parquet(run.folder / "scores" / "part-000001.parquet")
        assert run.frame("scores")["n_tokens_cut"].to_list() == [None]
        run.append("scores", [{"response_id": "b", "judge": "j", "score": 1.0, "n_tokens_cut": 3}])
        assert run.query("SELECT n_tokens_cut FROM scores ORDER BY response_id")["n_tokens_cut"].to_list() == [None, 3]


def answers_file(path: Path, long: str) -> Path:
    rows = [
        {"prompt_id": "1", "prompt": "What is 2 + 2?", "gold": "4", "model": "a", "text": "It is 4."},
        {"prompt_id": "1", "prompt": "What is 2 + 2?", "gold": "4", "model": "b", "text": "It is 5."},
        {"prompt_id": "2", "prompt": "Count to three. " + "Please! " * 30, "gold": "3", "model": "a", "text": long},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def recipe_of(answers: Path, *scored: dict) -> dict:
    columns = {"reference": "gold"}
    source = {"type": "responses", "path": str(answers), "columns": columns}
    return {"domain": "math", "sources": [source], "score": list(scored), "select": {"judge": "classifier"}}


class OneProcess(LocalEngine):
    """Starts a process for ArmoRM alone: what else is scored is scored here."""

    def map(self, start, batches, deadline_s):
        engine: Any = super() if isinstance(start.args[0], ArmoRM) else InProcess()
        return engine.map(start, batches, deadline_s)


@pytest.mark.slow
def test_two_kinds_of_judges_score_one_run_and_say_what_they_cut(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(local, "LocalEngine", OneProcess)
    folder = tmp_path / "classifier"
    folder.mkdir()
    make_classifier(folder)
    shared = {"dtype": "float32", "devices": ["cpu"]}
    recipe = recipe_of(
        answers_file(tmp_path / "answers.jsonl", "One, two, three: 3"),
        {"type": "armorm", "model": str(tiny), "objectives": True, **shared},
        {"type": "classifier", "model": str(folder), "truncate": "left", **shared},
    )
    done = datakit("build", "--recipe", write_recipe(tmp_path / "r.yaml", recipe), "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    rows = rows_of(
        tmp_path / "run",
        "SELECT split_part(judge, '@', 1) AS judge, judge LIKE '%+dtype=float32+truncate=left' AS named, count(*) AS n, "
        "count(objectives) AS n_objectives, max(n_tokens_cut) AS cut FROM scores GROUP BY ALL ORDER BY 1",
    )
    assert rows[0] == {"judge": "armorm", "named": False, "n": 2, "n_objectives": 2, "cut": 0}
    assert rows[1] | {"cut": 0} == {"judge": "classifier", "named": True, "n": 3, "n_objectives": 0, "cut": 0}
    assert rows[1]["cut"] > 0
    failures = rows_of(tmp_path / "run", "SELECT error, source LIKE 'armorm@%' AS whose, permanent FROM failures")
    assert failures == [{"error": "too_long", "whose": True, "permanent": True}]
    report = datakit("inspect", tmp_path / "run").stdout
    assert "3 responses scored, 1 after the oldest tokens were cut" in report and "2 responses scored, 1 not scored\n" in report


@pytest.mark.slow
def test_objectives_asked_for_too_late_are_named(tiny, tmp_path):
    judge = {"type": "armorm", "model": str(tiny), "dtype": "float32", "devices": ["cpu"]}
    recipe = recipe_of(answers_file(tmp_path / "answers.jsonl", "3"), judge) | {"select": {}}
    args = ("build", "--recipe", tmp_path / "r.yaml", "--out", tmp_path / "run")
    write_recipe(tmp_path / "r.yaml", recipe)
    assert "asked for objectives" not in datakit(*args).stderr
    write_recipe(tmp_path / "r.yaml", recipe | {"score": [judge | {"objectives": True}]})
    assert ": 2 answers scored before the recipe asked for objectives, and without them" in datakit(*args).stderr


# ------------------------------------------------------------------------------------------------------- the self-check


def check(folder: Path, **fields: object) -> selfcheck.Findings:
    reward = settings_of(**fields)
    return selfcheck.self_check(rewards.load(lying_in(folder, reward), ["cpu"]), reward)


def write_golden(folder: Path, **changes: float) -> None:
    model = rewards.load(lying_in(folder, settings_of()), ["cpu"])
    talks = CONVERSATIONS[:3]
    rows = [
        {"messages": talk_, "score": one.score, "rewards": one.objectives, "gating": one.gating} | changes
        for talk_, one in zip(talks, model.score(talks), strict=True)
    ]
    (folder / "golden.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def copy(tiny, tmp_path) -> Path:
    return Path(shutil.copytree(tiny, tmp_path / "copy"))


def swap_head(folder: Path) -> None:
    """The weights of two objectives change places: a model that looks whole."""
    tensors = load_file(folder / "model.safetensors")
    head = tensors["regression_layer.weight"]
    tensors["regression_layer.weight"] = head[[1, 0, *range(2, len(head))]].contiguous()
    save_file(tensors, folder / "model.safetensors")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_sound_model_passes_and_says_how_far_scores_move(copy, dtype):
    write_golden(copy)
    findings = check(copy, dtype=dtype)
    assert findings.differences == []
    assert "(median)" in findings.notes[0] and "(p99)" in findings.notes[0]
    assert findings.notes[1] == "3 known examples compared"


def test_the_published_golden_set_passes(shared_data):
    findings = check(shared_data / "armorm_tiny")
    assert findings.differences == [] and findings.notes[1] == "84 known examples compared"


def test_swapped_weights_of_a_head_are_found_by_known_scores(copy):
    write_golden(copy)
    swap_head(copy)
    [first, *_] = check(copy).differences
    assert first.startswith("golden.jsonl:1: score ") and "instead of" in first and "(tolerance 1e-06)" in first


def test_padding_that_reaches_real_tokens_is_found(tiny, monkeypatch):
    right = batching.hidden_states

    def unmasked(backbone, batch, wanted, device, padding):
        class Blind:
            def __call__(self, input_ids, use_cache, attention_mask=None, position_ids=None):
                return backbone(input_ids=input_ids, use_cache=use_cache)

        return right(cast(Any, Blind()), batch, wanted, device, padding)

    monkeypatch.setattr("datakit.rewards.local.armorm.hidden_states", unmasked)
    found = check(tiny).differences
    assert found and all("padded left scores differ from those one by one: conversation" in line for line in found)


def test_a_score_that_depends_on_the_batch_is_found(tiny, monkeypatch):
    right = batching.hidden_states
    monkeypatch.setattr(
        "datakit.rewards.local.armorm.hidden_states", lambda model, batch, *more: right(model, batch, *more) + 1e-3 * len(batch)
    )
    assert any("padded right scores differ" in line for line in check(tiny).differences)


def test_one_score_for_everything_is_found(copy):
    tensors = load_file(copy / "model.safetensors")
    save_file(tensors | {"regression_layer.weight": 0 * tensors["regression_layer.weight"]}, copy / "model.safetensors")
    assert check(copy).differences == [f"of {len(selfcheck.CONVERSATIONS)} different conversations all have one score"]


def test_the_example_of_the_model_card_is_compared_for_that_commit(tiny):
    commit = selfcheck.PUBLISHED_COMMIT
    reward = settings_of(revision=commit)
    model = rewards.load(lying_in(tiny, reward), ["cpu"])
    found = selfcheck.self_check(model, lying_in(None, reward))
    [line] = found.differences
    assert line.startswith("the model card's example: rewards ") and "instead of 0.65625" in line


def test_a_golden_file_that_is_none_says_so(copy):
    (copy / "golden.jsonl").write_text('{"messages": []}\n')
    with pytest.raises(BadInput, match=r"golden\.jsonl: is not a list of messages with scores"):
        check(copy)


def test_how_many_pairs_change_places():
    """Of three conversations one has no score: one pair, in two batches; one that becomes a tie has changed."""
    own = [Score(1.0), Score(2.0), no_score("too_long", "-")]
    swapped, tied = [Score(2.0), Score(1.0), own[2]], [Score(1.5), Score(1.5), own[2]]
    assert selfcheck.turned_pairs([("", own), ("", swapped)], own) == 0.5
    assert selfcheck.turned_pairs([("", own), ("", tied)], own) == 0.5
    assert selfcheck.turned_pairs([("", swapped), ("", tied)], swapped) == 0.5, "in whatever order they stand"


def test_a_classifier_is_checked_too(tmp_path):
    reward = Classifier.model_validate({"type": "classifier", "model": "t", "revision": "r", "dtype": "float32"})
    model = rewards.load(lying_in(make_classifier(tmp_path), reward), ["cpu"])
    assert selfcheck.self_check(model, reward).differences == []


@pytest.mark.slow
@pytest.mark.parametrize("command", [("check", "--rewards"), ("build", "--selfcheck", "--out", "run")])
def test_commands_refuse_to_go_on_with_a_broken_model(copy, tmp_path, command):
    write_golden(copy)
    scored = {"type": "armorm", "model": str(copy), "dtype": "float32", "devices": ["cpu"]}
    recipe = recipe_of(answers_file(tmp_path / "answers.jsonl", "3"), scored) | {"select": {}}
    path = write_recipe(tmp_path / "r.yaml", recipe)
    sound = datakit(*command, "--recipe", path, cwd=tmp_path)
    assert sound.returncode == 0, sound.stderr
    assert "3 known examples compared" in sound.stderr
    swap_head(copy)
    broken = datakit(*command, "--recipe", path, cwd=tmp_path)
    assert broken.returncode == 2
    assert "golden.jsonl:1: score" in broken.stderr and "Traceback" not in broken.stderr
