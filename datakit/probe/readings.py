"""The models that read texts, and how: every source with its own template, and the pivot.

A reading is what determines a row of `distributions` in addition to text, model and revision: the number of likeliest tokens,
what the model is given around the text, the way of reading, and the digest of the tokenizer whose ids are stored.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from datakit.errors import DISTRIBUTION, BadInput, MissingExtra, RecipeError, needs_extra
from datakit.recipe import LocalSource, Probe, Recipe, Requested, Sampled, ServeSource
from datakit.recipe.section import in_folder
from datakit.tables import Messages, canonical_json, fingerprint
from datakit.tokens import SampledReader
from datakit.tokens.vocabulary import read_vocabulary

Way = Literal["local", "vllm"]


@dataclass(frozen=True)
class Reading:
    """One model that reads texts, in one way."""

    model: str
    revision: str | None
    text: str
    """The value of the column `reading`: canonical JSON."""
    way: Way
    """local: a forward pass in a worker of this build; vllm: a server's `prompt_logprobs`."""
    top_k: int
    tokenizer: Path
    """The path of its tokenizer.json."""
    folder: Path | None = None
    """The model folder of a local reading."""
    source: Sampled | None = None
    """None for a pivot that is not a source."""
    by_author: bool = False
    is_pivot: bool = False

    @property
    def key(self) -> dict[str, Any]:
        """Its part of a row's key."""
        return {"model": self.model, "revision": self.revision, "reading": self.text}

    @property
    def template_arguments(self) -> dict[str, Any]:
        """The arguments of the chat template other than the messages."""
        return template_arguments(self.source)

    def asked(self, messages: Messages) -> Messages:
        """Return what precedes a text."""
        return messages if self.source is None else self.source.asked(messages)


def template_arguments(source: Sampled | None) -> dict[str, Any]:
    """Return `extra_body.chat_template_kwargs` of a source that is asked on a server."""
    found: dict[str, Any] = source.extra_body.get("chat_template_kwargs", {}) if isinstance(source, Requested) else {}
    return found


def readings_of(recipe: Recipe) -> list[Reading]:
    """Return every model that reads, once however many ways it is sampled in; the pivot is last if it is not a source.

    Raise BadInput if a model has no tokenizer.json here or on the hub, or cannot be read at all.
    """
    probe = recipe.probe
    if probe is None:
        return []
    found: dict[tuple[str, str | None, str], Reading] = {}
    for at, source in enumerate(recipe.sources):
        if isinstance(source, Sampled):
            reading = _of_source(source, probe, recipe.folder, f"sources.{at}")
            found.setdefault((reading.model, reading.revision, reading.text), reading)
    if probe.pivot is not None and probe.pivot not in {reading.model for reading in found.values()}:
        pivot = _of_pivot(probe, probe.pivot)
        found[(pivot.model, pivot.revision, pivot.text)] = pivot
    return list(found.values())


def _of_source(source: Sampled, probe: Probe, folder: Path, where: str) -> Reading:
    way: Way = "vllm"
    location = source.location if isinstance(source, LocalSource | ServeSource) else None
    if isinstance(source, LocalSource) or (isinstance(source, ServeSource) and source.engine == "transformers"):
        way = "local"
        if location is None:
            raise BadInput(f"{where}.model: {source.model}: probe reads it in this process, so it must be a folder here")
    tokenizer = _tokenizer_of(source, location, folder, where)
    asked = {"system": source.system, "template": source.template, "chat_template_kwargs": template_arguments(source)}
    return Reading(
        source.model,
        source.revision,
        _reading_text(way, probe.top_k, tokenizer, asked),
        way,
        probe.top_k,
        tokenizer,
        location,
        source,
        probe.by == "author",
        source.model == probe.pivot,
    )


def _of_pivot(probe: Probe, name: str) -> Reading:
    folder = probe.location
    if folder is None:
        raise RecipeError(f"probe.pivot: {name}: neither one of the recipe's sources nor a model folder")
    tokenizer = _file_in(folder, "probe.pivot")
    text = _reading_text("local", probe.top_k, tokenizer, {})
    return Reading(name, fingerprint(folder), text, "local", probe.top_k, tokenizer, folder, is_pivot=True)


def _reading_text(way: Way, top_k: int, tokenizer: Path, asked: dict[str, Any]) -> str:
    said = {name: value for name, value in asked.items() if value}
    digest = hashlib.sha256(tokenizer.read_bytes()).hexdigest()[:12]
    return canonical_json({"top_k": top_k, "way": way, "tokenizer": digest, **said})


def _tokenizer_of(source: Sampled, location: Path | None, folder: Path, where: str) -> Path:
    """Return the tokenizer.json that the recipe names, else the model folder's, else the hub's under the model's name."""
    named = source.tokenizer if isinstance(source, Requested) else None
    if named is None and location is not None:
        return _file_in(location, f"{where}.model")
    if named is not None and (there := in_folder(folder, named)).is_dir():
        return _file_in(there, f"{where}.tokenizer")
    repository, _, revision = (named or source.model).partition("@")
    with needs_extra("hub", f"fetching the tokenizer of {repository}"):
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import HFValidationError
    try:
        return Path(hf_hub_download(repository, "tokenizer.json", revision=revision or source.revision))
    except (OSError, HFValidationError) as error:
        reason = " ".join(str(error).split())
        raise BadInput(
            f"{where}.tokenizer: {repository} has no tokenizer.json to fetch ({reason:.200}); name one that has"
        ) from error


def _file_in(folder: Path, where: str) -> Path:
    file = folder / "tokenizer.json"
    if not file.is_file():
        raise BadInput(f"{where}: {folder} has no tokenizer.json, which says what its tokens are; give the whole model folder")
    return file


def sampled_readers(recipe: Recipe) -> dict[str, SampledReader]:
    """Return, by model, what reads the distributions that come with samples, if a vLLM server's model reads its own answers."""
    own = [one for one in readings_of(recipe) if one.by_author and one.way == "vllm"]
    return {one.model: SampledReader(one.key, vocabulary_of(one), one.top_k) for one in own}


def check(recipe: Recipe) -> None:
    """Check what can be known before the first request. Raise BadInput or MissingExtra."""
    for reading in readings_of(recipe):
        vocabulary_of(reading)
        for package in ("torch", "transformers") if reading.way == "local" else ():
            if find_spec(package) is None:
                raise MissingExtra(f"probe: {reading.model} needs the package '{package}': pip install '{DISTRIBUTION}[local]'")


def vocabulary_of(reading: Reading) -> list[bytes | None]:
    """Return the bytes of each token of the model."""
    return read_vocabulary(reading.tokenizer.read_text(encoding="utf-8"), str(reading.tokenizer))
