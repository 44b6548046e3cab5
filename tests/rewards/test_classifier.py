"""Sequence classifiers of transformers: their own scores one by one, in any batch, for several families of models."""

from __future__ import annotations

import dataclasses
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datakit import rewards
from datakit.errors import BadInput
from datakit.recipe import Classifier as Settings
from datakit.rewards.local.batching import Budget
from datakit.rewards.local.conversations import Tokens
from tests.helpers.later import later
from tests.helpers.tiny_models import CONVERSATIONS, SPECIAL, TEMPLATE, lying_in, make_armorm, make_classifier, talk

torch, transformers = later("torch"), later("transformers")
load_file, save_file = later("safetensors.torch", "load_file"), later("safetensors.torch", "save_file")

FAMILIES = {
    "Llama": {},
    "Qwen2": {},
    "Qwen3": {},
    "Mistral": {"sliding_window": 16},
    "Gemma2": {"sliding_window": 16, "query_pre_attn_scalar": 8},
}


def settings_of(**fields: object) -> Settings:
    return Settings.model_validate({"type": "classifier", "model": "tiny", "revision": "r1", "dtype": "float32"} | fields)


def load(folder: Path, **fields: object) -> Any:
    return rewards.load(lying_in(folder, settings_of(**fields)), ["cpu"])


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


@pytest.fixture(scope="module")
def llama(tmp_path_factory) -> Path:
    return make_classifier(tmp_path_factory.mktemp("llama"))


@pytest.fixture
def copy(llama, tmp_path) -> Path:
    return Path(shutil.copytree(llama, tmp_path / "copy"))


def theirs(folder: Path) -> list[float]:
    """As the model cards have it: chat template, one beginning, the model's own logit, one by one."""
    tokenizer = transformers.PreTrainedTokenizerFast.from_pretrained(folder)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder, dtype="float32").eval()
    found = []
    for messages in CONVERSATIONS:
        text = tokenizer.apply_chat_template(messages, tokenize=False)
        ids = tokenizer(text, add_special_tokens=False, return_tensors="pt")["input_ids"]
        with torch.inference_mode():
            found.append(model(ids).logits[0][0].item())
    return found


@pytest.mark.parametrize("family", FAMILIES)
def test_scores_are_the_models_own_in_any_batch(family, tmp_path):
    folder = make_classifier(tmp_path, family, **FAMILIES[family])
    rewards.check(lying_in(folder, settings_of()))
    model, wanted = load(folder), theirs(folder)
    assert max(wanted) - min(wanted) > 0.05, "scores that tell the conversations apart"
    assert [score.score for m in CONVERSATIONS for score in model.score([m])] == pytest.approx(wanted, abs=1e-5)
    for padding in ("right", "left"):
        for tokens in (60, 300, 5000):
            order = random.Random(tokens).sample(range(len(wanted)), len(wanted))
            batched = dataclasses.replace(model, padding=padding, budget=Budget(tokens))
            scores = [score.score for score in batched.score([CONVERSATIONS[at] for at in order])]
            assert scores == pytest.approx([wanted[at] for at in order], abs=1e-5), (padding, tokens)


def test_a_bfloat16_backbone_has_a_float32_head(llama):
    scores = [score.score for score in load(llama, dtype="bfloat16").score(CONVERSATIONS)]
    assert scores == pytest.approx(theirs(llama), rel=0.1, abs=0.1)
    assert any(torch.tensor(score).bfloat16().item() != score for score in scores), "not on bfloat16's steps"


def set_template(folder: Path, template: str) -> None:
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"chat_template": template}))


def adds_beginning(folder: Path) -> None:
    """The tokenizer itself writes the beginning, as Llama 3's does."""
    path = folder / "tokenizer.json"
    special = {"id": SPECIAL[0], "ids": [256], "tokens": [SPECIAL[0]]}
    begin, text = {"SpecialToken": {"id": SPECIAL[0], "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}
    pair = [begin, text, {"Sequence": {"id": "B", "type_id": 1}}]
    processor = {"type": "TemplateProcessing", "single": [begin, text], "pair": pair, "special_tokens": {SPECIAL[0]: special}}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"post_processor": processor}))


@pytest.mark.parametrize("in_template", [True, False])
@pytest.mark.parametrize("in_tokenizer", [True, False])
def test_there_is_one_beginning_whoever_writes_it(copy, in_template, in_tokenizer):
    if not in_template:
        set_template(copy, TEMPLATE.replace("{{ bos_token }}", ""))
    if in_tokenizer:
        adds_beginning(copy)
    [tokens] = load(copy).encode([talk("Hi", "Hello")])
    assert isinstance(tokens, Tokens)
    assert tokens.ids.count(256) == (1 if in_template or in_tokenizer else 0)


def test_truncation_keeps_the_beginning_and_the_last_turn(llama):
    messages = talk("a" * 200, "b" * 60, "c" * 20, "d" * 50)
    cutting = load(llama, truncate="left")
    [tokens] = cutting.encode([messages])
    assert isinstance(tokens, Tokens) and len(tokens.ids) == 256 and tokens.n_cut > 100
    letters = cutting.tokenizer.convert_ids_to_tokens(tokens.ids)
    text = "".join(letters)
    assert text.startswith(SPECIAL[0]) and "d" * 50 in text and "a" * 200 not in text
    assert "".join(letters[tokens.header :]).startswith("<|start_header_id|>assistant")
    [score] = cutting.score([messages])
    [never] = load(llama).score([messages])
    assert score.n_tokens_cut == tokens.n_cut and never.error == "too_long"
    [alone] = cutting.score([talk("q", "d" * 300)])
    assert alone.error == "too_long" and "the answer alone" in str(alone.message)


def edit(**fields: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "config.json"
        kept = json.loads(path.read_text()) | fields
        path.write_text(json.dumps({name: value for name, value in kept.items() if value is not None}))

    return change


def tensors(change: Callable[[dict], dict]) -> Callable[[Path], None]:
    def rewrite(folder: Path) -> None:
        found = load_file(folder / "model.safetensors")
        save_file(change(found), folder / "model.safetensors", metadata={"format": "pt"})

    return rewrite


BROKEN = {
    "another kind of model": (edit(architectures=["LlamaForCausalLM"]), "architectures is LlamaForCausalLM; a classifier's"),
    "an ArmoRM": (lambda folder: make_armorm(folder), "this is an ArmoRM .*; give it as type: armorm"),
    "two labels": (edit(id2label={"0": "a", "1": "b"}), "2 labels"),
    "no word of labels": (edit(id2label=None, label2id=None, num_labels=None), "2 labels"),
    "no positions": (edit(max_position_embeddings=None), "max_position_embeddings is missing"),
    "no head": (tensors(lambda t: {k: v for k, v in t.items() if k != "score.weight"}), "has no tensor score.weight"),
    "a wider head": (tensors(lambda t: t | {"score.weight": torch.ones(2, 32)}), r"shape \[2, 32\].* says \[1, 32\]"),
    "no template": (lambda folder: set_template(folder, ""), "has no chat_template"),
    "no tokenizer": (lambda folder: (folder / "tokenizer.json").unlink(), r"tokenizer\.json is missing"),
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), r"neither model\.safetensors nor"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_folders_are_refused_before_torch_is_loaded(copy, case):
    breaking, message = BROKEN[case]
    breaking(copy)
    with pytest.raises(BadInput, match=message) as refused:
        rewards.check(lying_in(copy, settings_of()))
    assert str(copy) in str(refused.value)


REFUSED = {
    "unknown architecture": (edit(model_type="nosuch"), "transformers cannot load it"),
    "a tensor too few": (
        tensors(lambda t: {k: v for k, v in t.items() if "layers.1.mlp.up" not in k}),
        r"lacks .*layers\.1\.mlp\.up_proj",
    ),
    "a vocabulary too small": (
        tensors(lambda t: t | {"model.embed_tokens.weight": t["model.embed_tokens.weight"][:259].clone()}),
        "",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_folders_that_transformers_would_patch_up_are_refused(copy, case):
    breaking, message = REFUSED[case]
    breaking(copy)
    if case == "a vocabulary too small":
        edit(vocab_size=259)(copy)
        message = "the tokenizer has 262 tokens, the model knows 259"
    with pytest.raises(BadInput, match=message):
        load(copy)


def test_a_limit_above_the_models_positions_is_refused(llama):
    with pytest.raises(BadInput, match=r"score\.max_tokens: 300 is more than the 256 positions"):
        load(llama, max_tokens=300)


def test_its_name():
    assert rewards.judge_name(settings_of()) == "classifier@r1+dtype=float32"
