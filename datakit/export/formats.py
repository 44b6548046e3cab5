"""The file formats of an export: Parquet for TRL and the hub, JSON Lines, and those of LLaMA-Factory and TRL's KTO trainer.

LLaMA-Factory's two formats and the fields of its dataset_info.json are those of its data/README.md.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TextIO, get_args

import polars as pl

from datakit.tables import Message, Messages, Phase, Row

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetWriter

Format = Literal["parquet", "jsonl", "sharegpt", "alpaca", "kto"]
FORMATS: tuple[Format, ...] = get_args(Format)
_ANSWERS: dict[Phase, tuple[str, ...]] = {"sft": ("completion",), "dpo": ("chosen", "rejected")}


@dataclass(frozen=True)
class Shape:
    """How a format writes the rows of a phase."""

    suffix: str = ".parquet"
    row: Callable[[Row], Row] | None = None
    """Converts a row to the format; None leaves it unchanged."""
    columns: Mapping[str, str] | None = None
    """LLaMA-Factory's column names, mapped to the export's."""


class RowWriter:
    """A writer of rows into one file, which is Parquet or JSON Lines by its suffix. A context manager.

    The first frame, which may be empty, determines the columns. Lists and strings are plain, as `datasets` writes them, so that
    rows of both can be concatenated.
    """

    def __init__(self, path: Path, shape: Shape) -> None:
        self._path = path
        self._shape = shape
        self._parquet: ParquetWriter | None = None
        self._lines: TextIO | None = None if path.suffix == ".parquet" else path.open("w", encoding="utf-8")

    def __enter__(self) -> RowWriter:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        for file in (self._parquet, self._lines):
            if file is not None:
                file.close()

    def write(self, frame: pl.DataFrame) -> None:
        """Add the rows of a frame."""
        if self._lines is not None:
            for row in frame.iter_rows(named=True):
                self._lines.write(json.dumps(self._shape.row(row) if self._shape.row else row, ensure_ascii=False) + "\n")
            return
        import pyarrow as pa
        from pyarrow.parquet import ParquetWriter

        table = frame.to_arrow()
        if self._parquet is None:
            schema = pa.schema([pa.field(field.name, _plain(field.type)) for field in table.schema])
            self._parquet = ParquetWriter(self._path, schema)
        if frame.height:
            self._parquet.write_table(table.cast(self._parquet.schema))


def _plain(of: Any) -> Any:
    """Return the Arrow type with plain lists and strings: Polars writes 64-bit offsets, a different type for `datasets`."""
    import pyarrow as pa

    if pa.types.is_large_list(of) or pa.types.is_list(of):
        return pa.list_(_plain(of.value_type))
    if pa.types.is_struct(of):
        return pa.struct([pa.field(field.name, _plain(field.type)) for field in of])
    return pa.string() if pa.types.is_large_string(of) or pa.types.is_string_view(of) else of


def shape_of(format: Format, phase: Phase) -> Shape:
    """Return how this format writes the phase; kto rows are split first (`split_pairs`)."""
    system = {"system": "system"}
    match format:
        case "sharegpt":
            answers = {name: name for name in _ANSWERS[phase]} if phase == "dpo" else {}
            return Shape(".jsonl", _as_sharegpt, {"messages": "conversations", **system, **answers})
        case "alpaca":
            answers = {name: name for name in _ANSWERS[phase]} if phase == "dpo" else {"response": "output"}
            return Shape(
                ".jsonl", _as_alpaca, {"prompt": "instruction", "query": "input", **answers, **system, "history": "history"}
            )
        case "jsonl":
            return Shape(".jsonl")
        case _:
            return Shape()


def dataset_info(files: Mapping[str, tuple[str, Format, bool]]) -> Row:
    """Return LLaMA-Factory's dataset_info.json. `files`: per dataset name its file, format, and whether it has pairs."""
    info: Row = {}
    for name, (path, format, ranking) in files.items():
        columns = dict(shape_of(format, "dpo" if ranking else "sft").columns or {})
        info[name] = {"file_name": path, "formatting": format, **({"ranking": True} if ranking else {}), "columns": columns}
    return info


def split_pairs(pairs: pl.DataFrame) -> pl.DataFrame:
    """Return pairs as TRL's KTO trainer reads them: prompt, completion, label (true: the chosen answer, false: the rejected
    one).

    Pairs without texts give rows without texts.
    """
    sides = []
    for side, label, model in (("chosen", True, "model"), ("rejected", False, "rejected_model")):
        given = {"prompt": "prompt", "completion": side, "label": None, "prompt_id": "prompt_id", "source": "source"}
        given |= {"response_id": f"{side}_id", "score": f"{side}_score", "completion_chars": f"{side}_chars"}
        given |= {"completion_tokens": f"{side}_tokens", "model": model}
        given |= {name: name for name in ("run", "at", "test_place", "messages_digest", "prompt_chars")}
        columns = {
            new: pl.lit(label) if old is None else pl.col(old) for new, old in given.items() if old in (None, *pairs.columns)
        }
        sides.append(pairs.select(**columns).with_row_index("pair"))
    return pl.concat(sides).sort("pair", maintain_order=True).drop("pair")


def _without_system(prompt: Messages) -> Messages:
    return prompt[1:] if prompt and prompt[0]["role"] == "system" else prompt


def _system(prompt: Messages) -> str:
    return prompt[0]["content"] if prompt and prompt[0]["role"] == "system" else ""


def _rest(row: Row) -> Row:
    """Return the columns that say where a row came from."""
    return {name: value for name, value in row.items() if name not in ("prompt", "completion", "chosen", "rejected")}


def _as_sharegpt(row: Row) -> Row:
    def turn(message: Message) -> Row:
        return {"from": "human" if message["role"] == "user" else "gpt", "value": message["content"]}

    turns = [turn(message) for message in _without_system(row["prompt"])]
    if "completion" in row:
        return {"conversations": [*turns, turn(row["completion"][-1])], "system": _system(row["prompt"]), **_rest(row)}
    answers = {side: turn(row[side][-1]) for side in _ANSWERS["dpo"]}
    return {"conversations": turns, **answers, "system": _system(row["prompt"]), **_rest(row)}


def _as_alpaca(row: Row) -> Row:
    *before, asked = [message["content"] for message in _without_system(row["prompt"])]
    history = [[before[at], before[at + 1]] for at in range(0, len(before), 2)]
    answers = {"output": row["completion"][-1]["content"]} if "completion" in row else {
        side: row[side][-1]["content"] for side in _ANSWERS["dpo"]
    }  # fmt: skip
    return {"instruction": asked, "input": "", **answers, "system": _system(row["prompt"]), "history": history, **_rest(row)}
