"""What the sections of a recipe share: types of fields, and request settings."""

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
"""Our columns that may be made of several columns of a file."""
Columns = Annotated[dict[str, str | list[str]], BeforeValidator(_as_columns)]


def _as_url(value: str) -> str:
    if not value.startswith(("http://", "https://")):
        raise ValueError("a URL begins with http:// or https://")
    return value


Url = Annotated[str, AfterValidator(_as_url)]
RESERVED = {"model", "messages", "n", "seed", "stream"}


def check_free(extra_body: dict[str, Any]) -> None:
    """Raise ValueError if it has fields that datakit sets in every request."""
    if taken := sorted(RESERVED & set(extra_body)):
        raise ValueError(f"extra_body must not have {', '.join(taken)}: datakit sets these in every request")


def _as_json(value: Any) -> Any:
    """Return the value as a request and recipe.json will contain it: keys are texts. ValueError for what JSON cannot
    express."""
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
        raise ValueError("a header appears twice (upper and lower case make no difference)")
    return headers


def _as_omitted(fields: list[str]) -> list[str]:
    if needed := sorted({"model", "messages"} & set(fields)):
        raise ValueError(f"{needed[0]}: every request needs it")
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
    """A range of values: numbers by size, dates and other texts in alphabetical order."""

    since: Scalar | None = None
    """The first value that is included."""
    before: Scalar | None = None
    """The first value that is not included."""


Where = dict[str, Range | Scalar | list[Scalar]]


class Located(Section):
    """A section that names a file, a folder, or something on the hub."""

    named_by: ClassVar[str] = "model"
    """The field with that name."""

    _location: Path | None = PrivateAttr(None)

    @property
    def name(self) -> str:
        """The name in the recipe, also used in messages and in the `source` column of prompts."""
        return str(getattr(self, self.named_by))

    @property
    def place(self) -> str:
        """The path that is looked for on this machine."""
        return self.name

    @property
    def location(self) -> Path | None:
        """Its path on this machine; None if it is on the hub."""
        return self._location

    @property
    def files(self) -> list[Path]:
        """The file that it names, or the files that its pattern (`data/*.jsonl`) matches, sorted by name."""
        path = self._location
        if path is None or path.is_file():
            return [] if path is None else [path]
        there = next(
            folder for folder in path.parents if folder.is_dir()
        )  # a folder that exists is not a pattern, whatever its name
        return sorted(found for found in there.glob(str(path.relative_to(there))) if found.is_file())

    def locate(self, folder: Path) -> None:
        """Look for the name, relative to the recipe's folder; called once, when the recipe is parsed."""
        path = in_folder(folder, self.place)
        self._location = path if path.is_dir() else None


class Weights(Located):
    """A section whose model may be on this machine."""

    folder: Name | None = None
    """The folder of the model's files. Without it `model` is the folder, and rows have the path as the model's name. With it
    rows have `model` (org/name), so the run is the same wherever the folder is."""

    @property
    def place(self) -> str:
        return self.name if self.folder is None else self.folder


def in_folder(folder: Path, path: str) -> Path:
    """Return a path of a recipe as an absolute one; it is relative to the recipe's folder."""
    return (folder / Path(path).expanduser()).resolve()


def _as_texts(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class Sampling(Section):
    """The sampling fields of a request; only those that are set are sent."""

    temperature: Annotated[float, Field(strict=True, ge=0)] | None = None
    """As in OpenAI's API; the same is true of the fields below."""
    top_p: Annotated[float, Field(strict=True, gt=0, le=1)] | None = None
    max_tokens: Annotated[int, Field(strict=True, ge=1)] | None = None
    presence_penalty: Annotated[float, Field(strict=True)] | None = None
    frequency_penalty: Annotated[float, Field(strict=True)] | None = None
    stop: (
        Annotated[list[Name], BeforeValidator(_as_texts, json_schema_input_type=Name | list[Name]), Field(min_length=1)] | None
    ) = None
    """The text or texts at which an answer ends. Servers leave the text out unless they are asked to keep it."""


class Requests(Section):
    """How requests are sent to a server."""

    max_in_flight: Annotated[int, Field(strict=True, ge=1, le=4096)] = 64
    """Requests in flight at each base URL."""
    timeout_s: Annotated[float, Field(strict=True, gt=0)] = 600.0
    """Seconds that one request may take."""
    patience_s: Annotated[float, Field(strict=True, gt=0)] = 900.0
    """Seconds to wait for a server that has answered before and cannot be reached now."""
    omit: Omitted = []
    """Request fields that the server does not accept; they are left out of every request: [seed], [n], [temperature, top_p],
    ..."""

    _origin: Origin = PrivateAttr(SOME_RECIPE)

    @property
    def origin(self) -> Origin:
        """Where the section was written."""
        return self._origin

    def written_at(self, origin: Origin) -> None:
        """Set the origin; called once, when it is known."""
        self._origin = origin

    def without_omitted(self, settings: dict[str, Any]) -> dict[str, Any]:
        """Return the settings that are sent."""
        return {name: value for name, value in settings.items() if name not in self.omit}


class Endpoint(Requests):
    """A server that is already running."""

    base_urls: Annotated[list[Url], Field(min_length=1)]
    """OpenAI-compatible URLs (ending in /v1); several are replicas of one model. A query (?api-version=...) stays last."""
    api_key_env: str | None = None
    """The environment variable that holds the key. The key itself is never written anywhere."""
    headers: Headers = {}
    """More headers for every request: {api-key: '${AZURE_KEY}'}, where ${NAME} is an environment variable. Its value is never
    written anywhere."""

    @property
    def variables(self) -> set[str]:
        """The environment variables from which it reads keys and headers."""
        named = {name for value in self.headers.values() for name in VARIABLE.findall(value)}
        return named | ({self.api_key_env} if self.api_key_env is not None else set())
