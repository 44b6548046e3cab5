"""A `local` source: what a batch through a model folder gives, and builds with one."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest

from datakit.engine.local import LocalEngine
from datakit.engine.protocol import Result
from datakit.errors import RunError
from datakit.recipe import LocalSource
from datakit.sample import in_process
from datakit.sample.in_process import Settings, choose, load
from datakit.sample.local import LocalSampler, devices_of
from datakit.sample.one_source import EMPTY_ATTEMPTS, Ask
from datakit.tables import Message, Rows, digest_of_messages, make_response_id, make_seed
from tests.helpers.command import datakit, recipe_over, rows_of, start, write_problems, write_recipe
from tests.helpers.folders import ROOT
from tests.helpers.later import later
from tests.helpers.tiny_targets import save_model, user
from tests.helpers.waiting import wait_for

torch = later("torch")

MICRO = ROOT / "data" / "micro"
QUESTIONS = [
    "Ann has 12 red and 9 blue pens. She gives 5 of them away. How many pens does she have left?",
    "A ticket costs 8 dollars. How many dollars do 7 tickets cost?",
    "Ruth rides a train at 60 miles per hour for 5 hours. How far does she travel?",
]


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Models this small only wait for each other's threads."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    """A random model: one token a character, 256 positions."""
    return save_model(tmp_path_factory.mktemp("tiny") / "model")


def rows(questions: list[str] = QUESTIONS, n: int = 3, **settings: Any) -> list[dict[str, Any]]:
    return [
        {
            "messages": user(question),
            "settings": settings,
            "seeds": [make_seed(f"{question!a}/{at}", again) for again in range(4)],
        }
        for question in questions
        for at in range(n)
    ]


def texts(answers: list[dict[str, Any]]) -> list[str]:
    return [answer["text"] for answer in answers]


# ------------------------------------------------------------------------------------------------------ one token

LIKELY = [0.45, 0.25, 0.15, 0.1, 0.05]


def distribution(temperature: float = 1.0, top_k: int | None = None, top_p: float = 1.0) -> list[float]:
    """What LIKELY becomes: temperature first, then the likeliest top_k, then of these the fewest that have top_p together."""
    raised = [likely ** (1 / temperature) for likely in LIKELY]
    kept = [likely if top_k is None or at < top_k else 0.0 for at, likely in enumerate(raised)]
    kept = [likely / sum(kept) for likely in kept]
    kept = [likely if sum(kept[:at]) < top_p else 0.0 for at, likely in enumerate(kept)]
    return [likely / sum(kept) for likely in kept]


@pytest.mark.parametrize("nucleus", [2, 64])
@pytest.mark.parametrize("settings", [
    {}, {"temperature": 0.5}, {"temperature": 2.0}, {"top_k": 2}, {"top_p": 0.7}, {"top_p": 0.5}, {"top_p": 0.45},
    {"temperature": 0.7, "top_k": 4, "top_p": 0.8},
], ids=str)  # fmt: skip
def test_tokens_come_as_often_as_they_should(settings, nucleus, monkeypatch):
    """20,000 draws: no share is off by more than five standard errors, and what is left out never comes."""
    monkeypatch.setattr(in_process, "NUCLEUS", nucleus)
    n, order = 20_000, [3, 0, 4, 1, 2]
    logits = torch.tensor([LIKELY[at] for at in order]).log().expand(n, -1)
    drawn = choose(logits, torch.arange(n), range(n), 7, Settings(**settings)).bincount(minlength=5).tolist()
    for place, at in enumerate(order):
        expected = distribution(**settings)[at]
        assert abs(drawn[place] - expected * n) <= 5 * (expected * (1 - expected) * n) ** 0.5, (at, drawn)


def test_without_temperature_the_likeliest_is_taken():
    assert choose(torch.tensor([[0.1, 0.3, 0.2]]), torch.arange(1), [1], 0, Settings(temperature=0)).tolist() == [1]


def test_a_chance_is_of_seed_and_place_alone():
    """SplitMix64 seeded with 0 gives 0xe220a8397b1dcdaf, 0x6e789e6aa1b965f4 (the generator's published first values)."""
    first, second = (int(in_process.chances([0], step)[0] * 2**53) for step in (0, 1))
    assert (first, second) == (0xE220A8397B1DCDAF >> 11, 0x6E789E6AA1B965F4 >> 11)
    assert in_process.chances([5, 0], 1)[1] == in_process.chances([0], 1)[0]


def test_penalties_are_of_tokens_that_were_written():
    """Both as OpenAI's API has them: logit - presence - frequency x count, for tokens of the answer alone."""
    made = torch.tensor([[1, 1, -1], [0, -1, -1]])
    found = in_process.penalised(torch.zeros(2, 3), made, Settings(presence_penalty=0.5, frequency_penalty=0.25))
    assert found.tolist() == [[0.0, -1.0, 0.0], [-0.75, 0.0, 0.0]]


# ------------------------------------------------------------------------------------------------------ one batch


@pytest.mark.parametrize("name", ["llama", "qwen2", "mistral", "gemma2"])
def test_without_temperature_it_is_what_transformers_generates(name):
    """Prompts of other lengths together here, each alone there."""
    model = load(MICRO / name, None, ["cpu"], 8, "sources.0.devices")
    answers = model.answer(rows(n=1, temperature=0, max_tokens=48))
    for question, answer in zip(QUESTIONS, answers, strict=True):
        prompt: Any = model.tokenizer.apply_chat_template(user(question), add_generation_prompt=True, return_tensors="pt")
        made = model.model.generate(**prompt, do_sample=False, max_new_tokens=48, temperature=None, top_p=None, top_k=None)
        length = prompt["input_ids"].shape[1]
        assert answer["text"] == model.tokenizer.decode(made[0, length:], skip_special_tokens=True)
        assert (answer["n_prompt_tokens"], answer["n_tokens"]) == (length, made.shape[1] - length)


def test_a_sample_is_the_same_in_any_company(tiny):
    """Alone, in batches of three, with others in front, and with rows that end at other times: in float64 nothing differs."""
    asked = rows(n=4, temperature=1.0, top_p=0.9, max_tokens=60)
    together = texts(load(tiny, "float64", ["cpu"], 256, "").answer(asked))
    assert len(set(together)) == len(asked)
    assert texts(load(tiny, "float64", ["cpu"], 3, "").answer(asked)) == together
    assert texts(load(tiny, "float64", ["cpu"], 1, "").answer(asked)) == together
    assert texts(load(tiny, "float64", ["cpu"], 256, "").answer(asked[::-1])) == together[::-1]


def test_rows_leave_the_batch_and_the_others_go_on(tiny, monkeypatch):
    asked = rows(n=16, temperature=1.5, max_tokens=120)
    sizes: list[int] = []
    forward = in_process.Batch.forward

    def counted(self, model, ids, *others):
        sizes.append(len(ids))
        forward(self, model, ids, *others)

    monkeypatch.setattr(in_process.Batch, "forward", counted)
    answers = load(tiny, "float64", ["cpu"], 256, "").answer(asked)
    ended = [answer["n_tokens"] for answer in answers if answer["finish_reason"] == "stop"]
    assert sizes[0] == len(QUESTIONS), "a prompt is read once for all of its samples"
    assert sizes[1] == len(asked) and sizes[1:] == sorted(sizes[1:], reverse=True)
    assert len(ended) > 8 and len(set(ended)) > 4 and sizes[-1] < len(asked) / 2


@pytest.mark.parametrize(("settings", "n_tokens"), [({"max_tokens": 5}, 5), ({}, 252), ({"max_tokens": 999}, 252)])
def test_what_does_not_end_is_cut_off(tiny, settings, n_tokens):
    """At max_tokens, or where the model has no more than its 256 positions: <|user|> x <|end|> <|assistant|> take four."""
    model = load(tiny, None, ["cpu"], 256, "")
    model.ends = torch.tensor([-5])
    (answer,) = model.answer(rows(["x"], 1, temperature=1.0, **settings))
    assert (answer["finish_reason"], answer["n_prompt_tokens"], answer["n_tokens"]) == ("length", 4, n_tokens)


def test_an_answer_stops_at_a_text_and_does_not_have_it(tiny):
    whole = load(tiny, "float64", ["cpu"], 256, "").answer(rows(n=2, temperature=1.0, max_tokens=40))
    word = whole[0]["text"][10:12]
    stopped = load(tiny, "float64", ["cpu"], 256, "").answer(rows(n=2, temperature=1.0, max_tokens=40, stop=[word]))
    assert stopped[0]["text"] == whole[0]["text"].partition(word)[0]
    assert stopped[0]["finish_reason"] == "stop" and stopped[0]["n_tokens"] < whole[0]["n_tokens"]
    assert [answer["text"] for answer in stopped] == [answer["text"].partition(word)[0] for answer in whole]


def test_an_answer_goes_on_with_what_it_begins_with(tiny):
    model = load(tiny, None, ["cpu"], 256, "")
    begun = [
        {**row, "messages": [*row["messages"], {"role": "assistant", "content": "It is "}]} for row in rows(n=1, max_tokens=9)
    ]
    plain, prefilled = model.answer(rows(n=1, max_tokens=9)), model.answer(begun)
    assert [two["n_prompt_tokens"] - one["n_prompt_tokens"] for one, two in zip(plain, prefilled, strict=True)] == [6, 6, 6]


def test_a_prompt_that_cannot_be_answered_is_alone_in_that(tiny):
    asked = rows(["x", "y" * 300, "\ud800"], 1, max_tokens=5)
    fine, long, broken = load(tiny, None, ["cpu"], 256, "").answer(asked)
    assert fine["n_tokens"] > 0
    assert long == {"error": "too_long", "message": "the prompt has 303 tokens, and the model 256 positions"}
    assert broken["error"] == "not_unicode"


def test_where_memory_does_not_suffice_batches_are_halved(tiny, monkeypatch):
    model, sizes = load(tiny, "float64", ["cpu"], 256, ""), []
    generate = model._generate

    def small(prompts, *others):
        sizes.append(len(prompts))
        if len(prompts) > 3:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return generate(prompts, *others)

    expected = texts(model.answer(rows(max_tokens=20)))
    monkeypatch.setattr(model, "_generate", small)
    assert texts(model.answer(rows(max_tokens=20))) == expected
    assert sizes == [9, 4, 2, 2, 2, 2, 1]


# --------------------------------------------------------------------------------------------------------- a source


def source_of(folder: Path, **fields: Any) -> LocalSource:
    source = LocalSource.model_validate({"type": "local", "model": str(folder), "devices": ["cpu"], **fields})
    source.locate(folder.parent)
    return source


def test_every_sample_is_a_row_or_a_failure(tiny):
    """One of a prompt that is too long, and one of which another build has two samples already."""
    source = source_of(tiny, n=3, sampling={"temperature": 1.0, "max_tokens": 12}, batch_size=4, system="Be brief.")
    asks: list[Ask] = []
    wanted: dict[str, tuple[str, int]] = {}
    for at, question in enumerate(["first", "second", "z" * 300]):
        messages = [Message(role="user", content=question)]
        digest = digest_of_messages(messages)
        ids = [make_response_id(digest, source.model, None, source.sampling_text, index) for index in range(3)]
        missing = dict(enumerate(ids)) if at else {2: ids[2]}
        wanted |= {key: (str(at), index) for index, key in missing.items()}
        asks.append(Ask(str(at), messages, digest, missing))
    sampler = LocalSampler(source, "sources.0", proven=False, engine=LocalEngine(1))
    responses: Rows = []
    failures: Rows = []

    def store(good: Rows, bad: Rows) -> None:
        responses.extend(good)
        failures.extend(bad)

    for _ in sampler.sample(asks, store):
        pass
    assert {row["response_id"]: (row["prompt_id"], row["sample_index"]) for row in responses} | {
        row["key"]: wanted[row["key"]] for row in failures
    } == wanted
    assert {(row["error"], row["permanent"]) for row in failures} == {("too_long", True)} and len(failures) == 3
    for row in responses:
        assert row["seed"] in [make_seed(row["response_id"], attempt) for attempt in range(EMPTY_ATTEMPTS)]  # empty: once more
        assert row["model"] == str(tiny)
        assert row["n_tokens"] <= 12 and row["n_prompt_tokens"] > len("Be brief.")
        assert json.loads(row["sampling"]) == {"max_tokens": 12, "system": "Be brief.", "temperature": 1.0}
    progress = sampler.progress()
    assert (progress.done, progress.failed) == (4, 3)
    assert progress.completion_tokens == sum(row["n_tokens"] for row in responses)


def test_what_was_handed_over_is_not_handed_over_again_where_storing_it_fails(tiny, monkeypatch):
    """As where a journal has the rows and there is no room for the part that it becomes."""
    monkeypatch.setattr("datakit.sample.local.STORE_ROWS", 2)
    source, stored = source_of(tiny, n=4), list[str]()
    missing = {index: f"{index:024}" for index in range(4)}
    said = {"text": "Yes.", "finish_reason": "stop", "n_prompt_tokens": 1, "n_tokens": 1, "seed": 1}

    class Answering(LocalEngine):
        def map(self, start, batches, deadline_s):
            yield from (Result(row, said, None, None, 0.0) for batch in batches for row in batch)

    def store(responses: Rows, failures: Rows) -> None:
        stored.extend(row["response_id"] for row in responses)
        if len(stored) == 2:
            raise RunError("No space left on device")

    sampler = LocalSampler(source, "sources.0", proven=False, engine=Answering(1))
    with pytest.raises(RunError, match="No space"):
        list(sampler.sample([Ask("p", [Message(role="user", content="?")], "d", missing)], store))
    assert stored == [missing[0], missing[1]]


def test_small_models_get_a_worker_a_core(tiny, monkeypatch):
    monkeypatch.setattr("datakit.rewards.local.devices.has_gpu", lambda: False)
    monkeypatch.setattr("datakit.rewards.local.devices.available_cores", lambda: 3)
    assert devices_of(source_of(tiny, devices=[])) == ["cpu"] * 3
    monkeypatch.setattr("datakit.rewards.local.devices.SMALL", 100)
    assert devices_of(source_of(tiny, devices=[])) == ["cpu"]
    assert devices_of(source_of(tiny)) == ["cpu"]


def recipe_with(tmp_path: Path, folder: Path | str, n_problems: int = 4, **fields: Any) -> Path:
    recipe = recipe_over("http://127.0.0.1:9/v1", write_problems(tmp_path / "p.jsonl", n_problems))
    recipe["sources"] = [{"type": "local", "model": str(folder), "n": 2, "sampling": {"max_tokens": 20}} | fields]
    return write_recipe(tmp_path / f"{n_problems}.yaml", recipe)


def broken(tiny: Path, tmp_path: Path, name: str) -> Path:
    copy = shutil.copytree(tiny, tmp_path / "copy")
    (copy / name).unlink()
    return copy


def test_what_cannot_be_sampled_is_said_before_anything_is_written(tiny, tmp_path):
    cases: list[tuple[Path | str, dict[str, Any], str]] = [
        ("meta-llama/none", {}, "sources.0.model: meta-llama/none: no such folder; write folder: PATH, or type: serve"),
        (
            broken(tiny, tmp_path, "model.safetensors"),
            {},
            "neither model.safetensors nor model.safetensors.index.json is there",
        ),
        (tiny, {"request": "n"}, "sources.0.request: extra field not permitted"),
        (tiny, {"sampling": {"top_k": 0}}, "sources.0.sampling.top_k: input should be greater than or equal to 1"),
    ]
    for model, fields, said in cases:
        done = datakit("build", "--recipe", recipe_with(tmp_path, model, **fields), "--out", tmp_path / "run")
        assert (done.returncode, said in " ".join(done.stderr.split())) == (2, True), done.stderr
        assert not (tmp_path / "run").exists()


ROWS = "select response_id, text, seed, finish_reason, revision from responses order by response_id"


@pytest.mark.slow
def test_a_build_with_it_goes_on_where_it_stopped(tiny, tmp_path):
    """Two prompts, then all four: what is there stays, what comes is what one build of all gives, and no answer is missing."""
    few, run = recipe_with(tmp_path, tiny, 2, devices=["cpu"]), tmp_path / "run"
    assert datakit("build", "--recipe", few, "--out", run, "--until", "sample").returncode == 0
    before = rows_of(run, ROWS)
    whole = recipe_with(tmp_path, tiny, 4, devices=["cpu"])
    done = datakit("build", "--recipe", whole, "--out", run)
    assert done.returncode in (0, 3), done.stderr
    after = rows_of(run, ROWS)
    assert (len(before), len(after)) == (4, 8) and [row for row in after if row in before] == before
    assert len({row["seed"] for row in after}) == 8 and after[0]["revision"].startswith("local-")


@pytest.mark.slow
def test_after_kill_9_every_answer_is_there_once(tiny, tmp_path):
    """Two sources, in float64, so that the rows are those of a build left alone; what was stored before the kill stays."""
    recipe = recipe_over("http://127.0.0.1:9/v1", write_problems(tmp_path / "p.jsonl", 60))
    other = save_model(tmp_path / "other", seed=1)
    how = {"type": "local", "n": 2, "sampling": {"max_tokens": 24}, "dtype": "float64", "devices": ["cpu"] * 2, "batch_size": 4}
    recipe["sources"] = [{**how, "model": str(folder)} for folder in (tiny, other)]
    path, run = write_recipe(tmp_path / "r.yaml", recipe), tmp_path / "killed"
    build = start("build", "--recipe", path, "--out", run, "--until", "sample")
    wait_for(lambda: any(file.stat().st_size > 100 for file in run.glob("responses/*")))
    workers = psutil.Process(build.pid).children(recursive=True)
    build.kill()
    build.communicate(timeout=60)
    assert build.returncode == -signal.SIGKILL and not psutil.wait_procs(workers, timeout=10)[1]
    before = rows_of(run, ROWS)
    assert 0 < len(before) < 240
    for folder in (run, tmp_path / "alone"):
        done = datakit("build", "--recipe", path, "--out", folder, "--until", "sample")
        assert done.returncode == 0, done.stderr
    after = rows_of(run, ROWS)
    assert len(after) == 240 and after == rows_of(tmp_path / "alone", ROWS)
    assert [row for row in after if row in before] == before


@pytest.mark.slow
def test_two_builds_of_the_micro_models_are_equal(tmp_path):
    """Other batches, one worker or two: with float32 a last digit may decide, so a sample in two hundred may differ."""
    folders = [MICRO / name for name in ("llama", "gemma2")]
    found = []
    ways: list[dict[str, Any]] = [{"devices": ["cpu"]}, {"devices": ["cpu", "cpu"], "batch_size": 37}]
    for at, fields in enumerate(ways):
        recipe = recipe_over("http://127.0.0.1:9/v1", ROOT / "data" / "math" / "problems.jsonl")
        recipe["prompts"][0]["columns"] = {"prompt": "question", "reference": "answer"}
        sampling = {"temperature": 0.8, "top_p": 0.95, "max_tokens": 128}
        recipe["sources"] = [{"type": "local", "model": str(f), "n": 5, "sampling": sampling, **fields} for f in folders]
        path, run = write_recipe(tmp_path / f"{at}.yaml", recipe), tmp_path / f"run{at}"
        done = datakit("build", "--recipe", path, "--out", run, "--until", "sample", "--limit", 20)
        assert done.returncode == 0, done.stderr
        found.append(rows_of(run, ROWS))
    assert [row["response_id"] for row in found[0]] == [row["response_id"] for row in found[1]] and len(found[0]) == 200
    assert sum(one != two for one, two in zip(*found, strict=True)) <= 1
