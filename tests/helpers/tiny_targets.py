"""A tiny chat model, its tokenizer and hand-made exports, all written on the spot: no download, a few milliseconds."""

import json
from pathlib import Path
from typing import Any

import polars as pl

TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
SPECIAL = ["<|pad|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>"]


def make_tokenizer():
    """One token a character, so that a length in the tests is a length one can count."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = [chr(code) for code in range(32, 127)] + ["\n"]
    vocabulary = {token: index for index, token in enumerate(SPECIAL + letters)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=" "))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.decoder = decoders.Fuse()
    tokenizer.add_special_tokens(SPECIAL)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<|pad|>", eos_token="<|end|>")
    fast.chat_template = TEMPLATE
    return fast


def save_model(folder: Path, *, seed: int = 0, chat_template: bool = True) -> Path:
    """A random two-layer Llama with 32 dimensions, saved with its tokenizer."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = make_tokenizer()
    if not chat_template:
        tokenizer.chat_template = None
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=256, pad_token_id=0, eos_token_id=1, bos_token_id=None,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def user(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def assistant(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]


def sft_rows(n: int = 16) -> list[dict]:
    return [
        {"prompt": user(f"{i}+1?"), "completion": assistant(f"{i} + 1 = {i + 1}"), "prompt_id": f"p{i}", "source": "sums",
         "model": "m", "response_id": f"r{i}", "score": 0.5}
        for i in range(n)
    ]  # fmt: skip


def dpo_rows(n: int = 16) -> list[dict]:
    return [
        {"prompt": user(f"{i}+1?"), "chosen": assistant(f"{i} + 1 = {i + 1}"), "rejected": assistant("no" + "o" * (i % 5)),
         "prompt_id": f"p{i}", "source": "sums", "model": "m", "chosen_id": f"c{i}", "rejected_id": f"j{i}",
         "chosen_score": 0.6, "rejected_score": 0.5, "margin": 0.1, "log_length_ratio": 0.2}
        for i in range(n)
    ]  # fmt: skip


def wrpo_rows(n: int = 16) -> list[dict]:
    """Pairs of the target with the answer of a source, sometimes longer than both, sometimes shorter."""
    return [
        {**row, "source_chosen": assistant(f"it is {i + 1}" + ", surely" * (i % 3)), "source_model": "other",
         "source_chosen_score": 0.7}
        for i, row in enumerate(dpo_rows(n))
    ]  # fmt: skip


def fuse_rows(n: int = 16) -> list[dict]:
    """Demos as a teacher reads them that has this tokenizer: the text's letter .6, the next one of the alphabet .3."""
    ids = make_tokenizer().get_vocab()
    rows = []
    for row in sft_rows(n):
        own = [ids[letter] for letter in row["completion"][0]["content"]]
        tokens = [*own, ids["<|end|>"]]
        top = [[id, id + 1 if id > len(SPECIAL) and id + 1 < len(ids) else ids["~"]] for id in tokens]
        rows.append(
            {key: row[key] for key in ("prompt", "completion", "prompt_id", "response_id", "model")}
            | {"weight": 1.0, "teacher": "m", "teacher_revision": None, "token_ids": tokens,
               "ends": [*range(1, len(own) + 1), len(own)], "token_logprobs": [-0.5108256] * len(tokens),
               "top_ids": [id for both in top for id in both], "top_logprobs": [-0.5108256, -1.2039728] * len(tokens)}
        )  # fmt: skip
    return rows


def write_vocabulary(folder: Path) -> None:
    """What the tokens of fuse_rows stand for."""
    ids = make_tokenizer().get_vocab()
    spelt = [None if token in SPECIAL else token.encode().hex() for token in sorted(ids, key=ids.__getitem__)]
    schema: dict[str, Any] = {"teacher": pl.String, "teacher_revision": pl.String, "token_hex": pl.List(pl.String)}
    pl.DataFrame([("m", None, spelt)], schema=schema, orient="row").write_parquet(folder / "vocabulary.parquet")


ROWS = {"sft": sft_rows, "dpo": dpo_rows, "wrpo": wrpo_rows, "fuse": fuse_rows}


def write_export(folder: Path, kind: str, rows: list[dict] | None = None, manifest: dict | None = None) -> Path:
    """An export folder as datakit writes it."""
    rows = ROWS[kind]() if rows is None else rows
    folder.mkdir(parents=True, exist_ok=True)
    schema = pl.DataFrame(ROWS[kind](1)).schema
    frame = pl.DataFrame(rows, schema=schema) if not rows else pl.DataFrame(rows)
    frame.write_parquet(folder / "train.parquet")
    if kind == "fuse":
        write_vocabulary(folder)
    content = {"kind": "fusion" if kind == "fuse" else kind, "rows": len(rows), "recipe_digest": "0123abcd"} | (manifest or {})
    (folder / "manifest.json").write_text(json.dumps(content))
    (folder / "README.md").write_text("# A test export\n")
    return folder
