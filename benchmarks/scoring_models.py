"""Models for `scoring.py`: the tiny ArmoRM of the test data, a random classifier of about 30M, a random ArmoRM of 8B."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from datakit import recipe, rewards
from datakit.rewards.local.protocol import LocalModel

DATA = Path(os.environ.get("DATAKIT_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
TINY = DATA / "armorm_tiny"


def load_model(kind: str, folder: Path, max_tokens: int, dtype: str = "float32", device: str = "cpu") -> LocalModel:
    """Load a model like a build's worker."""
    values = {"model": str(folder), "revision": "r", "dtype": dtype, "max_tokens": max_tokens}
    section = {"armorm": recipe.ArmoRM, "classifier": recipe.Classifier}[kind]
    reward = section.model_validate({"type": kind, **values})
    reward.locate(Path())
    return rewards.load(reward, [device])


def make_classifier(folder: Path) -> Path:
    """Make a Llama with one label, hidden 512, 8 layers, and the tokenizer and chat template of the tiny ArmoRM."""
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


def make_large_armorm(folder: Path, layers: int, hidden: int) -> Path:
    """Make an ArmoRM with the published shapes (32 layers of 4,096: 8B) and random weights in bfloat16, one shard per layer.

    The tokenizer is the tiny one's, of 1,500 tokens: a text has more tokens than with Llama 3's.
    """
    import torch
    from safetensors.torch import save_file

    from datakit.rewards.local.armorm_checkpoint import expected_shapes

    sizes = {"num_hidden_layers": layers, "hidden_size": hidden, "intermediate_size": hidden * 7 // 2, "head_dim": 128}
    heads = {"num_attention_heads": hidden // 128, "num_key_value_heads": max(1, hidden // 512), "gating_hidden_dim": 1024}
    config = json.loads((TINY / "config.json").read_text()) | sizes | heads | {"vocab_size": 128_256}
    shards: dict[str, dict[str, torch.Tensor]] = {}
    for name, shape in expected_shapes(config).items():
        layer = name.split(".")[2] if name.startswith("model.layers.") else "rest"
        tensor = torch.empty(shape, dtype=torch.bfloat16).normal_(std=0.02)
        shards.setdefault(f"model-{layer}.safetensors", {})[name] = tensor if len(shape) > 1 else torch.ones_like(tensor)
    folder.mkdir()
    for name, tensors in shards.items():
        save_file(tensors, folder / name)
    files = {tensor: name for name, tensors in shards.items() for tensor in tensors}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": files}))
    (folder / "config.json").write_text(json.dumps(config))
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        shutil.copy(TINY / name, folder / name)
    return folder
