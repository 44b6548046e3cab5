"""ArmoRM: golden scores of the published implementation, and a tiny checkpoint made here for everything else."""

from __future__ import annotations

import dataclasses
import gzip
import json
import math
import os
import pickle
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datakit import rewards
from datakit.engine.local import LocalEngine
from datakit.errors import BadInput, MissingExtra
from datakit.recipe import ArmoRM as Settings
from datakit.rewards import Score
from datakit.rewards.local import checkpoint
from datakit.rewards.local.armorm import HEADER, ArmoRM, last_match
from datakit.rewards.local.batching import Budget
from datakit.rewards.local.conversations import Tokens
from datakit.tables import Messages
from tests.helpers.folders import ROOT
from tests.helpers.later import later
from tests.helpers.laws import examples
from tests.helpers.tiny_models import CONFIG, CONVERSATIONS, TEMPLATE, lying_in, make_armorm, talk

torch, transformers, tokenizers = later("torch"), later("transformers"), later("tokenizers")
load_file, save_file = later("safetensors.torch", "load_file"), later("safetensors.torch", "save_file")

GOLDEN = Path(os.environ.get("DATAKIT_TEST_DATA", ROOT / "../shared/data")) / "armorm_tiny"
COMMIT = "eb2676d20da2f2d41082289d23c59b9f7427f955"


def settings_of(**fields: object) -> Settings:
    return Settings.model_validate({"type": "armorm", "model": "tiny", "revision": "r1", "dtype": "float32"} | fields)


def load(folder: Path | None, **fields: object) -> Any:
    return rewards.load(lying_in(folder, settings_of(**fields)), ["cpu"])


def tokens(model: ArmoRM, messages: Messages) -> Tokens:
    [encoded] = model.encode([messages])
    assert isinstance(encoded, Tokens)
    return encoded


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_armorm(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Models this small only wait for each other's threads."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


@pytest.fixture(scope="module")
def model(tiny: Path) -> ArmoRM:
    return load(tiny)


@pytest.fixture
def copy(tiny: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny, tmp_path / "copy"))


def one(model: Any, messages: Messages) -> Score:
    [score] = model.score([messages])
    return score


def values(scores: list[Score]) -> np.ndarray:
    """[conversations, 1 + 2 x objectives]"""
    return np.array([[s.score, *s.objectives, *s.gating] for s in scores])


# ------------------------------------------------------------------------------------------------- the published scores


@pytest.fixture(scope="module")
def golden() -> tuple[ArmoRM, list[dict]]:
    if not GOLDEN.is_dir():
        pytest.skip(f"no golden data at {GOLDEN}: set DATAKIT_TEST_DATA")
    with gzip.open(GOLDEN / "golden.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return load(GOLDEN), rows


@pytest.mark.parametrize("one_of", [4, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("padding", ["right", "left"])
@pytest.mark.parametrize("batch_size", [1, *(pytest.param(n, marks=pytest.mark.slow) for n in (2, 3, 8, 16)), 5, 32])
def test_golden_scores_in_any_order_batch_size_and_padding(golden, batch_size, padding, one_of):
    """By default over one of four rows each, others for each size."""
    model, rows = golden
    rows = random.Random(batch_size).sample(rows, len(rows) // one_of)
    model = dataclasses.replace(model, padding=padding)
    encoded = model.encode([row["messages"] for row in rows])
    scores = [score for at in range(0, len(rows), batch_size) for score in model.score_batch(encoded[at : at + batch_size])]
    assert np.abs(values(scores) - wanted(rows)).max() < 1e-6


@pytest.mark.parametrize("batch_tokens", [1, *(pytest.param(n, marks=pytest.mark.slow) for n in (500, 2048)), 100_000])
def test_golden_scores_with_any_budget(golden, batch_tokens):
    model, rows = golden
    scores = dataclasses.replace(model, budget=Budget(batch_tokens)).score([row["messages"] for row in rows])
    assert np.abs(values(list(scores)) - wanted(rows)).max() < 1e-6


def wanted(rows: list[dict]) -> np.ndarray:
    return np.array([[row["score"], *row["rewards"], *row["gating"]] for row in rows])


def test_golden_token_counts(golden):
    model, rows = golden
    counted = [score.n_tokens for score in model.score([row["messages"] for row in rows])]
    assert counted == [row["n_tokens"] for row in rows]


# ---------------------------------------------------------------------------------------------------------- the formula


def test_formula_by_hand(tiny, model):
    messages = talk("Hi", "Hello", "And now?", "Nothing")
    text = "<|begin_of_text|>" + "".join(
        f"<|start_header_id|>{m['role']}<|end_header_id|>\n\n{m['content']}<|eot_id|>" for m in messages
    )
    ids = tokenizers.Tokenizer.from_file(str(tiny / "tokenizer.json")).encode(text, add_special_tokens=False).ids
    assert tokens(model, messages).ids == ids
    eot, n_answer = ids[-1], len("Nothing") + 1
    header = len(ids) - n_answer - len("assistant") - 5  # <eot> <start> assistant <end> \n \n
    assert ids[header] == eot and tokens(model, messages).header == header
    with torch.inference_mode():
        hidden = model.backbone(torch.tensor([ids])).last_hidden_state[0].double().numpy()
    weights = {name: tensor.double().numpy() for name, tensor in load_file(tiny / "model.safetensors").items()}
    rewards = weights["regression_layer.weight"] @ hidden[-1]
    gate = hidden[header]
    for at in range(4):
        gate = weights[f"gating.layers.{at}.weight"] @ gate + weights[f"gating.layers.{at}.bias"]
        gate = np.maximum(gate, 0) if at < 3 else np.exp(gate / 10)
    gating = gate / gate.sum() * weights["gating.logit_scale"][0]
    score = float(gating @ (rewards @ weights["reward_transform_matrix"]))
    assert np.abs(values([one(model, messages)])[0] - np.array([score, *rewards, *gating])).max() < 2e-5


def test_backbone_follows_the_published_config(model, copy):
    assert model.backbone.config.rope_parameters["rope_theta"] == 500000
    assert not model.backbone.training
    (copy / "config.json").write_text(json.dumps(CONFIG | {"rope_theta": 100.0}))
    other = load(copy)
    assert abs(one(other, CONVERSATIONS[1]).score - one(model, CONVERSATIONS[1]).score) > 1e-4


def test_sharded_checkpoint_gives_the_same_scores(model, copy):
    tensors = load_file(copy / "model.safetensors")
    (copy / "model.safetensors").unlink()
    names = sorted(tensors)
    files = {name: f"model-0000{1 + at % 3}-of-00003.safetensors" for at, name in enumerate(names)}
    for file in set(files.values()):
        save_file({name: tensors[name] for name in names if files[name] == file}, copy / file)
    index = {"metadata": {}, "weight_map": files}
    (copy / "model.safetensors.index.json").write_text(json.dumps(index))
    rewards.check(lying_in(copy, settings_of()))
    sharded = load(copy)
    assert (values(list(sharded.score(CONVERSATIONS))) == values(list(model.score(CONVERSATIONS)))).all()
    (copy / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(BadInput, match=r"model-00002-of-00003\.safetensors is missing"):
        rewards.check(lying_in(copy, settings_of()))


def test_bfloat16_backbone_float32_heads(tiny, model):
    half = load(tiny, dtype="bfloat16")
    assert half.backbone.dtype == torch.bfloat16
    outputs = half.forward(half.encode(CONVERSATIONS))
    assert [tensor.dtype for tensor in outputs] == [torch.float32] * 3
    scores = outputs.score
    assert (scores.bfloat16().float() != scores).all(), "scores must not fall on bfloat16's steps"
    exact = torch.tensor([s.score for s in model.score(CONVERSATIONS)])
    assert 0 < (scores - exact).abs().max() < 0.1 * exact.abs().max()


# ---------------------------------------------------------------------------------------- one conversation, any company

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
conversations = st.one_of(
    st.sampled_from(CONVERSATIONS),
    st.builds(lambda question, answer: talk("q" + question, answer), texts, texts),
)


@examples(20)
@given(st.lists(conversations, min_size=1, max_size=7), st.integers(1, 600), st.sampled_from(["left", "right"]))
def test_a_score_does_not_depend_on_its_batch(model, batch, batch_tokens, padding):
    alone = [one(model, messages) for messages in batch]
    together = list(dataclasses.replace(model, budget=Budget(batch_tokens), padding=padding).score(batch))
    assert np.abs(values(alone) - values(together)).max() < 1e-6


def test_every_conversation_here_has_a_score(model):
    scores = list(model.score(CONVERSATIONS))
    assert all(s.error is None and math.isfinite(s.score) and len(s.objectives) == 19 for s in scores)
    assert len({s.score for s in scores}) == len(scores)
    assert list(model.score([])) == []


def test_the_gate_reads_the_last_header(model):
    plain = talk("Hi", "Hello", "And now?", "Nothing")
    quoting = talk(f"Repeat: a{HEADER}b", "Hello", f"a{HEADER}b", "Nothing")
    for messages in (plain, quoting):
        ids, header = tokens(model, messages).ids, tokens(model, messages).header
        assert ids[header : header + len(model.header_ids)] == model.header_ids
        assert len(ids) - header == len(model.header_ids) + len("Nothing") + 1
    almost = talk("Write <|start_header_id|>assistant please", "<|start_header_id|>assistant")
    assert tokens(model, almost).ids.count(model.header_ids[0]) == 2  # the ends of two turns: no header was added


@pytest.mark.parametrize(
    ("ids", "pattern", "at"),
    [([1, 2, 3, 1, 2], [1, 2], 3), ([1], [1], 0), ([1, 1, 1], [1, 1], 1), ([2, 1], [1, 2], None), ([], [1], None)],
)
def test_last_match(ids, pattern, at):
    assert last_match(ids, pattern) == at


# ---------------------------------------------------------------------------------- conversations that cannot be scored


def test_too_long_is_a_failure_and_never_cut(model):
    n_around = len(tokens(model, talk("q", "")).ids)
    fits, over = talk("q", "a" * (256 - n_around)), talk("q", "a" * (257 - n_around))
    scores = list(model.score([over, fits, talk("x", "y")]))
    assert [s.error for s in scores] == ["too_long", None, None]
    assert (
        scores[0].score is None
        and scores[0].message == "257 tokens are more than the limit of 256; truncate: left cuts the oldest"
    )


@pytest.mark.parametrize(
    ("messages", "error"),
    [
        ([], "no_answer"),
        (talk("only a question"), "no_answer"),
        ([{"role": "assistant", "content": "an answer to nothing"}], "no_header"),
        ([{"role": "tool", "content": "x"}, {"role": "assistant", "content": "y"}], "template"),
        (talk("half a pair \ud83d", "y"), "not_unicode"),
    ],
)
def test_what_cannot_be_scored_spoils_nothing_else(model, messages, error):
    first, bad, last = model.score([CONVERSATIONS[0], messages, CONVERSATIONS[1]])
    assert bad.score is None and bad.objectives is None and bad.error == error and bad.message
    assert first.score == pytest.approx(one(model, CONVERSATIONS[0]).score, abs=1e-6)
    assert last.score == pytest.approx(one(model, CONVERSATIONS[1]).score, abs=1e-6)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_not_finite_is_a_failure(model, value):
    heads = dataclasses.replace(model.heads, regression=torch.full_like(model.heads.regression, value))
    score = one(dataclasses.replace(model, heads=heads), CONVERSATIONS[0])
    assert (score.score, score.objectives, score.error) == (None, None, "not_finite")


# ------------------------------------------------------------------------------------------ folders that cannot be used


def edit(path: Path, **fields: object) -> None:
    """Set fields of a JSON file; None removes one."""
    kept = json.loads(path.read_text()) | fields
    path.write_text(json.dumps({name: value for name, value in kept.items() if value is not None}))


def without_tensor(folder: Path, name: str) -> None:
    tensors = load_file(folder / "model.safetensors")
    del tensors[name]
    save_file(tensors, folder / "model.safetensors")


def reshaped(folder: Path, name: str) -> None:
    tensors = load_file(folder / "model.safetensors")
    save_file(tensors | {name: tensors[name][1:].clone()}, folder / "model.safetensors")


CHATML = "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
BROKEN = {
    "no config": (lambda f: (f / "config.json").unlink(), r"config\.json is missing"),
    "config is no JSON": (lambda f: (f / "config.json").write_text("{"), r"config\.json: cannot be read as JSON"),
    "config is a list": (lambda f: (f / "config.json").write_text("[]"), "is not a JSON object"),
    "another model": (lambda f: edit(f / "config.json", model_type="qwen2"), "model_type is 'qwen2'"),
    "no objectives": (lambda f: edit(f / "config.json", num_objectives=None), "num_objectives is missing"),
    "no gate width": (lambda f: edit(f / "config.json", gating_hidden_dim="12"), "gating_hidden_dim is '12', not a"),
    "no temperature": (lambda f: edit(f / "config.json", gating_temperature=None), "gating_temperature must be"),
    "no regression": (lambda f: without_tensor(f, "regression_layer.weight"), "no tensor regression_layer.weight"),
    "no scale": (lambda f: without_tensor(f, "gating.logit_scale"), "no tensor gating.logit_scale"),
    "no layer": (lambda f: without_tensor(f, "model.layers.1.mlp.up_proj.weight"), "model.layers.1.mlp.up_proj.weight"),
    "shape": (lambda f: reshaped(f, "reward_transform_matrix"), r"has shape \[18, 19\], config.json says \[19, 19\]"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "neither model.safetensors nor"),
    "LFS pointer": (lambda f: (f / "model.safetensors").write_text("version https://git-lfs"), "Git LFS pointer"),
    "empty file": (lambda f: (f / "model.safetensors").write_bytes(b""), "is not a safetensors file"),
    "cut off": (lambda f: os.truncate(f / "model.safetensors", 30_000), "has 30000 bytes where its header says"),
    "no template": (lambda f: edit(f / "tokenizer_config.json", chat_template=None), "has no chat_template"),
    "template": (lambda f: edit(f / "tokenizer_config.json", chat_template=CHATML), "does not write the assistant header"),
    "LFS tokenizer": (lambda f: (f / "tokenizer.json").write_text("version https://git-lfs"), r"tokenizer\.json.*LFS pointer"),
    "no tokenizer": (lambda f: (f / "tokenizer.json").unlink(), r"tokenizer\.json is missing"),
    "no header": (lambda f: edit(f / "tokenizer.json", added_tokens=[]), "has no token <|eot_id|>".replace("|", r"\|")),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_broken_folders_are_refused(copy, case):
    breaking, message = BROKEN[case]
    breaking(copy)
    with pytest.raises(BadInput, match=message) as refused:
        rewards.check(lying_in(copy, settings_of()))
    assert str(copy) in str(refused.value)
    with pytest.raises(BadInput, match=message):
        rewards.scoring_worker(lying_in(copy, settings_of()), ["cpu"])


@pytest.mark.parametrize("name", [None, "LlamaTokenizer", "PreTrainedTokenizer"])
def test_tokenizer_json_is_used_as_it_is(model, copy, name):
    edit(copy / "tokenizer_config.json", tokenizer_class=name)
    other = load(copy)
    assert other.encode(CONVERSATIONS) == model.encode(CONVERSATIONS)


def test_a_template_in_a_file_of_its_own(model, copy):
    edit(copy / "tokenizer_config.json", chat_template=None)
    (copy / "chat_template.jinja").write_text(TEMPLATE)
    rewards.check(lying_in(copy, settings_of()))
    assert one(load(copy), CONVERSATIONS[0]) == one(model, CONVERSATIONS[0])


def test_a_template_that_writes_another_header_is_refused_when_it_is_loaded(copy):
    edit(copy / "tokenizer_config.json", chat_template=TEMPLATE.replace("\n\n{{ m['content']", "\n{{ m['content']"))
    rewards.check(lying_in(copy, settings_of()))
    with pytest.raises(BadInput, match="does not write the assistant header"):
        rewards.scoring_worker(lying_in(copy, settings_of()), ["cpu"])


def test_a_limit_above_the_models_positions_is_refused_at_start(copy):
    rewards.check(lying_in(copy, settings_of(max_tokens=256)))
    with pytest.raises(BadInput, match=r"score\.max_tokens: 257 is more than the 256 positions"):
        rewards.check(lying_in(copy, settings_of(max_tokens=257)))


def test_tensors_that_the_config_wants_further_are_refused(copy):
    edit(copy / "config.json", attention_bias=True)
    with pytest.raises(BadInput, match=r"lacks .*q_proj\.bias"):
        rewards.scoring_worker(lying_in(copy, settings_of()), ["cpu"])


def test_a_vocabulary_larger_than_the_embeddings_is_refused(copy):
    edit(copy / "config.json", vocab_size=200, pad_token_id=0, bos_token_id=0, eos_token_id=0)
    tensors = load_file(copy / "model.safetensors")
    tensors["model.embed_tokens.weight"] = tensors["model.embed_tokens.weight"][:200].clone()
    save_file(tensors, copy / "model.safetensors")
    with pytest.raises(BadInput, match=r"has 262 tokens, config\.json's vocab_size is 200"):
        rewards.scoring_worker(lying_in(copy, settings_of()), ["cpu"])


@pytest.mark.parametrize("device", ["nonsense", "cuda:99"])
def test_a_device_that_is_not_there(tiny, device):
    with pytest.raises(BadInput, match=rf"score\.devices: {device} cannot be used here"):
        rewards.scoring_worker(lying_in(tiny, settings_of()), [device])


# ----------------------------------------------------------------------------------------------- the hub, and the names


@pytest.mark.parametrize("revision", [None, "main", "eb2676d"])
def test_a_hub_model_must_be_pinned(revision):
    with pytest.raises(BadInput, match=r"score\.revision: org/name is read from the hub, so pin the commit"):
        rewards.check(settings_of(model="org/name", revision=revision))


def test_a_pinned_hub_model_is_fetched_and_loaded(tiny, monkeypatch):
    asked = []

    def fetch(model, **how):
        asked.append((model, how["revision"], how["allow_patterns"]))
        return str(tiny)

    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    reward = settings_of(model="org/name", revision=COMMIT)
    rewards.check(reward)
    assert one(rewards.load(reward, ["cpu"]), CONVERSATIONS[0]).score
    assert rewards.judge_name(reward) == f"armorm@{COMMIT}+dtype=float32"
    assert asked == [("org/name", COMMIT, ["*.json", "*.jinja", "*.safetensors"])], "and no Python file"


def test_a_hub_model_is_looked_at_without_its_weights(copy, monkeypatch):
    (copy / "model.safetensors").unlink()
    asked = []

    def fetch(_, **how):
        asked.append(how["allow_patterns"])
        return str(copy)

    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    rewards.find_on_hub(settings_of(model="org/name", revision=COMMIT))
    assert asked == [["*.json", "*.jinja"]]
    with pytest.raises(BadInput, match=r"score\.max_tokens: 999 is more than the 256 positions"):
        rewards.find_on_hub(settings_of(model="org/name", revision=COMMIT, max_tokens=999))
    (copy / "config.json").write_text('{"model_type": "qwen2"}')
    with pytest.raises(BadInput, match=r"model_type is 'qwen2'; an ArmoRM is a llama"):
        rewards.find_on_hub(settings_of(model="org/name", revision=COMMIT))


def test_a_hub_that_does_not_answer(monkeypatch):
    def fail(*_: object, **__: object) -> str:
        raise OSError("no route\nto host")

    monkeypatch.setattr("huggingface_hub.snapshot_download", fail)
    with pytest.raises(BadInput, match=r"score\.model: org/name at revision eb2.* cannot be fetched: no route to host"):
        checkpoint.download("org/name", COMMIT)


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"dtype": "bfloat16"}, "armorm@r1"),
        ({}, "armorm@r1+dtype=float32"),
        ({"dtype": "bfloat16", "exact": True}, "armorm@r1+exact=true"),
        ({"dtype": "bfloat16", "truncate": "left", "max_tokens": 4096}, "armorm@r1+max_tokens=4096+truncate=left"),
        ({"dtype": "bfloat16", "batch_tokens": 5, "devices": ["cpu"], "objectives": True}, "armorm@r1"),
    ],
)
def test_a_judges_name_says_what_shapes_its_scores(fields, name):
    assert rewards.judge_name(settings_of(**fields)) == name


def test_a_judge_without_a_revision_has_no_name():
    with pytest.raises(BadInput, match=r"score\.revision"):
        rewards.judge_name(settings_of(revision=None))


def test_a_missing_package_names_the_extra(tiny, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtra, match=r"scoring with armorm needs the package 'torch'.*\[local\]"):
        rewards.scoring_worker(lying_in(tiny, settings_of()), ["cpu"])


def test_checking_imports_nothing_heavy(tiny):
    code = (
        "import sys; from pathlib import Path; from datakit import rewards; from datakit.recipe import ArmoRM\n"
        f"reward = ArmoRM(type='armorm', model={str(tiny)!r}); reward.locate(Path()); rewards.check(reward)\n"
        "print(sorted({'torch', 'transformers', 'safetensors', 'huggingface_hub', 'jinja2'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# ----------------------------------------------------------------------------------------------------------- the worker


def test_worker_rows_in_order(model):
    rows = [{"response_id": str(at), "messages": messages} for at, messages in enumerate(CONVERSATIONS)]
    rows.insert(1, {"response_id": "long", "messages": talk("q", "a" * 300)})
    results = list(rewards.score_rows(model, rows, with_objectives=True))
    scores = list(model.score([row["messages"] for row in rows]))
    columns = ["score", "objectives", "n_tokens", "n_tokens_cut", "error", "message"]
    assert [list(result) for result in results] == [columns] * len(rows)
    assert [result["score"] for result in results] == [s.score for s in scores]
    assert [result["error"] for result in results] == [None, "too_long", *[None] * 7]
    assert results[1]["objectives"] is None and len(results[0]["objectives"]) == 19
    assert all(type(value) is float for value in results[0]["objectives"])
    assert all(result["objectives"] is None for result in rewards.score_rows(model, rows))


@pytest.mark.slow
def test_worker_in_a_process_of_its_own(tiny, model):
    start = partial(rewards.scoring_worker, lying_in(tiny, settings_of()), ["cpu"])
    rows = [{"response_id": str(at), "messages": messages} for at, messages in enumerate(CONVERSATIONS)]
    results = list(LocalEngine(workers=1).map(pickle.loads(pickle.dumps(start)), [rows[:3], rows[3:]], None))
    found = {result.row["response_id"]: result.value["score"] for result in results}
    wanted = {str(at): s.score for at, s in enumerate(model.score(CONVERSATIONS))}
    assert found == pytest.approx(wanted, abs=1e-6)


def test_it_is_silent_and_runs_no_remote_code(tiny, capfd):
    assert one(load(tiny), talk("q", "a" * 300)).error == "too_long"
    out, err = capfd.readouterr()
    assert out == "" and err == ""
