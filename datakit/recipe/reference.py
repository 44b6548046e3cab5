"""The reference of recipes for readers and for editors: docs/recipe.md and a JSON Schema, generated from the sections."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from datakit.recipe.recipe import Recipe
from datakit.recipe.section import Section
from datakit.tables import Row

_FIRST = """# Every field of a recipe

A recipe is one YAML file with a section for each stage; paths are relative to its folder. `datakit recipe DOMAIN` prints a
complete one to start from. This page is the output of `datakit recipe --reference`.

Editors can complete and check a recipe: write its schema beside it with `datakit recipe --schema > recipe.schema.json`, and
begin the recipe with the line `# yaml-language-server: $schema=recipe.schema.json`.
"""
_SCALARS = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false", "null": "null"}
_BOUNDS = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}


def json_schema() -> Row:
    """Return a JSON Schema (draft 2020-12) of recipes as they are written; the doc of a field is its description."""
    schema: Row = Recipe.model_json_schema()
    named = {_defined_as(section, schema): section for section, _ in sections() if section is not Recipe}
    for name, part in [*schema["$defs"].items(), ("", schema)]:
        section = named.get(name, Recipe)
        part["description"] = _doc(section)
        for field, said in docs_of(section).items():
            if field in part["properties"]:
                part["properties"][field]["description"] = said
    places = schema["properties"]
    places["verify"] = {"anyOf": places["verify"]["oneOf"]}  # the domain decides which of them
    schema["required"] = ["domain", "sources"]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "A recipe of datakit", **schema}


def to_markdown() -> str:
    """Return docs/recipe.md: one heading per section, and one line per field."""
    schema = json_schema()
    headings: dict[type[Section], str] = {}
    for section, path in sections():
        heading = _heading(section, path)
        headings[section] = heading if heading not in headings.values() else f"{heading} ({section.__name__})"
    links = {_defined_as(section, schema): f"[{text}](#{_anchor(text)})" for section, text in headings.items()}
    chapters, known = [_FIRST], dict[tuple[str, str], str]()
    for section, heading in headings.items():
        part = schema if section is Recipe else schema["$defs"][_defined_as(section, schema)]
        lines, docs = ["| field | value | default | meaning |", "|---|---|---|---|"], docs_of(section)
        for name, field in section.model_fields.items():
            if not field.exclude:
                words = _words(part["properties"][name], links)
                said = known.setdefault((name, words), docs.get(name, ""))  # a field of several sections is explained once
                lines.append(_line(f"`{name}`", words, _default(field), docs.get(name, said)))
        chapters.append("\n\n".join(filter(None, [f"## {heading}", _doc(section), "\n".join(lines)])) + "\n")
    return "\n".join(chapters)


def sections() -> Iterator[tuple[type[Section], str]]:
    """Yield every section once, with the path of its first occurrence: (Select, "select")."""
    seen: set[type[Section]] = set()
    waiting: list[tuple[type[Section], str]] = [(Recipe, "")]
    while waiting:
        section, path = waiting.pop(0)
        if section in seen:
            continue
        seen.add(section)
        yield section, path
        below = [
            (inner, f"{path}.{name}" if path else name)
            for name, field in section.model_fields.items()
            for inner in _sections_in(field.annotation, *field.metadata)
        ]
        waiting[:0] = below


@cache
def docs_of(section: type[BaseModel]) -> dict[str, str]:
    """Return the string under each field, by field; inherited fields included."""
    found: dict[str, str] = {}
    for cls in reversed(section.__mro__):
        if not issubclass(cls, Section):
            continue
        (tree,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
        assert isinstance(tree, ast.ClassDef)
        for field, below in pairwise(tree.body):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(below, ast.Expr):
                found[field.target.id] = inspect.cleandoc(str(ast.literal_eval(below.value)))
    return found


def _sections_in(*annotations: Any) -> Iterator[type[Section]]:
    for annotation in annotations:
        if inspect.isclass(annotation) and issubclass(annotation, Section):
            yield annotation
        else:
            yield from _sections_in(*get_args(annotation))


def _defined_as(section: type[Section], schema: Row) -> str:
    """Return the section's name in $defs; it includes the module if two classes have the same name."""
    long = f"{section.__module__}.{section.__name__}".replace(".", "__")
    return long if long in schema["$defs"] else section.__name__


def _doc(section: type[Section]) -> str:
    own = vars(section).get("__doc__")
    return inspect.cleandoc(own) if own else ""


def _heading(section: type[Section], path: str) -> str:
    for field, words in (("type", "type"), ("for_domain", "domain")):
        if field in section.model_fields:
            (value,) = get_args(section.model_fields[field].annotation)
            return f"{path}, {words} {value}" if value else f"{path}, other domains"
    return path or "the recipe"


def _anchor(heading: str) -> str:
    """Return the anchor of a heading as GitHub makes it."""
    return re.sub(r"[^a-z0-9 _-]", "", heading.lower()).replace(" ", "-")


def _line(*cells: str) -> str:
    return "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**required**"
    value = field.get_default(call_default_factory=True)
    if value is None or isinstance(value, BaseModel) or value in ([], {}, ()):
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _words(said: Row, links: dict[str, str]) -> str:
    """Return what a part of the schema allows, in words; a section is a link to its heading."""
    if "$ref" in said:
        return links[said["$ref"].rpartition("/")[2]]
    if options := said.get("anyOf") or said.get("oneOf"):
        words = list(dict.fromkeys(_words(option, links) for option in options if option.get("type") != "null"))
        return " or ".join(words)
    if "const" in said:
        return f"`{said['const']}`"
    if "enum" in said:
        return " or ".join(f"`{value}`" for value in said["enum"])
    if said.get("type") == "array":
        return f"a list: {_words(said['items'], links)}" if said.get("items") else "a list"
    if said.get("type") == "object":
        inner = said.get("additionalProperties")
        return f"names, each with {_words(inner, links)}" if isinstance(inner, dict) and inner else "names with values"
    bounds = [f"{words} {said[bound]:g}" for bound, words in _BOUNDS.items() if bound in said]
    return ", ".join([_SCALARS.get(said.get("type", ""), "anything"), *bounds])
