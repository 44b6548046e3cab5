"""What pydantic finds wrong with a recipe, in the words of the person who wrote it: field, value, and what to write instead."""

from __future__ import annotations

import difflib
from types import UnionType
from typing import Annotated, Any, Literal, TypeAlias, Union, get_args, get_origin

from pydantic import BaseModel, Tag, ValidationError

VLLM_FIELDS = {
    *("top_k", "min_p", "repetition_penalty", "length_penalty", "min_tokens", "ignore_eos"),
    *("stop_token_ids", "include_stop_str_in_output"),
}
Sections: TypeAlias = dict[str, type[BaseModel] | None]
"""What may stand at a place of a recipe, by the tag that pydantic has for it; None is no section."""


def explain(error: ValidationError, values: Any, root: type[BaseModel]) -> list[str]:
    """One line a problem: the field's path, what is wrong, what was given, and the nearest valid name."""
    lines = []
    for problem in error.errors(include_url=False):
        path, owner, here = _follow(problem["loc"], values, root)
        given = problem["input"]
        hidden = problem["type"] == "missing" or isinstance(given, BaseModel) or (isinstance(given, dict) and given)
        shown = "" if hidden else f" (got {given!r:.80})"
        field = ".".join(str(part) for part in path)
        if problem["type"] == "extra_forbidden":
            known = sorted(name for name, field in owner.model_fields.items() if not field.exclude)
            near = difflib.get_close_matches(str(path[-1]), known, n=1)
            hint = f"; did you mean '{near[0]}'?" if near else f"; known here: {', '.join(known)}" if known else ""
            if path[-2:-1] == ["sampling"] and path[-1] in VLLM_FIELDS:
                hint = "; write it under extra_body"
            lines.append(f"{field}: extra field not permitted{shown}{hint}")
        elif problem["type"] == "union_tag_not_found":
            lines.append(f"{field}.type: field required; one of {', '.join(here)}")
        elif problem["type"] == "union_tag_invalid":
            tag = str(problem["ctx"]["tag"])
            near = difflib.get_close_matches(tag, here, n=1)
            lines.append(
                f"{field}.type: '{tag}' is none of {', '.join(here)}" + (f"; did you mean '{near[0]}'?" if near else "")
            )
        elif problem["type"] in ("model_type", "model_attributes_type"):
            lines.append(f"{field}: input should be a mapping{shown}")
        else:
            message = problem["msg"].removeprefix("Value error, ")
            message = message[:1].lower() + message[1:]
            lines.append(f"{field}: {message}{shown}" if field else message)
    return lines


def _follow(
    loc: tuple[int | str, ...], values: Any, root: type[BaseModel]
) -> tuple[list[int | str], type[BaseModel], Sections]:
    """A pydantic location as the user's file has it, the section that its last field is in, and what may stand there.

    Tags of unions, and the index of what the user wrote without the list around it, are not in the file.
    """
    path: list[int | str] = []
    owner, here = root, Sections({"": root})
    for part in loc:
        if isinstance(part, int):
            if isinstance(values, list):
                path.append(part)
                values = values[part] if part < len(values) else None
            elif isinstance(values, dict) and part in values:  # YAML's yes for a key
                path.append(part)
        elif part in here:
            owner, here = here[part] or owner, {}  # a tag is met once: fields may be called like it
        else:
            path.append(part)
            owner = next((section for section in here.values() if section is not None), owner)
            field = owner.model_fields.get(part)
            here = _sections(field.annotation) if field is not None else {}
            values = values.get(part) if isinstance(values, dict) else None
    return path, owner, here


def _sections(annotation: Any) -> Sections:
    """The sections that a field's annotation names, in lists and unions too."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        kind = annotation.model_fields.get("type") or annotation.model_fields.get("for_domain")
        tag = (
            get_args(kind.annotation)[0] if kind is not None and get_origin(kind.annotation) is Literal else annotation.__name__
        )
        return {tag: annotation}
    if get_origin(annotation) is Annotated:
        inner, *notes = get_args(annotation)
        tag = next((note.tag for note in notes if isinstance(note, Tag)), None)
        return _sections(inner) if tag is None else {tag: next(iter(_sections(inner).values()), None)}
    if get_origin(annotation) in (list, Union, UnionType):
        return {tag: section for part in get_args(annotation) for tag, section in _sections(part).items()}
    return {}
