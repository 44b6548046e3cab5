"""A copy of a run behind a URL, kept up by a thread that only reads the run: whoever writes never waits for it.

The folder is the queue. Every pass looks for files that the mirror lacks, copies them, and writes a manifest (manifest.py). A
pass that fails is tried again later; a kill leaves the manifest before.
"""

from __future__ import annotations

import os
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from datakit.errors import BadInput, DatakitError, command
from datakit.store.batches import FOLDER as BATCHES
from datakit.store.flags import TABLE as FLAGS
from datakit.store.journal import journals_in
from datakit.store.manifest import FOLDER, Content, Manifest, Note, newest, number_of, object_of
from datakit.store.parts import parts_in
from datakit.store.remote import Remote, RemoteError
from datakit.store.run import Run
from datakit.wording import counted

ORDER = (
    *("prompts", "overlaps", "notes", "sources", "judges", "readings", "responses", "failures"),
    *("verdicts", "judgements", "scores", "distributions", "demos", "pairs"),
)
"""Tables, each after those that its rows are about."""
LOOK_EVERY_S = 10.0
LOOK_AGAIN_S = 60.0  # after a failure
EVERY_S = 300.0
TRIES = 5
STALLED_S = 300.0
BEGUN = f"{FOLDER}/000000-begun.json"
"""An object that is no manifest."""
Say = Callable[[str, bool], None]


class MirrorBehind(DatakitError):
    """The run is whole here, its mirror is not."""

    exit_status = 4


def files_of(folder: Path, scratch: Path) -> dict[str, Path]:
    """What a mirror has of a run, by path, each as a file that stays as it is.

    Looked at from what rows are made of others' to those, so that what is named is never about what is not: no kill could have
    left that. What may be replaced meanwhile gets a second name in `scratch`.
    """
    found: dict[str, Path] = {}
    for table in reversed(ORDER):
        if table == "failures":  # batches that are stored are let go after their rows are parts
            for note in sorted((folder / BATCHES).glob("*.json")):
                for file in sorted((folder / BATCHES).glob(f"{note.stem}.*")):
                    if file.suffix != ".tmp" and ".result-" not in file.name:
                        found[f"{BATCHES}/{file.name}"] = file
        for part in reversed(parts_in(folder / table)):
            found[f"{table}/{part.name}"] = part
    for file in (*parts_in(folder / FLAGS), *journals_in(folder / FLAGS)):
        found[f"{FLAGS}/{file.name}"] = file
    found["recipe.json"] = folder / "recipe.json"
    kept = {}
    for number, (path, file) in enumerate(found.items()):
        changes = not path.endswith(".parquet") or path.endswith("part-000000.parquet")
        with suppress(FileNotFoundError):  # a batch that has just been let go
            kept[path] = _kept(path, file, scratch / str(number)) if changes else file
    last = {"recipe.json": kept.pop("recipe.json")}
    return dict(reversed(kept.items())) | last


def _kept(path: str, file: Path, to: Path) -> Path:
    if path.startswith(f"{FLAGS}/"):  # others append to it: up to the last whole line
        data = file.read_bytes()
        to.write_bytes(data[: data.rfind(b"\n") + 1])
        return to
    try:
        os.link(file, to)
    except FileNotFoundError:
        raise
    except OSError:  # a file system without links
        shutil.copyfile(file, to)
    return to


class Mirror:
    """The mirror of a run that is open for writing."""

    def __init__(self, run: Run, url: str, say: Say) -> None:
        self.url = url.rstrip("/")
        self.behind = 0
        """Files that the last pass has not brought there."""
        self.trouble: DatakitError | None = None
        """Why the last pass failed."""
        self.moved_at = time.monotonic()
        self.has_all = False
        """Whether the last pass, which begins when nothing more is written, brought all there."""
        self._run, self._say = run, say
        note = Note.read(run.folder)
        self._note = note if note is not None and note.url == self.url else Note(self.url, note.run if note else _new_id())
        self._remote = Remote(self.url)
        self._there: dict[str, int] | None = None
        self._copying = threading.Lock()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._go_on, name="mirror", daemon=True)

    def contact(self) -> None:
        """See what is there. BadInput where that is another run, or where another copy of this one has gone on; RemoteError."""
        there = self._remote.sizes()
        found, note = newest(self._remote, there), self._note
        if found is not None:
            name, manifest = found
            by = f"written by {manifest.host} at {manifest.at}"
            if manifest.run != note.run:
                raise BadInput(
                    f"mirror: {self.url} has another run, {by}; go on with that one in a new folder "
                    f"({command('pull', self.url, 'RUN')}), or give another URL"
                )
            if name not in (note.known, note.begun):
                raise BadInput(
                    f"mirror: {self.url} was {by}, by another copy of this run; take what it has first: "
                    f"{command('pull', self.url, self._run.folder)}"
                )
            if name == note.begun:
                note.stand_on(self._run.folder, name, manifest.files)
        self._there = there

    def prove(self) -> None:
        """Contact it, and leave a first object in one that was never written: whether that works is known before a build."""
        self.contact()
        if self._note.known is None and self._there is not None:
            self._remote.write(b"", BEGUN)
            self._there[BEGUN] = 0

    def copy(self) -> None:
        """One pass: bring there what is missing, then its manifest. RemoteError, BadInput."""
        if not self._run.has_recipe:
            return
        if self._there is None:
            self.contact()
        with self._run.scratch() as scratch:
            files = files_of(self._run.folder, scratch)
            contents = {
                path: self._note.content(path, file) if file.parent != scratch else None for path, file in files.items()
            }
            known = {path: one or Content.of(files[path]) for path, one in contents.items()}
            there = self._there or {}
            missing = [path for path, one in known.items() if there.get(object_of(path, one)) != one.size]
            self.behind = len(missing)
            for path in missing:
                name = object_of(path, known[path])
                self._remote.put(files[path], name)
                there[name] = known[path].size
                self.behind -= 1
                self.moved_at = time.monotonic()
            before = {path: one[1] for path, one in (self._note.files or {}).items()}
            if self._note.known not in there or before != {path: one.sha256 for path, one in known.items()}:
                self._write_manifest(known, there)

    def _write_manifest(self, files: dict[str, Content], there: dict[str, int]) -> None:
        self._there = None  # another copy may have gone on; also where this is cut off
        self.contact()
        now: dict[str, int] = self._there or {}
        for path, one in files.items():
            if (size := now.get(object_of(path, one))) != one.size:
                found = "is not there" if size is None else f"has {size:,} bytes"
                raise RemoteError(f"{self.url}: {object_of(path, one)} was written with {one.size:,} bytes and {found}")
        number = 1 + max(map(number_of, (*now, self._note.begun or "")))  # one that was begun may come to lie there yet
        manifest = Manifest.now(self._note.run, number, files)
        name, data = manifest.encoded()
        older = self._note.known
        self._note.begun = name
        self._note.save(self._run.folder)
        self._remote.write(data, name)
        self._note.stand_on(self._run.folder, name, files)
        there |= {**now, name: len(data)}
        self._there = there
        self._tidy(there, {object_of(path, one) for path, one in files.items()} | {name}, older)

    def _tidy(self, there: dict[str, int], needed: set[str], older: str | None) -> None:
        """Remove what neither this manifest nor the one before names: whoever reads that one still finds its objects.

        A store that lets nobody remove keeps it.
        """
        with suppress(RemoteError, FileNotFoundError):
            before = Manifest.decoded(older, self._remote.read(older)) if older else None
            if before is not None and older is not None:
                needed |= {older, *(object_of(path, one) for path, one in before.files.items())}
            ours = {*ORDER, FLAGS, BATCHES, FOLDER}
            for name in [name for name in there if name not in needed]:
                if name.partition("/")[0] in ours or ("/" not in name and name.startswith("recipe-")):
                    self._remote.remove(name)
                    del there[name]

    # ------------------------------------------------------------------------------------------------------------- the thread

    def start(self) -> None:
        """Copy from now on."""
        self._thread.start()

    def finish(self, patience_s: float = STALLED_S) -> DatakitError | None:
        """Bring the rest there; what is left after some tries, or when nothing has moved for so long, is told."""
        self.moved_at = time.monotonic()
        self._ending.set()
        while self._thread.is_alive() and time.monotonic() - self.moved_at < patience_s:
            self._thread.join(0.05)
        if self.has_all:
            return None
        why = self.trouble or f"nothing has moved for {patience_s:.0f} s"
        behind = counted(max(self.behind, 1), "files")
        return MirrorBehind(
            f"mirror is {behind} behind ({why}); the run is whole here: {command('mirror', self._run.folder)} copies the rest"
        )

    def _go_on(self) -> None:
        while not self._ending.wait(LOOK_EVERY_S if self.trouble is None else LOOK_AGAIN_S):
            self.catch_up()
        for attempt in range(TRIES):
            self.has_all = self.catch_up()
            if self.has_all or isinstance(self.trouble, BadInput):
                return
            time.sleep(2**attempt / 4)

    def catch_up(self) -> bool:
        """A pass that begins now, after one that is under way; whether it brought all there. What it meets is told once."""
        with self._copying:
            return self._try()

    def _try(self) -> bool:
        before = self.trouble
        try:
            self.copy()
            self.trouble = None
        except DatakitError as error:
            self.trouble = error
            self._there = None
            if before is None and not self._ending.is_set():
                self._say(f"mirror: {error}; the build goes on, and this is tried again", True)
        except OSError as error:  # of the run's own disk, which the build meets too
            self.trouble = RemoteError(f"{self._run.folder}: {error}")
        if before is not None and self.trouble is None and not self._ending.is_set():
            self._say(f"mirror: {self.url} is up to date again", False)
        return self.trouble is None


@contextmanager
def mirrored(
    run: Run, url: str | None, say: Say, every_s: float | None = None, grace_s: float = 20.0
) -> Iterator[list[DatakitError]]:
    """Keep up the mirror at this URL, or the one that the run remembers, while the block writes the run; what is left behind at
    the end is in the list.

    A mirror that has never been written must be reached first; one that has been is waited for. Rows are sealed `every_s`.
    """
    behind: list[DatakitError] = []
    note = Note.read(run.folder)
    if (url := url or (note.url if note is not None else None)) is None:
        yield behind
        return
    mirror = Mirror(run, url, say)
    try:
        with run.abandoned_if_new():
            mirror.prove()
    except RemoteError as error:
        if note is None or note.url != mirror.url:
            raise
        say(f"mirror: {error}; the build goes on, and this is tried again", True)
    run.seal_after_s, run.copy_away = every_s or EVERY_S, mirror.catch_up
    mirror.start()
    patience_s = grace_s
    try:
        yield behind
        patience_s = STALLED_S
    finally:
        run.seal()
        left = mirror.finish(patience_s)
        if left is not None:
            behind.append(left)
            say(str(left), True)
        elif run.has_recipe:
            say(f"mirror: {mirror.url} has all of it", False)


def _new_id() -> str:
    return secrets.token_hex(8)
