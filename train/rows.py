"""The rows for TRL: those of all `--data` together, in one form, with some of the prompts held out.

Which rows are held out depends only on a hash of their prompts: not on their order, nor on the other data.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

from train.data import COLUMNS, TEACHERS, Data, is_parquet
from train.errors import TrainError

if TYPE_CHECKING:
    from datasets import Dataset

Row = dict[str, Any]


def load_rows(
    data: Sequence[Data], weights: Sequence[float] | None, eval_share: float, row_weights: Sequence[float] = ()
) -> tuple[Dataset, Dataset | None]:
    """Return the rows to train on and those to evaluate on, in the columns of COLUMNS.

    `weights`: one per data, see `weighted`. `eval_share`: the share of the prompts that is held out with all their rows; if it
    is 0, the test splits of exports are evaluated on. `row_weights`: for fuse, one per data, multiplied by the column `weight`.
    """
    from datasets import concatenate_datasets

    parts = [_load(one, one.files) for one in data]
    if weights:
        counts = weighted([len(part) for part in parts], weights)
        parts = [_first(part, count) for part, count in zip(parts, counts, strict=True)]
    parts = [_heavier(part, number) for part, number in zip(parts, row_weights or [1.0] * len(parts), strict=True)]
    rows = concatenate_datasets(parts)
    if not eval_share:
        tests = [_load(one, one.test_files) for one in data if one.test_files]
        return rows, concatenate_datasets(tests) if tests else None
    keys = _keys(rows)
    ordered = sorted(set(keys))
    held = set(ordered[: max(1, round(eval_share * len(ordered)))])
    train = rows.select([index for index, key in enumerate(keys) if key not in held])
    if not len(train):
        names = ", ".join(str(one.path) for one in data)
        raise TrainError(f"--eval_share {eval_share}: holds out every prompt of {names}; give a smaller share")
    return train, rows.select([index for index, key in enumerate(keys) if key in held])


def _heavier(rows: Dataset, number: float) -> Dataset:
    return rows if number == 1.0 else rows.map(lambda row: {"weight": row["weight"] * number}, desc="Weighing rows")


def weighted(counts: Sequence[int], weights: Sequence[float]) -> list[int]:
    """Return how many rows of each data to take: in proportion to the weights, none twice, and all rows of at least one.

    >>> weighted([100, 10], [1, 0.5])
    [20, 10]
    """
    each = min(rows / weight for rows, weight in zip(counts, weights, strict=True))
    return [min(rows, max(1, math.floor(each * weight + 1e-9))) for rows, weight in zip(counts, weights, strict=True)]


def _load(data: Data, files: Sequence[Path]) -> Dataset:
    from datasets import load_dataset

    form = "parquet" if is_parquet(files[0]) else "json"
    rows = load_dataset(form, data_files=[str(file) for file in files], split="train")
    if data.kind == "fuse":
        return rows.select_columns([*data.columns, *TEACHERS])
    rows = rows.select_columns(list(data.columns))
    wanted = _features(data)
    if rows.features == wanted:
        return rows
    divide = _DIVIDE.get(data.columns, _same)
    return rows.map(
        lambda row: {name: _plain(value) for name, value in divide(row).items()},
        features=wanted,
        remove_columns=list(data.columns),
        desc=f"Reading {data.path}",
    )


def _features(data: Data) -> Any:
    from datasets import Features, List, Value

    text = Value("string")
    return Features({name: text if data.is_text else List({"role": text, "content": text}) for name in COLUMNS[data.kind]})


def _plain(value: Any) -> Any:
    """Reduce messages to role and content; data from elsewhere may have more fields, such as names or null tool calls."""
    return [{"role": one["role"], "content": one["content"]} for one in value] if isinstance(value, list) else value


def _same(row: Row) -> Row:
    return row


def _last_answer(row: Row) -> Row:
    return {"prompt": row["messages"][:-1], "completion": row["messages"][-1:]}


def _common_prompt(row: Row) -> Row:
    """Split off the common beginning of both conversations as the prompt; each keeps at least one message."""
    chosen, rejected = row["chosen"], row["rejected"]
    shared = 0
    while shared < min(len(chosen), len(rejected)) - 1 and chosen[shared] == rejected[shared]:
        shared += 1
    return {"prompt": chosen[:shared], "chosen": chosen[shared:], "rejected": rejected[shared:]}


_DIVIDE: dict[tuple[str, ...], Callable[[Row], Row]] = {("messages",): _last_answer, ("chosen", "rejected"): _common_prompt}


def _keys(rows: Dataset) -> list[bytes]:
    """Return a hash of each row's prompt."""
    return [blake2b(json.dumps(prompt, sort_keys=True).encode()).digest() for prompt in rows["prompt"]]


def _first(rows: Dataset, count: int) -> Dataset:
    """Return the `count` rows whose prompts' hashes are lowest, in the data's own order."""
    if count >= len(rows):
        return rows
    keys = _keys(rows)
    taken = sorted(range(len(rows)), key=lambda index: (keys[index], index))[:count]
    return rows.select(sorted(taken))
