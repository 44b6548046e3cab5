"""Published prompts of judges, read from the user's own copies below $DATAKIT_DATA.

Three forms are supported: text in which <|im_start|>system ... <|im_end|> marks roles, or that is one user message if it has no
such marks (alpaca_eval); JSON Lines with `name`, `system_prompt` and `prompt_template`, where #NAME selects the row (FastChat);
YAML with `system_prompt` and `prompt_template`, a text or a list of one (arena-hard-auto).
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import yaml

from datakit.errors import RecipeError
from datakit.recipe.judging import JudgePrompt

COPIES = "DATAKIT_DATA"
_TURN = re.compile(r"<\|im_start\|>(system|user)\n(.*?)\n?<\|im_end\|>", re.DOTALL)


def with_published(prompt: JudgePrompt) -> JudgePrompt:
    """Return the prompt with its published text if a copy exists, else without `published`.

    RecipeError if the copy cannot be read.
    """
    if prompt.published is None:
        return prompt
    path, _, name = prompt.published.partition("#")
    folder = os.environ.get(COPIES, "")
    copy = Path(folder).expanduser() / path
    if not folder or not copy.is_file():
        return prompt.model_copy(update={"published": None})
    system, template = _read(copy, name)
    return prompt.model_copy(update={"system": system, "template": template})


def _read(path: Path, name: str) -> tuple[str | None, str]:
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".txt":
            turns = dict(_TURN.findall(text))
            return turns.get("system"), turns.get("user") or text
        found = _row(text, name) if path.suffix == ".jsonl" else yaml.safe_load(text)
        template = found["prompt_template"]
        return found.get("system_prompt"), template if isinstance(template, str) else template[0]
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise RecipeError(
            f"{path}: not a judge's prompt in a known form ({error!r:.120}); repair or remove this copy"
        ) from error


def _row(lines: str, name: str) -> Any:
    rows = map(json.loads, filter(str.strip, lines.splitlines()))
    return next(row for row in (*rows, {}) if not row or row["name"] == name)
