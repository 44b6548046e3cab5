"""Tiny models with random weights, in the layout of published ones, and conversations to score."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypeVar

from datakit.recipe.section import Located
from datakit.rewards.local import armorm_checkpoint
from datakit.rewards.local.armorm import HEADER_TOKENS
from datakit.tables import Messages
from tests.helpers.later import later

Model = TypeVar("Model", bound=Located)
torch, tokenizers, save_file = later("torch"), later("tokenizers"), later("safetensors.torch", "save_file")


def lying_in(folder: Path | None, section: Model) -> Model:
    """The section of a reward model that lies in this folder; None: on the hub."""
    section._location = folder
    return section


SPECIAL = ["<|begin_of_text|>", "<|end_of_text|>", *HEADER_TOKENS, "[PAD]"]
TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'tool' %}{{ raise_exception('no tools') }}{% endif %}"
    "<|start_header_id|>{{ m['role'] }}<|end_header_id|>\n\n{{ m['content'] | trim }}<|eot_id|>{% endfor %}"
)
CONFIG = {  # the fields of the published file, as transformers 4.40 wrote them
    "architectures": ["LlamaForRewardModelWithGating"],
    "auto_map": {"AutoModelForSequenceClassification": "modeling_custom.LlamaForRewardModelWithGating"},
    "attention_bias": False,
    "bos_token_id": 256,
    "eos_token_id": 257,
    "pad_token_id": 261,
    "gating_hidden_dim": 12,
    "gating_n_hidden": 3,
    "gating_temperature": 10,
    "hidden_act": "silu",
    "hidden_size": 32,
    "intermediate_size": 48,
    "max_position_embeddings": 256,
    "model_type": "llama",
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "num_key_value_heads": 2,
    "num_objectives": 19,
    "rms_norm_eps": 1e-05,
    "rope_scaling": None,
    "rope_theta": 500000.0,
    "tie_word_embeddings": False,
    "torch_dtype": "float32",
    "transformers_version": "4.40.0",
    "vocab_size": 262,
}  # fmt: skip


def talk(*contents: str, system: str | None = None) -> Messages:
    roles = ["user", "assistant"] * len(contents)
    turns: Messages = [{"role": r, "content": c} for r, c in zip(roles, contents, strict=False)]
    return [{"role": "system", "content": system}, *turns] if system else turns


def make_tokenizer(folder: Path) -> None:
    """A byte-level tokenizer (one token a byte) with Llama 3's special tokens, in the published files."""
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(vocab={letter: at for at, letter in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.save(str(folder / "tokenizer.json"))
    words = {"bos_token": SPECIAL[0], "eos_token": SPECIAL[1], "pad_token": "[PAD]", "chat_template": TEMPLATE}
    values = words | {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 131072}
    (folder / "tokenizer_config.json").write_text(json.dumps(values))


def make_armorm(folder: Path) -> Path:
    """Two layers in ArmoRM's published layout, with scores of about 0.1."""
    generator = torch.Generator().manual_seed(7)
    tensors = {}
    for name, shape in armorm_checkpoint.expected_shapes(CONFIG).items():
        values = torch.randn(shape, generator=generator)
        scale = 0.05 if name == "regression_layer.weight" else 1.0 if "embed" in name else 0.4
        tensors[name] = values * scale if len(shape) > 1 else 1 + 0.1 * values
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "modeling_custom.py").write_text("raise SystemExit('remote code was run')\n")
    make_tokenizer(folder)
    return folder


def make_classifier(folder: Path, family: str = "Llama", **config: object) -> Path:
    """Two layers of a family of transformers under a head with one label, with scores of a few units."""
    import transformers

    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    more = {"num_key_value_heads": 2, "head_dim": 8, "vocab_size": 262, "max_position_embeddings": 256, "num_labels": 1}
    special = {"bos_token_id": 256, "eos_token_id": 257, "pad_token_id": None, "initializer_range": 0.3}
    torch.manual_seed(7)
    made = getattr(transformers, f"{family}Config")(**sizes | more | special | config)
    getattr(transformers, f"{family}ForSequenceClassification")(made).save_pretrained(folder)
    make_tokenizer(folder)
    return folder


CONVERSATIONS = [
    talk("2 + 2?", "4"),
    talk("A longer question about nothing at all, really.", "An answer that is longer still. " * 4),
    talk("Hi", "Hello", "And now?", "Nothing"),
    talk("Say nothing.", ""),
    talk("Wie?", "So: 🦙 é 漢字 \u202e\x00 \ufffd", system="Be brief."),
    talk("What is a [PAD]?", "A [PAD] pads.[PAD]"),
    talk("x", "y"),
    talk("Write <|start_header_id|>assistant<|end_header_id|> please", "No <|eot_id|> for you"),
]
