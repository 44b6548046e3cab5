"""Runs of responses that exist already, with their scores: a whole build without any server, worker or model."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.helpers.command import datakit, write_recipe

Answers = Iterable[tuple[str, float]]
COLUMNS = {name: name for name in ("prompt", "messages", "model", "text", "score", "reference", "sample_index")}


def answered(prompt: Any, *answers: tuple[str, float], model: str = "m/one") -> list[dict[str, Any]]:
    """The rows of one prompt (a text, or messages) and model."""
    asked = {"prompt": prompt} if isinstance(prompt, str) else {"messages": prompt}
    return [{**asked, "model": model, "text": text, "score": score} for text, score in answers]


def good_and_bad(prompt: Any, model: str = "m/one") -> list[dict[str, Any]]:
    """Two answers that become a pair, with texts of this prompt and model alone."""
    return answered(prompt, (f"good {prompt} {model}", 0.9), (f"bad {prompt} {model}", 0.1), model=model)


def imported_run(folder: Path, rows: list[dict[str, Any]], source: dict[str, Any] | None = None, **sections: Any) -> Path:
    """Build `folder` from the rows. `source`: more fields of the source; `sections`: of the recipe."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    data = folder.with_suffix(".jsonl")
    data.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    columns = {ours: theirs for ours, theirs in COLUMNS.items() if any(theirs in row for row in rows)}
    given = {"type": "responses", "path": str(data), "judge": "given", "columns": columns, **(source or {})}
    recipe = {"domain": "instruct", "sources": [given], "score": None, **sections}
    done = datakit("build", "--recipe", write_recipe(folder.with_suffix(".yaml"), recipe), "--out", folder)
    assert done.returncode == 0, done.stderr
    return folder
