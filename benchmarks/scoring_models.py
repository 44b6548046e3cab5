"""Models for `scoring.py`: the tiny ArmoRM of the test data, and a classifier of about 30M random parameters made here."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from datakit import recipe, rewards
from datakit.rewards.selfcheck import LocalModel

DATA = Path(os.environ.get("DATAKIT_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
TINY = DATA / "armorm_tiny"


def load_model(kind: str, folder: Path, max_tokens: int, dtype: str = "float32") -> LocalModel:
    """The model as a build's worker has it, on the CPU."""
    values = {"model": str(folder), "revision": "r", "dtype": dtype, "max_tokens": max_tokens}
    section = {"armorm": recipe.ArmoRM, "classifier": recipe.Classifier}[kind]
    return rewards.load(section.model_validate({"type": kind, **values}), folder, ["cpu"])


def make_classifier(folder: Path) -> Path:
    """A Llama with one label, hidden 512, 8 layers, and the tokenizer and chat template of the tiny ArmoRM."""
    import torch
    from transformers import LlamaConfig, LlamaForSequenceClassification

    torch.manual_seed(0)
    tiny = json.loads((TINY / "config.json").read_text())
    config = LlamaConfig(
        hidden_size=512,
        intermediate_size=1792,
        num_hidden_layers=8,
        num_attention_heads=8,
        num_key_value_heads=8,
        vocab_size=tiny["vocab_size"],
        max_position_embeddings=4096,
        num_labels=1,
        pad_token_id=tiny["pad_token_id"],
    )
    LlamaForSequenceClassification(config).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        shutil.copy(TINY / name, folder / name)
    return folder
