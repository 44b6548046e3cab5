"""The contents of a mirror: a manifest names the files of a run, with sizes and digests; objects are copies of those files.

    <table>/part-000001-<digest>.parquet, recipe-<digest>.json, ...     never replaced: other contents have another name
    manifests/000012-<digest>.json                                      the 12th state of the run; the digest is its own

A manifest is written under a name of its own once all objects that it names are there. So the newest complete one always
describes a state that the run had, also on stores where a kill can interrupt a write.
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
    """The size and the digest of a file."""

    size: int
    """Size in bytes."""
    sha256: str

    @classmethod
    def of(cls, path: Path) -> Content:
        """Read the whole file."""
        with path.open("rb") as file:
            return cls(path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest())


def object_of(path: str, content: Content) -> str:
    """Return the name of the object that is a copy of a run's file."""
    name = PurePosixPath(path)
    return str(name.with_name(f"{name.stem}-{content.sha256[:_DIGITS]}{name.suffix}"))


@dataclass(frozen=True)
class Manifest:
    """One state of a run."""

    run: str
    """The run's id."""
    number: int
    host: str
    """The machine that wrote it."""
    at: str
    files: Mapping[str, Content]
    """The files by path in the run folder, in the order in which they must be copied."""

    @classmethod
    def now(cls, run: str, number: int, files: Mapping[str, Content]) -> Manifest:
        """Return a manifest of this machine and moment."""
        return cls(run, number, socket.gethostname(), datetime.now(UTC).isoformat(timespec="seconds"), files)

    def encoded(self) -> tuple[str, bytes]:
        """Return its name in the mirror, and its bytes."""
        values = {"format": FORMAT, **{name: getattr(self, name) for name in ("run", "number", "host", "at")}}
        files = [{"path": path, "size": one.size, "sha256": one.sha256} for path, one in self.files.items()]
        data = json.dumps({**values, "files": files}, indent=1).encode()
        return f"{FOLDER}/{self.number:06d}-{hashlib.sha256(data).hexdigest()[:_DIGITS]}.json", data

    @classmethod
    def decoded(cls, name: str, data: bytes) -> Manifest | None:
        """Return the manifest, or None if it is incomplete."""
        if hashlib.sha256(data).hexdigest()[:_DIGITS] != PurePosixPath(name).stem.rpartition("-")[2]:
            return None
        values: dict[str, Any] = json.loads(data)
        if values["format"] != FORMAT:
            raise RunError(f"{name}: written by a newer datakit (format {values['format']}); install that version to pull it")
        files = {one["path"]: Content(one["size"], one["sha256"]) for one in values["files"]}
        return cls(values["run"], values["number"], values["host"], values["at"], files)


def number_of(name: str) -> int:
    """Return the number in the name of a manifest; 0 for any other object."""
    found = re.match(rf"{FOLDER}/(\d+)-", name)
    return int(found[1]) if found else 0


def newest(remote: Remote, names: Mapping[str, int]) -> tuple[str, Manifest] | None:
    """Return the newest complete manifest among the objects' names."""
    for number, name in sorted(((number_of(name), name) for name in names), reverse=True):
        if number == 0:
            break
        try:
            manifest = Manifest.decoded(name, remote.read(name))
        except FileNotFoundError:  # replaced by a newer one
            continue
        if manifest is not None:
            return name, manifest
    return None


@dataclass
class Note:
    """A run folder's record of its mirror (mirror.json)."""

    url: str
    run: str
    """The run's id, which all its copies share."""
    known: str | None = None
    """The manifest that the folder was last in step with."""
    begun: str | None = None
    """The manifest that was being written; it may or may not exist."""
    files: dict[str, tuple[int, str, int]] | None = None
    """The files of `known`: size, digest, and modification time here (ns)."""

    def content(self, path: str, file: Path) -> Content | None:
        """Return the content of a part if the file is unchanged since `known`; None if that cannot be told."""
        size, sha256, changed = (self.files or {}).get(path, (0, "", 0))
        stat = file.stat()
        return Content(size, sha256) if (size, changed) == (stat.st_size, stat.st_mtime_ns) else None

    def base(self, path: str) -> str | None:
        """Return the digest that a file had when the folder was last in step with the mirror."""
        return (self.files or {}).get(path, (0, None, 0))[1]

    def stand_on(self, folder: Path, known: str, files: Mapping[str, Content], paths: Mapping[str, Path] | None = None) -> None:
        """Record that the folder has these files and the mirror this manifest of them. `paths`: where they were read."""
        self.known, self.begun = known, None
        paths = paths or {path: folder / path for path in files}
        self.files = {path: (*files[path], file.stat().st_mtime_ns if file.is_file() else 0) for path, file in paths.items()}
        self.save(folder)

    def save(self, folder: Path) -> None:
        """Write the note atomically."""
        with writing(folder):
            temporary = folder / f"{NOTE}.tmp"
            temporary.write_text(json.dumps(vars(self)) + "\n", encoding="utf-8")
            temporary.rename(folder / NOTE)

    @classmethod
    def read(cls, folder: Path) -> Note | None:
        """Return the note, or None if the run has no mirror. Raise RunError if it cannot be read."""
        path = folder / NOTE
        if not path.is_file():
            return None
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            raise RunError(f"{path}: cannot be read ({error}); remove it, and name the mirror again") from error
