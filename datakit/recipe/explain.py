"""Turns pydantic's errors into messages in the recipe's own terms: field, value, and what to write instead."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import UnionType
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias, Union, get_args, get_origin

from pydantic import BaseModel, Tag, ValidationError

from datakit.wording import did_you_mean

VLLM_FIELDS = {
    *("top_k", "min_p", "repetition_penalty", "length_penalty", "min_tokens", "ignore_eos"),
    *("stop_token_ids", "include_stop_str_in_output"),
}
Sections: TypeAlias = dict[str, type[BaseModel] | None]
"""The kinds of value that are allowed at a place of a recipe, by pydantic's tag; None is a value that is not a section."""
NAMED_BY = ("model", "path", "dataset", "type")
"""Fields that tell one section of a list from the others."""
_LISTED = re.compile(r"(?P<list>prompts|sources|score)\.(?P<at>\d+)[^\s:]*(?=:)")


class Place(NamedTuple):
    """The place in a recipe where something is wrong."""

    path: list[int | str]
    """The path in the user's file."""
    owner: type[BaseModel]
    """The section that its last field is in."""
    here: Sections
    """What is allowed there."""
    instead: Sections
    """What is allowed there as well, if pydantic took the value for one of several kinds that is not a section."""


def explain(error: ValidationError, values: Any, root: type[BaseModel]) -> list[str]:
    """Return one line per problem: the field's path, what is wrong, the given value, and the nearest valid name."""
    lines = []
    for problem in error.errors(include_url=False):
        path, owner, here, instead = _follow(problem["loc"], values, root)
        given, context = problem["input"], problem.get("ctx", {})
        hidden = problem["type"] == "missing" or isinstance(given, BaseModel) or (isinstance(given, dict) and given)
        shown = "" if hidden else f" (got {given!r:.80})"
        field = ".".join(str(part) for part in path)
        if problem["type"] == "extra_forbidden":
            known = sorted(name for name, field in owner.model_fields.items() if not field.exclude)
            hint = did_you_mean(path[-1], known) or (f"; known here: {', '.join(known)}" if known else "")
            if path[-2:-1] == ["sampling"] and path[-1] in VLLM_FIELDS:
                hint = "; write it under extra_body"
            lines.append(f"{field}: extra field not permitted{shown}{hint}")
        elif problem["type"] == "union_tag_not_found":
            lines.append(f"{field}.type: field required; one of {', '.join(here)}")
        elif problem["type"] == "union_tag_invalid":
            tag = str(context["tag"])
            lines.append(f"{field}.type: '{tag}' is none of {', '.join(here)}{did_you_mean(tag, here)}")
        elif problem["type"] in ("model_type", "model_attributes_type"):
            lines.append(f"{field}: input should be a mapping{shown}")
        else:
            message = problem["msg"].removeprefix("Value error, ")
            message = message[:1].lower() + message[1:]
            message += "" if isinstance(given, list | dict) else _or_a_mapping(instead)
            near = did_you_mean(given, re.findall(r"'([^']+)'", context["expected"])) if "expected" in context else ""
            lines.append(f"{field}: {message}{shown}{near}" if field else message)
    return lines


def locate(line: str, file: str, lists: Mapping[str, Sequence[str | None]]) -> str:
    """Return a message about a field with its file in front; for one of several sections add the name of the section.

    >>> locate("sources.1.n: must be a number", "my.yaml", {"sources": ["org/first", "org/second"]})
    'my.yaml: sources.1.n (org/second): must be a number'
    """
    found = _LISTED.match(line)
    names = lists.get(found["list"], ()) if found is not None else ()
    if found is not None and len(names) > 1 and int(found["at"]) < len(names) and (name := names[int(found["at"])]):
        line = f"{found[0]} ({name}){line[found.end() :]}"
    return f"{file}: {line}" if file else line


def names_in(values: Mapping[str, Any]) -> dict[str, list[str | None]]:
    """Return the name of each section of a recipe's lists, by field, for `locate`; None for a section without a name."""

    def name(section: Any) -> str | None:
        named = (section.get(field) for field in NAMED_BY) if isinstance(section, dict) else ()
        return next((one for one in named if isinstance(one, str)), None)

    return {field: list(map(name, sections)) for field, sections in values.items() if isinstance(sections, list)}


def _or_a_mapping(sections: Sections) -> str:
    """Return the other kinds of value as text, each as its fields."""
    forms = [f"{{{', '.join(f'{name}: ...' for name in one.model_fields)}}}" for one in sections.values() if one is not None]
    return "".join(f", or {form}" for form in forms)


def _follow(loc: tuple[int | str, ...], values: Any, root: type[BaseModel]) -> Place:
    """Return the place of a pydantic location. Leaves out what is not in the user's file: tags of unions, and the index of a
    section that was written without the list around it."""
    path: list[int | str] = []
    owner, here, instead = root, Sections({"": root}), Sections()
    for part in loc:
        if isinstance(part, int):
            if isinstance(values, list):
                path.append(part)
                values = values[part] if part < len(values) else None
            elif isinstance(values, dict) and part in values:  # YAML's yes for a key
                path.append(part)
            instead = {}
        elif part in here:
            instead = here if here[part] is None else {}
            owner, here = here[part] or owner, {}  # a tag occurs once: a field may have the same name
        else:
            path.append(part)
            owner = next((section for section in here.values() if section is not None), owner)
            field = owner.model_fields.get(part)
            here, instead = _sections(field.annotation) if field is not None else {}, {}
            values = values.get(part) if isinstance(values, dict) else None
    return Place(path, owner, here, instead)


def _sections(annotation: Any) -> Sections:
    """Return the sections that a field's annotation names, also in lists and unions."""
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
