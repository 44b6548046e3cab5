"""The metrics of a training: a line per log in metrics.jsonl, a table at the end, and a plot (plot.py)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

Log = dict[str, Any]
LINES, PLOT = "metrics.jsonl", "metrics.svg"
SHOWN = (
    "loss",
    "lm_loss",
    "fusion_loss",
    "mean_token_accuracy",
    "rewards/margins",
    "rewards/accuracies",
    "rewards/chosen",
    "rewards/source",
    "rewards/rejected",
    "grad_norm",
)
"""The rows of the table, for training and (`eval_...`) evaluation, as far as TRL logs them."""


def recorder(out: Path) -> Any:
    """Return a callback that appends each log to metrics.jsonl; when a training is resumed, earlier logs are kept."""
    from transformers import TrainerCallback

    class Recorder(TrainerCallback):
        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.is_world_process_zero:
                out.mkdir(parents=True, exist_ok=True)
                (out / LINES).write_text("".join(map(_line, state.log_history)), encoding="utf-8")

        def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.is_world_process_zero and state.log_history:
                with (out / LINES).open("a", encoding="utf-8") as file:
                    file.write(_line(state.log_history[-1]))

    return Recorder()


def series(logs: Sequence[Log], name: str) -> list[tuple[int, float]]:
    """Return the logged (step, value) of one measure."""
    return [(int(log["step"]), float(log[name])) for log in logs if isinstance(log.get(name), int | float)]


def draw(logs: Sequence[Log], console: Console) -> None:
    """Print a table with each measure's first, last, lowest and highest value; without borders if it is not a terminal."""
    table = Table("measure", *("first", "last", "lowest", "highest"), box=None if not console.is_terminal else Table().box)
    for column in table.columns[1:]:
        column.justify = "right"
    for name in (*SHOWN, *(f"eval_{name}" for name in SHOWN)):
        if values := [value for _, value in series(logs, name)]:
            table.add_row(name, *(f"{value:.4g}" for value in (values[0], values[-1], min(values), max(values))))
    if table.row_count:
        console.print(table)


def _line(log: Log) -> str:
    first = {"step": log.get("step"), "epoch": log.get("epoch")}
    return json.dumps({**first, **log}, ensure_ascii=False) + "\n"
