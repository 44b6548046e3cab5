"""What pydantic finds wrong with a recipe, in the words of the person who wrote it: field, value, and what to write instead."""

from __future__ import annotations

import difflib
from typing import Any

from pydantic import BaseModel, ValidationError

VLLM_FIELDS = {"top_k", "min_p", "repetition_penalty", "length_penalty", "min_tokens", "stop_token_ids", "ignore_eos"}
TYPES = {
    "prompts": ("file", "hub"),
    "sources": ("endpoint", "serve", "responses"),
    "score": ("armorm", "classifier", "served", "llm_judge"),
}


def explain(error: ValidationError, values: Any, root: type[BaseModel], sections: dict[str, type[BaseModel]]) -> list[str]:
    """One line a problem: the field's path, what is wrong, what was given, and the nearest valid name."""
    lines = []
    for problem in error.errors(include_url=False):
        path = _without_tags(problem["loc"], values)
        given = problem["input"]
        hidden = problem["type"] == "missing" or isinstance(given, BaseModel) or (isinstance(given, dict) and given)
        shown = "" if hidden else f" (got {given!r:.80})"
        field = ".".join(str(part) for part in path)
        if problem["type"] == "extra_forbidden":
            known = sorted(_owner(problem["loc"], root, sections).model_fields)
            near = difflib.get_close_matches(str(path[-1]), known, n=1)
            hint = f"; did you mean '{near[0]}'?" if near else f"; known here: {', '.join(known)}"
            if path[-2:-1] == ["sampling"] and path[-1] in VLLM_FIELDS:
                hint = "; write it under extra_body"
            lines.append(f"{field}: extra field not permitted{shown}{hint}")
        elif problem["type"] == "union_tag_not_found":
            lines.append(f"{field}.type: field required; one of {', '.join(TYPES[str(path[0])])}")
        elif problem["type"] == "union_tag_invalid":
            lines.append(f"{field}.type: {_none_of(str(problem['ctx']['tag']), TYPES[str(path[0])])}")
        elif problem["type"] in ("model_type", "model_attributes_type"):
            lines.append(f"{field}: input should be a mapping{shown}")
        else:
            message = problem["msg"].removeprefix("Value error, ")
            message = message[:1].lower() + message[1:]
            lines.append(f"{field}: {message}{shown}" if field else message)
    return lines


def _none_of(given: str, known: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(given, known, n=1)
    return f"'{given}' is none of {', '.join(known)}" + (f"; did you mean '{near[0]}'?" if near else "")


def _without_tags(loc: tuple[int | str, ...], values: Any) -> list[int | str]:
    """A pydantic location without the union tags that are not in the user's file."""
    path: list[int | str] = []
    if len(loc) > 2 and loc[0] in TYPES:
        loc = (*loc[:2], *loc[3:])
    for at, part in enumerate(loc):
        inside = (isinstance(values, dict) and part in values) or (isinstance(values, list) and isinstance(part, int))
        if inside and (isinstance(values, dict) or part < len(values)):  # type: ignore[operator]
            path.append(part)
            values = values[part]
        elif at == len(loc) - 1 and isinstance(values, dict) and isinstance(part, str):
            path.append(part)  # a field that is missing; a number is the place in a list that the user did not write
    return path


def _owner(loc: tuple[int | str, ...], root: type[BaseModel], sections: dict[str, type[BaseModel]]) -> type[BaseModel]:
    """The section that an unknown field was found in."""
    return next((sections[part] for part in reversed(loc[:-1]) if isinstance(part, str) and part in sections), root)
