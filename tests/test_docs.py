"""What the documents say can be typed and followed: command lines parse, recipes are recipes, links lead somewhere."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from datakit.cli.app import app
from datakit.recipe import parse
from datakit.recipe.benchmarks import Benchmark
from tests.helpers.folders import ROOT

GUIDES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
DOCUMENTS = [
    *GUIDES,
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    *sorted(ROOT.glob("*/README.md")),
    *sorted(ROOT.glob("data/*/README.md")),
]
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
HEADER_LINE = re.compile(r"^# +((?:datakit|train) .*)$", re.MULTILINE)  # of a recipe


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def blocks(path: Path, *languages: str) -> list[str]:
    found = FENCED.findall(path.read_text(encoding="utf-8"))
    return [text for language, text in found if not languages or language in languages]


def typed(program: str) -> list[str]:
    """The lines of code blocks and of the recipes' headers that start with this program."""
    lines = [line.strip() for path in DOCUMENTS for block in blocks(path) for line in block.splitlines()]
    for path in [*sorted((ROOT / "recipes").rglob("*.yaml")), *sorted((ROOT / "examples").glob("*.yaml"))]:
        lines += [re.split(r" {3,}", line)[0] for line in HEADER_LINE.findall(path.read_text(encoding="utf-8"))]
    return sorted({line for line in lines if line.startswith(f"{program} ")})


def mentioned(program: str) -> list[str]:
    """Commands in running text: `datakit check --mutants`."""
    texts = [FENCED.sub("", path.read_text(encoding="utf-8")) for path in DOCUMENTS]
    spans = {" ".join(span.split()) for text in texts for span in re.findall(r"`([^`]+)`", text)}
    return sorted(span for span in spans if re.match(rf"{program} [a-z-]", span))


def words_of(line: str) -> list[str]:
    """What the program gets: no comment, no redirection."""
    words = shlex.split(line, comments=True)[1:]
    return words[: words.index(">")] if ">" in words else words


def options_in(words: list[str]) -> Iterator[str]:
    return (word.partition("=")[0] for word in words if word.startswith("--"))


def datakit_command() -> Any:
    return typer.main.get_command(app)


@cache
def train_options(kind: str) -> set[str]:
    from train.merge_options import merge_parser

    if kind == "retriever":
        from train.retriever.options import build_parser as build_retrievers

        return {option for action in build_retrievers()._actions for option in action.option_strings}
    from train.options import build_parser

    if kind == "merge":
        return {option for action in merge_parser()._actions for option in action.option_strings}
    return {option for action in build_parser(kind)._actions for option in action.option_strings} | {"--config"}


def test_there_is_something_to_hold():
    assert len(typed("datakit")) >= 15 and len(typed("train")) >= 2 and len(mentioned("datakit")) >= 15
    assert "datakit select runs/math --set select.length_ratio_max=1.5 --diff     # what would change; writes nothing" in typed(
        "datakit"
    )


@pytest.mark.parametrize("line", typed("datakit"))
def test_a_command_line_parses(line):
    command, rest = datakit_command(), words_of(line)
    while hasattr(command, "commands"):  # a group, as `datakit batch` is one
        with command.make_context("datakit", [], resilient_parsing=True) as context:
            _, command, rest = command.resolve_command(context, rest)
    command.make_context("datakit", list(rest))


@pytest.mark.parametrize("span", mentioned("datakit"))
def test_a_command_in_running_text_exists_with_its_options(span):
    words = words_of(span)
    command = datakit_command()
    if not words[0].startswith("--"):
        assert words[0] in command.commands
        command = command.commands[words[0]]
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)} | {"--help"}
    assert set(options_in(words)) <= known


@pytest.mark.parametrize("line", typed("train"))
def test_a_training_command_has_options_of_trl(line):
    pytest.importorskip("trl")
    kind, *rest = words_of(line)
    assert set(options_in(rest)) <= train_options(kind)
    configs = [Path(value) for option, value in pairwise(rest) if option == "--config"]
    assert all((ROOT / config).is_file() for config in configs)


@pytest.mark.parametrize(
    ("path", "text"), [pytest.param(path, text, id=name_of(path)) for path in GUIDES for text in blocks(path, "yaml")]
)
def test_a_piece_of_a_recipe_is_one(path, text):
    values = yaml.safe_load(text)
    if "licence" in values:
        assert Benchmark.model_validate(values).domain == values["domain"]
        return
    domain = path.stem if path.stem in ("code", "dialogue", "mcq") else "math"
    whole = {
        "domain": domain,
        "prompts": [{"type": "file", "path": "p.jsonl"}],
        "sources": [{"type": "endpoint", "model": "m", "base_urls": ["http://node/v1"]}],
        "score": {"type": "armorm", "model": "j"},
    }
    assert parse(whole | values, name_of(path), ROOT).domain == values.get("domain", domain)


def anchors(path: Path) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.+)$", FENCED.sub("", path.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_links_lead_somewhere(path):
    """Files and headings of this project; the web is not asked."""
    text = FENCED.sub("", path.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if re.match(r"https?:", target):
            continue
        place, _, anchor = target.partition("#")
        there = (path.parent / place).resolve() if place else path
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), target


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_files_that_are_named_are_there(path):
    named = re.findall(
        r"\b(?:datakit|train|tests|benchmarks|data|recipes)/[\w/.-]+\.(?:py|sql|yaml|md)\b", path.read_text(encoding="utf-8")
    )
    assert [file for file in named if not (ROOT / file).is_file()] == []


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


def test_the_readme_names_every_command():
    from train.options import OWN

    table = next(part for part in (ROOT / "README.md").read_text(encoding="utf-8").split("## ") if part.startswith("Commands"))
    rows = re.findall(r"^\| `(datakit|train) ([^|]+)\|", table, re.MULTILINE)
    named = {(program, name) for program, names in rows for name in re.findall(r"\b[a-z]+\b", names)}
    assert named == {
        *(("datakit", name) for name in datakit_command().commands),
        *(("train", name) for name in (*OWN, "merge")),
    }


def test_what_the_readme_says_of_the_data_stands_in_the_experiment():
    figures = re.findall(r"[+-]\d+\.\d ± \d+\.\d", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert len(figures) >= 8 and set(figures) <= set(
        re.findall(r"[+-]\d+\.\d ± \d+\.\d", (ROOT / "docs" / "fusion.md").read_text(encoding="utf-8"))
    )


def test_one_version_everywhere():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))["version"] == version
    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert version in (headings[0], headings[1]) and headings[0] in (version, "Unreleased")


def test_every_page_stands_in_the_sites_navigation():
    site = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert [path.name for path in sorted((ROOT / "docs").glob("*.md")) if f" {path.name}\n" not in site] == []


def test_the_readme_names_every_room():
    tree = next(text for text in blocks(ROOT / "README.md") if text.startswith("stages.py"))
    named = {Path(name).stem for line in tree.splitlines() for name in re.split(r" {3,}", line)[0].split()}
    rooms = {path.stem for path in (ROOT / "datakit").iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    assert named == rooms - {"__init__", "__main__"} | {"sql"}
