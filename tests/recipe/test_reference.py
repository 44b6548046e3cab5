"""The schema takes what the loader takes, and docs/recipe.md is what the sections say."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from datakit.recipe import load, parse
from datakit.recipe.reference import docs_of, json_schema, sections, to_markdown
from datakit.recipe.section import Sampling
from tests.helpers.command import datakit
from tests.helpers.folders import ROOT

RECIPES = [
    path
    for path in [*sorted((ROOT / "recipes").rglob("*.yaml")), *sorted((ROOT / "examples").glob("*.yaml"))]
    if "sources:" in path.read_text(encoding="utf-8") and "eval" not in path.parts
]
LEAST = {"domain": "math", "sources": [{"type": "endpoint", "model": "m", "base_urls": ["http://127.0.0.1:8000/v1"]}]}


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    schema = json_schema()
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def plain(path: Path) -> Any:
    """A recipe's file as JSON has it."""
    return json.loads(json.dumps(yaml.safe_load(path.read_text(encoding="utf-8")), default=str))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_recipe_of_ours_is_valid(validator, path):
    assert [error.message for error in validator.iter_errors(plain(path))] == []
    assert load(path).domain == plain(path)["domain"]


JUDGE = {"type": "classifier", "model": "org/judge"}
SHORT: list[dict[str, Any]] = [
    {"score": None},
    {"score": JUDGE},
    {"score": [JUDGE]},
    {"curate": {"decontaminate": ["gsm8k", "my/items.jsonl"]}},
    {"curate": {"decontaminate": {"against": [{"benchmark": "gsm8k"}], "share": 0.4}}},
    {"score": JUDGE, "select": {"margin": [0.01, "inf"]}},
    {"score": JUDGE, "select": {"margin": {"quantiles": [0.1, 0.9]}}},
    {"select": {"demos_per_prompt": 3}},
    {"verify": {"percent": "strict"}},
]


@pytest.mark.parametrize("more", SHORT, ids=json.dumps)
def test_short_forms_are_valid_for_both(validator, more):
    parse({**LEAST, "prompts": [{"type": "file", "path": "p.jsonl"}], **more}, "r.yaml", ROOT)
    assert [error.message for error in validator.iter_errors({**LEAST, **more})] == []


WRONG: list[dict[str, Any]] = [
    {"sources": []},
    {"source": LEAST["sources"]},
    {"select": {"margins": [0, 1]}},
    {"select": {"demos_per_prompt": "two"}},
    {"limits": {"min_pairs": -1}},
    {"score": {"type": "oracle"}},
]


@pytest.mark.parametrize("more", WRONG, ids=json.dumps)
def test_what_the_loader_refuses_an_editor_underlines(validator, more):
    assert not validator.is_valid({**LEAST, **more})


def test_the_page_is_what_the_command_prints():
    page = (ROOT / "docs" / "recipe.md").read_text(encoding="utf-8")
    assert page == to_markdown() == datakit("recipe", "--reference").stdout, "datakit recipe --reference > docs/recipe.md"
    assert json.loads(datakit("recipe", "--schema").stdout) == json_schema()


def test_every_field_of_the_schema_stands_on_the_page_with_its_meaning():
    """But `type`, whose value says it, and what OpenAI's API says of sampling."""
    chapters = re.split(r"^## ", to_markdown(), flags=re.MULTILINE)[1:]
    meant = {
        (chapter.splitlines()[0], line.split("`")[1]): line.rpartition("| ")[2] not in ("|", " |") and not line.endswith("|  |")
        for chapter in chapters
        for line in chapter.splitlines()
        if line.startswith("| `")
    }
    assert len(chapters) == len(list(sections()))
    assert len(meant) == sum(not field.exclude for section, _ in sections() for field in section.model_fields.values())
    silent = {field for (_, field), is_said in meant.items() if not is_said}
    assert silent <= {"type", "sampling", *Sampling.model_fields}


def test_links_lead_to_headings():
    text = to_markdown()
    headings = {re.sub(r"[^a-z0-9 _-]", "", line.lower()).replace(" ", "-") for line in re.findall(r"^## (.*)$", text, re.M)}
    assert set(re.findall(r"\(#([^)]*)\)", text)) <= headings


def test_a_field_has_the_string_under_it():
    assert docs_of(Sampling)["stop"].startswith("The text or texts at which an answer ends")
