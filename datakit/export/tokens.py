"""The lengths of an export's rows in tokens of the model that is trained on them."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from typing import Any

import polars as pl

from datakit.errors import BadInput, needs_extra
from datakit.tables import Row

SIZES = {"1k": 1024, "2k": 2048, "4k": 4096}
BATCH = 1_000


def count_tokens(parts: Iterable[pl.DataFrame], name: str) -> Row:
    """Count the tokens of each row: prompt and answer (the longer one of a pair), rendered with the tokenizer's chat template.

    `name` is a folder or a hub id. Returns how many rows exceed each of SIZES, the median and the maximum.
    Raises BadInput if the tokenizer cannot be found, has no chat template, or its template refuses the messages.
    """
    with needs_extra("train", "export --tokenizer"):
        from transformers import AutoTokenizer
    try:
        tokenizer = AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise BadInput(f"--tokenizer {name}: no tokenizer there ({' '.join(str(error).split())[:200]})") from error
    if tokenizer.chat_template is None:
        raise BadInput(f"--tokenizer {name}: it has no chat template; give the folder of an instruct model")
    lengths: list[int] = []
    for rows in parts:
        answers = [side for side in ("completion", "chosen", "rejected") if side in rows.columns]
        lengths += [max(found) for found in zip(*(_lengths(rows, side, tokenizer, name) for side in answers), strict=True)]
    return {
        "tokenizer": name,
        "rows": len(lengths),
        "rows_over": {size: sum(length > limit for length in lengths) for size, limit in SIZES.items()},
        "median": statistics.median(lengths) if lengths else 0,
        "max": max(lengths, default=0),
    }


def _lengths(rows: pl.DataFrame, side: str, tokenizer: Any, name: str) -> list[int]:
    from jinja2 import TemplateError

    lengths: list[int] = []
    for part in rows.select("prompt", side).iter_slices(BATCH):
        conversations = [prompt + answer for prompt, answer in part.iter_rows()]
        try:
            texts = [tokenizer.apply_chat_template(messages, tokenize=False) for messages in conversations]
        except TemplateError as error:
            raise BadInput(f"--tokenizer {name}: its chat template refuses a row: {error}") from error
        lengths += map(len, tokenizer(texts, add_special_tokens=False)["input_ids"])
    return lengths
