"""The models under test: sources of ordinary runs, as the command line names them.

NAME=URL, NAME=URL#MODEL     an endpoint; MODEL is what requests ask for, by default the one model that the server lists
NAME=FOLDER                  a model folder: served while its answers are sampled, and stopped
NAME=FILE, NAME=FILE#MODEL   answers that exist already; MODEL is the one to take from a file with several
NAME=SOURCE.yaml             a source's section of a recipe, for keys, engines, replicas, ...
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from datakit.client import list_models, read_access
from datakit.collect.rows import read_rows
from datakit.collect.tally import Tally
from datakit.errors import SOME_RECIPE, BadInput, Origin, RecipeError
from datakit.machine import has_gpu
from datakit.recipe import ResponsesSource, Source
from datakit.recipe.benchmarks import Benchmark, Protocol
from datakit.recipe.explain import explain
from datakit.recipe.section import Section
from datakit.recipe.yaml_file import read_yaml
from datakit.tables import Row

OF_BENCHMARK = ("n", *Protocol.model_fields)
SERVED = ("--continuous-batching",)
ON_CPU = ("--device", "cpu", "--cb-num-blocks", "512", "--cb-max-batch-tokens", "256")
"""The server options without a GPU: `transformers serve` would take half of the memory for its cache by default."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]*")
_NAMES_SHOWN = 12


class _One(Section):
    """A section with a single source, so that messages about it name the right field."""

    source: Source


@dataclass(frozen=True)
class Model:
    """A model under test."""

    name: str
    section: Row
    """Its source section, without what the benchmark sets."""
    also: tuple[str, ...] = ()
    """Its other names: at its server, of its folder, in its file."""
    origin: Origin = SOME_RECIPE
    """Where it is given on the command line, for messages."""

    @property
    def names(self) -> list[str]:
        """Return all its names."""
        return [self.name, *self.also]

    @property
    def is_imported(self) -> bool:
        """True if its answers exist already."""
        return bool(self.section["type"] == "responses")

    def departs_from(self, benchmark: Benchmark) -> bool:
        """Return whether it is asked without the prefilled start of the answer: `transformers serve` cannot continue one."""
        return self.section.get("engine") == "transformers" and "prefill" in benchmark.protocol_of(self.names)

    def source_for(self, benchmark: Benchmark) -> Row:
        """Return its source section in the recipe of a benchmark."""
        if self.is_imported:
            return self.section
        asked = benchmark.protocol_of(self.names)
        if self.departs_from(benchmark):
            del asked["prefill"]
        body = {**asked.pop("extra_body", {}), **self.section.get("extra_body", {})}
        return {**self.section, **asked, **({"extra_body": body} if body else {})}


def read_models(given: Sequence[str], columns: str | None, api_key_env: str | None) -> list[Model]:
    """Return the models of the command line, in order. Raises BadInput if one cannot be used.

    `columns`: the columns of files with answers, written as in a recipe ({text: response, model: source_model}).
    """
    mapped = _columns(columns)
    models: list[Model] = []
    for one in given:
        name, _, where = one.partition("=")
        if not where.partition("#")[0] or not _NAME.fullmatch(name):
            raise BadInput(f"--model {one}: write NAME=URL, NAME=FOLDER or NAME=FILE, the name of letters, digits and _ . : -")
        if name in {model.name for model in models}:
            raise BadInput(f"--model {one}: two models are called {name}")
        models.append(_model(name, where, mapped, api_key_env))
    return models


def _model(name: str, where: str, columns: dict[str, Any], api_key_env: str | None) -> Model:
    path, _, part = where.partition("#") if not Path(where).exists() else (where, "", "")
    if path.startswith(("http://", "https://")):
        return _endpoint(name, path, part, api_key_env)
    place = Path(path).expanduser()
    if place.suffix in (".yaml", ".yml"):
        return _of_section(name, place)
    if place.is_dir():
        args = [*SERVED, *([] if has_gpu() else ON_CPU)]
        served = {"type": "serve", "engine": "transformers", "model": name, "folder": str(place.absolute())}
        return Model(name, {**served, "args": args, "together": False}, (place.absolute().name,))
    if place.is_file():
        return _of_file(name, place.absolute(), part, columns)
    raise BadInput(f"--model {name}={where}: no such file or folder; a URL begins with http:// or https://")


def _endpoint(name: str, url: str, asked_for: str, api_key_env: str | None) -> Model:
    access = read_access(api_key_env, {}, "--api-key-env")
    model = asked_for
    if not model:
        known = list_models(url, access)
        if len(known) > 1:
            shown = ", ".join(known[:_NAMES_SHOWN])
            raise BadInput(f"--model {name}={url}: it serves {len(known):,} models; add which one: {url}#MODEL ({shown})")
        model = known[0] if known else name
    section = {"type": "endpoint", "model": model, "revision": name, "base_urls": [url], "api_key_env": api_key_env}
    return Model(name, section, (model,), _origin(f"--model {name}={url}", f"a YAML file, --model {name}=SOURCE.yaml"))


def _origin(url: str, settings: str) -> Origin:
    return Origin(url=url, settings=settings, again="evaluate again")


def _of_section(name: str, path: Path) -> Model:
    """Return the model of a YAML file with a source section, whose paths are relative to its folder."""
    try:
        values = read_yaml(path, "a source")
    except RecipeError as error:
        raise BadInput(f"--model {name}={error}") from error
    if not isinstance(values, dict):
        raise BadInput(f"--model {name}={path}: not a source of a recipe, a mapping with type, model, ...")
    if taken := [field for field in OF_BENCHMARK if field in values and field != "extra_body"]:
        raise BadInput(
            f"--model {name}={path}: {taken[0]}: the benchmark says that, so that models can be compared; take it out, "
            "or evaluate with a benchmark file of your own"
        )
    folder = path.parent.absolute()
    is_here = values.get("type") in ("serve", "local") and "folder" not in values
    if is_here and isinstance(given := values.get("model"), str) and (folder / given).is_dir():
        values = {**values, "model": name, "folder": given}
    for field in ("path", "python", "folder"):
        if isinstance(given := values.get(field), str) and (folder / given).exists():
            values = {**values, field: str(folder / given)}
    own = (
        {"revision": name} if values.get("type") == "endpoint" else {"model": name} if values.get("type") == "responses" else {}
    )
    section = {**own, **values}
    try:
        _One.model_validate({"source": section})
    except ValidationError as error:
        lines = explain(error, {"source": section}, _One)
        raise BadInput("\n".join(f"--model {name}={path}: {line.removeprefix('source.')}" for line in lines)) from None
    called = (section.get("model"), Path(section["folder"]).name if "folder" in section else None)
    also = tuple(str(one) for one in called if one is not None)
    return Model(name, section, also, _origin(f"base_urls in {path}", str(path)))


def _of_file(name: str, path: Path, asked_for: str, columns: dict[str, Any]) -> Model:
    """Return the model of a file with answers: all of them, or those of one of its models."""
    section: Row = {"type": "responses", "path": str(path), "columns": columns, "on_bad_row": "drop"}
    given = ResponsesSource.model_validate(section)
    given.locate(path.parent)
    found = {str(row["model"]) for _, _, row in read_rows(given, Tally(given)) if row.get("model") is not None}
    shown = ", ".join(sorted(found)[:_NAMES_SHOWN]) + (", ..." if len(found) > _NAMES_SHOWN else "")
    if asked_for and asked_for not in found:
        there = f"its models are {shown}" if found else "no column says the model; --columns '{model: ...}' names it"
        raise BadInput(f"--model {name}={path}#{asked_for}: no answer of this model; {there}")
    if not asked_for and len(found) > 1:
        raise BadInput(f"--model {name}={path}: it has answers of {len(found):,} models; add which one: #MODEL ({shown})")
    where = {"where": {columns.get("model", "model"): asked_for}} if asked_for else {}
    return Model(name, {**section, "model": name, **where}, (asked_for,) if asked_for else tuple(found))


def _columns(given: str | None) -> dict[str, Any]:
    """Parse --columns, which is written as in a recipe."""
    if given is None:
        return {}
    try:
        columns = yaml.safe_load(given)
    except (yaml.YAMLError, ValueError):
        columns = None
    if not isinstance(columns, dict):
        raise BadInput(f"--columns {given}: write it as a recipe has it: '{{text: response, model: source_model}}'")
    return columns
