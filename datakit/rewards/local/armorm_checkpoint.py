"""ArmoRM folders as published (RLHFlow/ArmoRM-Llama3-8B-v0.1): check their contents without torch, and load them."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datakit import recipe
from datakit.errors import BadInput
from datakit.rewards.local.armorm import HEADER, HEADER_TOKENS, ArmoRM, Heads, last_match
from datakit.rewards.local.checkpoint import (
    Shape,
    chat_template,
    check_tensors,
    check_tokenizer,
    limit_of,
    load_checkpoint,
    positive_fields,
    read_json,
    weight_files,
)
from datakit.rewards.local.conversations import render
from datakit.rewards.local.devices import budget_of

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from transformers import PreTrainedTokenizerBase

FIELDS = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "vocab_size",
          "max_position_embeddings", "num_objectives", "gating_hidden_dim", "gating_n_hidden")  # fmt: skip


def expected_shapes(config: Mapping[str, Any]) -> dict[str, Shape]:
    """Return the name and shape of every tensor in a published checkpoint with this config.json."""
    hidden, inner, objectives = config["hidden_size"], config["intermediate_size"], config["num_objectives"]
    heads = config["num_attention_heads"]
    head_dim = config.get("head_dim") or hidden // heads
    queries, keys = heads * head_dim, (config.get("num_key_value_heads") or heads) * head_dim
    layer: dict[str, Shape] = {
        "self_attn.q_proj": (queries, hidden), "self_attn.k_proj": (keys, hidden), "self_attn.v_proj": (keys, hidden),
        "self_attn.o_proj": (hidden, queries), "mlp.gate_proj": (inner, hidden), "mlp.up_proj": (inner, hidden),
        "mlp.down_proj": (hidden, inner), "input_layernorm": (hidden,), "post_attention_layernorm": (hidden,),
    }  # fmt: skip
    shapes: dict[str, Shape] = {
        "model.embed_tokens.weight": (config["vocab_size"], hidden),
        "model.norm.weight": (hidden,),
        "regression_layer.weight": (objectives, hidden),
        "reward_transform_matrix": (objectives, objectives),
        "gating.logit_scale": (1,),
    }
    for at in range(config["num_hidden_layers"]):
        shapes |= {f"model.layers.{at}.{name}.weight": shape for name, shape in layer.items()}
    widths = [hidden] + [config["gating_hidden_dim"]] * config["gating_n_hidden"] + [objectives]
    for at, (inputs, outputs) in enumerate(pairwise(widths)):
        shapes |= {f"gating.layers.{at}.weight": (outputs, inputs), f"gating.layers.{at}.bias": (outputs,)}
    return shapes


def check(folder: Path, weights: bool = True) -> dict[str, Any]:
    """Refuse a folder that is not an ArmoRM checkpoint, without torch; return its config.json.

    Raises BadInput that names the file and the field, tensor or token.
    """
    config = read_json(folder / "config.json")
    if config.get("model_type") != "llama":
        raise BadInput(f"{folder / 'config.json'}: model_type is {config.get('model_type')!r}; an ArmoRM is a llama")
    positive_fields(folder, config, FIELDS)
    temperature = config.get("gating_temperature")
    if not isinstance(temperature, int | float) or temperature <= 0:
        raise BadInput(f"{folder / 'config.json'}: gating_temperature must be a number above 0; got {temperature!r}")
    if weights:
        check_tensors(folder, expected_shapes(config))
    check_tokenizer(folder, HEADER_TOKENS)
    if HEADER_TOKENS[1] not in chat_template(folder):
        raise BadInput(f"{folder}: its chat template does not write the assistant header {HEADER!r}; use ArmoRM's own")
    return config


def load(reward: recipe.ArmoRM, device: torch.device) -> ArmoRM:
    """Load the model onto a device. Raises BadInput if the checkpoint or its tokenizer cannot be used."""
    from transformers import LlamaModel

    not_its_own = [r"^regression_layer\.", r"^reward_transform_matrix$", r"^gating\."]
    kind = type("ArmoRMBackbone", (LlamaModel,), {"_keys_to_ignore_on_load_unexpected": not_its_own})
    folder, config, tokenizer, backbone = load_checkpoint(reward, check, kind, device)
    return ArmoRM(
        backbone=backbone,
        heads=_load_heads(folder, config, device),
        tokenizer=tokenizer,
        header_ids=_header_ids(folder, tokenizer, config["vocab_size"]),
        limit=limit_of(reward, config["max_position_embeddings"]),
        budget=budget_of(reward, backbone),
    )


def _load_heads(folder: Path, config: Mapping[str, Any], device: torch.device) -> Heads:
    import torch
    from safetensors import safe_open

    wanted = {name for name in expected_shapes(config) if not name.startswith("model.")}
    tensors: dict[str, Tensor] = {}
    for path in weight_files(folder):
        with safe_open(path, framework="pt") as file:
            tensors |= {name: file.get_tensor(name).to(device, torch.float32) for name in wanted & set(file.keys())}
    layers = [f"gating.layers.{at}" for at in range(config["gating_n_hidden"] + 1)]
    return Heads(
        regression=tensors["regression_layer.weight"],
        transform=tensors["reward_transform_matrix"],
        gate=tuple((tensors[f"{layer}.weight"], tensors[f"{layer}.bias"]) for layer in layers),
        logit_scale=tensors["gating.logit_scale"],
        temperature=float(config["gating_temperature"]),
    )


def _header_ids(folder: Path, tokenizer: PreTrainedTokenizerBase, vocab_size: int) -> list[int]:
    """Return the token ids of the assistant header. Raises BadInput if the tokenizer's own chat template does not produce
    them."""
    header: list[int] = tokenizer(HEADER, add_special_tokens=False)["input_ids"]
    text = render(tokenizer, [{"role": "user", "content": "question"}, {"role": "assistant", "content": "answer"}])
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    if last_match(ids, header) is None:
        raise BadInput(f"{folder}: its chat template does not write the assistant header {HEADER!r}; use ArmoRM's own")
    if len(tokenizer) > vocab_size:
        raise BadInput(f"{folder}: the tokenizer has {len(tokenizer)} tokens, config.json's vocab_size is {vocab_size}")
    return header
