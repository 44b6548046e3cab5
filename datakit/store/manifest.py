"""What a mirror has: a manifest names files of a run, with sizes and digests, and the objects that are copies of them.

    <table>/part-000001-<digest>.parquet, recipe-<digest>.json, ...     never replaced: another content has another name
    manifests/000012-<digest>.json                                      the 12th state of the run; the digest is its own

A manifest is written when all that it names lies there, under a name of its own. So the newest whole one is always a state
that the run had, on stores that write at once and on those that a kill interrupts.
"""

from __future__ import annotations

import hashlib
import json
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from datakit.errors import RunError
from datakit.store.parts import writing
from datakit.store.remote import Remote

FOLDER = "manifests"
FORMAT = 1
NOTE = "mirror.json"
_DIGITS = 16


class Content(NamedTuple):
    """What is in a file."""

    size: int
    """In bytes."""
    sha256: str

    @classmethod
    def of(cls, path: Path) -> Content:
        """Read it all."""
        with path.open("rb") as file:
            return cls(path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest())


def object_of(path: str, content: Content) -> str:
    """The name of the object that is a copy of a run's file."""
    name = PurePosixPath(path)
    return str(name.with_name(f"{name.stem}-{content.sha256[:_DIGITS]}{name.suffix}"))


@dataclass(frozen=True)
class Manifest:
    """One state of a run."""

    run: str
    """The run's id."""
    number: int
    host: str
    """Who wrote it."""
    at: str
    files: Mapping[str, Content]
    """By path in the run folder, in the order in which they are to be copied."""

    @classmethod
    def now(cls, run: str, number: int, files: Mapping[str, Content]) -> Manifest:
        """Of this machine and moment."""
        return cls(run, number, socket.gethostname(), datetime.now(UTC).isoformat(timespec="seconds"), files)

    def encoded(self) -> tuple[str, bytes]:
        """Its name in the mirror, and its bytes."""
        values = {"format": FORMAT, **{name: getattr(self, name) for name in ("run", "number", "host", "at")}}
        files = [{"path": path, "size": one.size, "sha256": one.sha256} for path, one in self.files.items()]
        data = json.dumps({**values, "files": files}, indent=1).encode()
        return f"{FOLDER}/{self.number:06d}-{hashlib.sha256(data).hexdigest()[:_DIGITS]}.json", data

    @classmethod
    def decoded(cls, name: str, data: bytes) -> Manifest | None:
        """None where it is not whole."""
        if hashlib.sha256(data).hexdigest()[:_DIGITS] != PurePosixPath(name).stem.rpartition("-")[2]:
            return None
        values: dict[str, Any] = json.loads(data)
        if values["format"] != FORMAT:
            raise RunError(f"{name}: of a newer datakit (format {values['format']}); install that to pull it")
        files = {one["path"]: Content(one["size"], one["sha256"]) for one in values["files"]}
        return cls(values["run"], values["number"], values["host"], values["at"], files)


def number_of(name: str) -> int:
    """The number of a manifest, by its object's name; 0 of any other."""
    found = re.match(rf"{FOLDER}/(\d+)-", name)
    return int(found[1]) if found else 0


def newest(remote: Remote, names: Mapping[str, int]) -> tuple[str, Manifest] | None:
    """The newest whole manifest among the objects' names."""
    for number, name in sorted(((number_of(name), name) for name in names), reverse=True):
        if number == 0:
            break
        try:
            manifest = Manifest.decoded(name, remote.read(name))
        except FileNotFoundError:  # a newer one has taken its place
            continue
        if manifest is not None:
            return name, manifest
    return None


@dataclass
class Note:
    """What a run folder knows of its mirror (mirror.json)."""

    url: str
    run: str
    """The run's id, of all its copies."""
    known: str | None = None
    """The manifest that the folder stands on."""
    begun: str | None = None
    """The manifest that was being written; whether it is there is not known."""
    files: dict[str, tuple[int, str, int]] | None = None
    """Of `known`: size, digest, and when the file here was changed (ns)."""

    def content(self, path: str, file: Path) -> Content | None:
        """What is in a part here, where it is as it was; None where that is not known."""
        size, sha256, changed = (self.files or {}).get(path, (0, "", 0))
        stat = file.stat()
        return Content(size, sha256) if (size, changed) == (stat.st_size, stat.st_mtime_ns) else None

    def base(self, path: str) -> str | None:
        """The digest that a file had when the folder was last as the mirror."""
        return (self.files or {}).get(path, (0, None, 0))[1]

    def stand_on(self, folder: Path, known: str, files: Mapping[str, Content], paths: Mapping[str, Path] | None = None) -> None:
        """The folder has these files, and the mirror this manifest of them. `paths`: where they were read."""
        self.known, self.begun = known, None
        paths = paths or {path: folder / path for path in files}
        self.files = {path: (*files[path], file.stat().st_mtime_ns if file.is_file() else 0) for path, file in paths.items()}
        self.save(folder)

    def save(self, folder: Path) -> None:
        """Write it, whole or not at all."""
        with writing(folder):
            temporary = folder / f"{NOTE}.tmp"
            temporary.write_text(json.dumps(vars(self)) + "\n", encoding="utf-8")
            temporary.rename(folder / NOTE)

    @classmethod
    def read(cls, folder: Path) -> Note | None:
        """None where the run has no mirror. RunError where it cannot be read."""
        path = folder / NOTE
        if not path.is_file():
            return None
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            raise RunError(f"{path}: cannot be read ({error}); remove it, and name the mirror again") from error
