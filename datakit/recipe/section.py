"""What the sections of a recipe share: the kinds of their fields, and what is sent to a server."""

from __future__ import annotations

import json
import re
from datetime import date
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr

from datakit.errors import SOME_RECIPE, Origin

Share = Annotated[float, Field(strict=True, ge=0, le=1)]
Name = Annotated[str, Field(min_length=1)]


def _as_columns(columns: Any) -> Any:
    for ours, theirs in columns.items() if isinstance(columns, dict) else ():
        several = isinstance(theirs, list) and len({str(name).rpartition(".")[2] for name in theirs}) == len(theirs) > 1
        names = theirs if several and ours in JOINED else [theirs]
        if not all(isinstance(name, str) and name for name in names):
            listed = f"; {', '.join(JOINED)} may have a list of several different ones"
            raise ValueError(f"{ours} must be the name of a column{listed} (got {theirs!r:.80})")
    return columns


JOINED = ("prompt", "reference", "choices")
"""Columns of ours that may be made of several."""
Columns = Annotated[dict[str, str | list[str]], BeforeValidator(_as_columns)]


def _as_url(value: str) -> str:
    if not value.startswith(("http://", "https://")):
        raise ValueError("a URL begins with http:// or https://")
    return value


Url = Annotated[str, AfterValidator(_as_url)]
RESERVED = {"model", "messages", "n", "seed", "stream"}


def check_free(extra_body: dict[str, Any]) -> None:
    """ValueError where it has fields that every request sets itself."""
    if taken := sorted(RESERVED & set(extra_body)):
        raise ValueError(f"extra_body must not have {', '.join(taken)}: datakit sets these in every request")


def _as_json(value: Any) -> Any:
    """As a request and recipe.json will have it: keys are texts. ValueError for what JSON cannot write."""
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ValueError(f"must be plain JSON: {error}") from error


ExtraBody = Annotated[dict[str, Any], BeforeValidator(_as_json)]


HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
SECRET = re.compile(r"(^|[-_])(api)?(key|token|secret|password|auth|authorization|cookie|credential)s?($|[-_])", re.IGNORECASE)
TAKEN_HEADERS = {"content-type", "content-length", "transfer-encoding", "connection"}


def _as_headers(headers: dict[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        if not HEADER_NAME.fullmatch(name) or name.lower() in TAKEN_HEADERS:
            raise ValueError(f"a request cannot have the header {name!r}; leave it out")
        plain = VARIABLE.sub("", value)
        if "${" in plain or not plain.isascii() or not (plain + " ").isprintable():
            raise ValueError(f"the value of {name} must be one line of ASCII, and name environment variables as ${{NAME}}")
        if SECRET.search(name) and plain == value:
            raise ValueError(
                f"{name} looks like a secret, and recipes are stored: write {name}: ${{NAME}}, and export NAME=..."
            )
    if len({name.lower() for name in headers}) < len(headers):
        raise ValueError("a header stands there twice, for capital letters make no difference")
    return headers


def _as_omitted(fields: list[str]) -> list[str]:
    if needed := sorted({"model", "messages"} & set(fields)):
        raise ValueError(f"{needed[0]}: no request does without it")
    return fields


Headers = Annotated[dict[str, str], AfterValidator(_as_headers)]
Omitted = Annotated[list[Name], AfterValidator(_as_omitted)]


class Section(BaseModel):
    """What every section of a recipe has in common: frozen, and no field that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


def _dates_as_text(value: Any) -> Any:
    """YAML reads 2024-07-01 as a date; files have it as text."""
    if isinstance(value, list):
        return [_dates_as_text(one) for one in value]
    return value.isoformat() if isinstance(value, date) else value


Scalar = Annotated[bool | int | float | str, BeforeValidator(_dates_as_text)]


class Range(Section):
    """Numbers by their size, dates and other texts by their spelling."""

    since: Scalar | None = None
    """The first value."""
    before: Scalar | None = None
    """Ends before this value."""


Where = dict[str, Range | Scalar | list[Scalar]]


class Located(Section):
    """A section that names a file, a folder, or something on the hub."""

    named_by: ClassVar[str] = "model"
    """The field that names it."""

    _location: Path | None = PrivateAttr(None)

    @property
    def name(self) -> str:
        """How the recipe writes it; messages, and the `source` column of prompts, call it so."""
        return str(getattr(self, self.named_by))

    @property
    def place(self) -> str:
        """What is looked for on this machine."""
        return self.name

    @property
    def location(self) -> Path | None:
        """Where it lies on this machine; None where it is on the hub."""
        return self._location

    @property
    def files(self) -> list[Path]:
        """The file that it names, or those that its pattern (`data/*.jsonl`) matches, in the order of their names."""
        path = self._location
        if path is None or path.is_file():
            return [] if path is None else [path]
        there = next(folder for folder in path.parents if folder.is_dir())  # what is there is no pattern, whatever it is called
        return sorted(found for found in there.glob(str(path.relative_to(there))) if found.is_file())

    def locate(self, folder: Path) -> None:
        """Look for the name from the recipe's folder on; called once, when the recipe is parsed."""
        path = in_folder(folder, self.place)
        self._location = path if path.is_dir() else None


class Weights(Located):
    """A section whose model may lie on this machine."""

    folder: Name | None = None
    """Where the model's files lie. Without it `model` says that, and rows then have the path for a name: with it a run says
    org/name, and is the same wherever the folder is."""

    @property
    def place(self) -> str:
        return self.name if self.folder is None else self.folder


def in_folder(folder: Path, path: str) -> Path:
    """A path that a recipe writes, made absolute from the recipe's folder."""
    return (folder / Path(path).expanduser()).resolve()


def _as_texts(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class Sampling(Section):
    """The request's own sampling fields; everything that is set is sent, nothing else is."""

    temperature: Annotated[float, Field(strict=True, ge=0)] | None = None
    """Of the request, as OpenAI's API has it; so are the fields below."""
    top_p: Annotated[float, Field(strict=True, gt=0, le=1)] | None = None
    max_tokens: Annotated[int, Field(strict=True, ge=1)] | None = None
    presence_penalty: Annotated[float, Field(strict=True)] | None = None
    frequency_penalty: Annotated[float, Field(strict=True)] | None = None
    stop: (
        Annotated[list[Name], BeforeValidator(_as_texts, json_schema_input_type=Name | list[Name]), Field(min_length=1)] | None
    ) = None
    """Where an answer ends; one text or several. Servers leave the text out, unless they are asked to keep it."""


class Requests(Section):
    """How requests are sent to a server."""

    max_in_flight: Annotated[int, Field(strict=True, ge=1, le=4096)] = 64
    """Requests in flight at each base URL."""
    timeout_s: Annotated[float, Field(strict=True, gt=0)] = 600.0
    """How long one request may take."""
    patience_s: Annotated[float, Field(strict=True, gt=0)] = 900.0
    """How long a server that has answered before, and then cannot be reached, is waited for."""
    omit: Omitted = []
    """Request fields that the server does not take, left out of every request: [seed], [n], [temperature, top_p], ..."""

    _origin: Origin = PrivateAttr(SOME_RECIPE)

    @property
    def origin(self) -> Origin:
        """Where it was written."""
        return self._origin

    def written_at(self, origin: Origin) -> None:
        """Called once, when it is known."""
        self._origin = origin

    def without_omitted(self, settings: dict[str, Any]) -> dict[str, Any]:
        """Of the settings, those that are sent."""
        return {name: value for name, value in settings.items() if name not in self.omit}


class Endpoint(Requests):
    """A server that somebody else runs."""

    base_urls: Annotated[list[Url], Field(min_length=1)]
    """OpenAI-compatible URLs (ending in /v1); several are replicas of one model. A query (?api-version=...) stays last."""
    api_key_env: str | None = None
    """The environment variable that holds the key. The key itself is never written anywhere."""
    headers: Headers = {}
    """More headers of every request: {api-key: '${AZURE_KEY}'}, where ${NAME} is an environment variable. Its value is never
    written anywhere."""

    @property
    def variables(self) -> set[str]:
        """The environment variables that it reads keys and headers from."""
        named = {name for value in self.headers.values() for name in VARIABLE.findall(value)}
        return named | ({self.api_key_env} if self.api_key_env is not None else set())
