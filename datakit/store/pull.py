"""Pull a run from its mirror into a new folder, or into an older copy of the run. Local files that differ are never lost."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from datakit.errors import BadInput, RunError, command
from datakit.store.flags import TABLE as FLAGS
from datakit.store.flags import Flags
from datakit.store.journal import read_journal
from datakit.store.manifest import Content, Manifest, Note, newest, object_of
from datakit.store.parts import writing
from datakit.store.remote import Remote
from datakit.store.run import Run
from datakit.tables import TABLES

AT_ONCE = 4
FLAGS_JOURNAL = f"{FLAGS}/journal-000001.jsonl"
Begin = Callable[[dict[str, int], dict[str, int]], None]
"""Called with the number of files to copy and of files present, by table."""


@dataclass(frozen=True)
class Pulled:
    """The result of a pull, in files."""

    copied: int
    there: int
    replaced: list[str]
    """Files here that were older states of the mirror's files."""
    only_here: int


def read_mirror(url: str) -> tuple[Remote, str, Manifest]:
    """Return the mirror and its newest state. Raise BadInput if there is no mirror."""
    remote = Remote(url)
    names = remote.sizes()
    found = newest(remote, names)
    if found is None:
        whole = (
            "none of its manifests is whole" if any(name.startswith("manifests/") for name in names) else "nothing names one"
        )
        raise BadInput(f"{url}: no mirror of a run ({whole}); mirrors are made by datakit build --mirror URL")
    return remote, *found


def pull(url: str, folder: Path, begin: Begin, advance: Callable[[str], None]) -> Pulled:
    """Bring the run folder to the mirror's newest state.

    A file is copied after those that its rows refer to, the recipe last. Raise RunError, before anything is copied, if a file
    was changed on both sides; BadInput and RemoteError as the mirror requires."""
    remote, name, manifest = read_mirror(url)
    with Run.create(folder) as run:  # journals that were left open become parts
        note = Note.read(folder)
        if note is not None and note.run != manifest.run:
            raise RunError(f"{folder}: is another run than {url} has ({note.run}, {manifest.run}); pull into a new folder")
        missing, replaced = _compare(folder, url, manifest, note)
        table = {path: path.rpartition("/")[0] or "recipe" for path in manifest.files}
        if note is None:  # so that a build in a half-finished pull is told to pull first
            Note(remote.url, manifest.run).save(folder)
        begin(_counts([table[path] for path in missing]), _counts([table[path] for path in table if path not in missing]))
        _copy(remote, folder, {path: manifest.files[path] for path in missing}, lambda path: advance(table[path]))
        Note(remote.url, manifest.run).stand_on(folder, name, manifest.files)
        here = {f"{one}/{part.name}" for one in TABLES for part in run.parts(one)}
    return Pulled(len(missing), len(manifest.files) - len(missing), replaced, len(here - manifest.files.keys()))


def _counts(names: list[str]) -> dict[str, int]:
    return {name: names.count(name) for name in dict.fromkeys(names)}


def _compare(folder: Path, url: str, manifest: Manifest, note: Note | None) -> tuple[list[str], list[str]]:
    """Return the paths to copy, and those of them that replace an older state. Raise RunError if both sides have changed."""
    missing, replaced, both = list[str](), list[str](), list[str]()
    for path, wanted in manifest.files.items():
        file = folder / path
        if not file.resolve().is_relative_to(folder.resolve()):
            raise BadInput(f"{url}: its manifest names {path!r}, which is outside of a run; do not use it")
        if not file.exists():
            missing.append(path)
        elif path == FLAGS_JOURNAL:
            missing.append(path)  # the union is taken
        elif (here := Content.of(file)) != wanted:
            (replaced if note is not None and note.base(path) == here.sha256 else both).append(path)
    if both:
        more = f" and {len(both) - 3} more" if len(both) > 3 else ""
        raise RunError(
            f"{folder}: {', '.join(both[:3])}{more} differ from what {url} has, and were not copied from there; nothing was "
            f"changed. Pull into a new folder, then {command('merge', 'NEW', folder)} takes the rows that are only here"
        )
    in_order = [path for path in manifest.files if path in {*missing, *replaced}]
    return in_order, replaced


def _copy(remote: Remote, folder: Path, files: Mapping[str, Content], copied: Callable[[str], None]) -> None:
    """Copy several files at a time; each is moved into place, whole, after those before it."""
    temporaries = {path: (folder / path).with_name(f"{(folder / path).name}.pull.tmp") for path in files}

    def fetch(path: str) -> Content:
        temporary, name = temporaries[path], object_of(path, files[path])
        temporary.parent.mkdir(parents=True, exist_ok=True)
        try:
            remote.get(name, temporary, files[path].size)
        except FileNotFoundError as error:
            raise BadInput(
                f"{remote.url}: {name} is not there, though the manifest names it; pull again; if that fails too, "
                "datakit mirror RUN on the machine that made the run copies it again"
            ) from error
        return Content.of(temporary)

    with ThreadPoolExecutor(AT_ONCE) as threads, writing(folder):
        try:
            for path, got in zip(files, threads.map(fetch, files), strict=True):
                if got != files[path]:
                    raise BadInput(
                        f"{remote.url}: {object_of(path, files[path])} has {got.size:,} bytes with SHA-256 {got.sha256[:16]}, "
                        f"the manifest says {files[path].size:,} with {files[path].sha256[:16]}; remove that object, and "
                        "datakit mirror RUN on the machine that made the run copies it again"
                    )
                _put_in_place(folder, path, temporaries[path])
                copied(path)
        finally:
            threads.shutdown(cancel_futures=True)
            for temporary in temporaries.values():
                temporary.unlink(missing_ok=True)


def _put_in_place(folder: Path, path: str, temporary: Path) -> None:
    if path == FLAGS_JOURNAL:
        Flags(folder).add(read_journal(temporary))
        return
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.rename(folder / path)
