"""The objects behind a URL, by name, through fsspec, which is imported only here."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import Future, wait
from pathlib import Path
from threading import Thread
from typing import Any, TypeVar

from datakit.errors import BadInput, DatakitError, MissingExtra, needs_extra

_FLAT = {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "oss"}
"""Object stores, which have no folders; making one may create a bucket."""
ANSWERS_S = 60.0
SLOWEST = 50_000  # bytes per second
"""A call is given up after ANSWERS_S seconds, plus the time that its bytes take at SLOWEST."""
T = TypeVar("T")


class RemoteError(DatakitError):
    """The store behind a URL cannot be reached, does not answer, or refuses."""


class Remote:
    """The objects below a URL. Raise RemoteError if the store fails; BadInput or MissingExtra if the URL cannot be used."""

    def __init__(self, url: str) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9+.-]*://[^\s@]*[^\s@/][^\s@]*", url):
            raise BadInput(
                f"mirror: {url!r} must be the URL of a folder, without user name or password; write s3://bucket/folder or "
                "file:///folder, and keep keys in the environment"
            )
        self.url = url.rstrip("/")
        with needs_extra("mirror", f"mirror: {url}"):
            from fsspec.core import url_to_fs
        try:
            fs, root = self._ask("open", lambda: url_to_fs(self.url, use_listings_cache=False, skip_instance_cache=True))
        except RemoteError as error:
            if isinstance(error.__cause__, ImportError):
                raise MissingExtra(f"mirror: {url}: {error.__cause__}; pip install that package") from error
            if isinstance(error.__cause__, ValueError):
                raise BadInput(f"mirror: {url}: {error.__cause__}; write s3://..., gs://... or file:///...") from error
            raise
        self._fs: Any = fs
        self._root = str(root).rstrip("/")
        protocols = {fs.protocol} if isinstance(fs.protocol, str) else set(fs.protocol)
        self._has_folders = not protocols & _FLAT

    def sizes(self) -> dict[str, int]:
        """Return the size in bytes of every object below the URL; an empty dict if there is no such folder."""

        def find() -> dict[str, dict[str, Any]]:
            self._fs.invalidate_cache()
            try:
                found: dict[str, dict[str, Any]] = self._fs.find(self._root, detail=True)
            except FileNotFoundError:
                return {}
            return found

        return {path[len(self._root) + 1 :]: int(info["size"] or 0) for path, info in self._ask("list", find).items()}

    def read(self, name: str) -> bytes:
        """Return a whole object. Raise FileNotFoundError if there is none."""
        data: bytes = self._ask(f"read {name}", lambda: self._fs.cat_file(self._path(name)))
        return data

    def get(self, name: str, to: Path, n_bytes: int) -> None:
        """Copy an object of `n_bytes` bytes into a file. Raise FileNotFoundError if there is none."""
        self._ask(f"read {name}", lambda: self._fs.get_file(self._path(name), str(to)), n_bytes)

    def put(self, file: Path, name: str) -> None:
        """Copy a file into an object."""

        def copy() -> None:
            self._make_folder(name)
            self._fs.put_file(str(file), self._path(name))

        self._ask(f"write {name}", copy, file.stat().st_size)

    def write(self, data: bytes, name: str) -> None:
        """Write an object of a few bytes."""

        def pipe() -> None:
            self._make_folder(name)
            self._fs.pipe_file(self._path(name), data)

        self._ask(f"write {name}", pipe)

    def remove(self, name: str) -> None:
        """Remove an object."""
        self._ask(f"remove {name}", lambda: self._fs.rm_file(self._path(name)))

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _make_folder(self, name: str) -> None:
        if self._has_folders:
            self._fs.makedirs(self._path(name).rpartition("/")[0], exist_ok=True)

    def _ask(self, what: str, call: Callable[[], T], n_bytes: int = 0) -> T:
        """Run the call in its own thread and return its result; the thread is abandoned on timeout.

        Some stores never answer, and not every library gives up. Each store has its own exceptions."""
        answer: Future[T] = Future()

        def run() -> None:
            try:
                answer.set_result(call())
            except BaseException as error:  # noqa: BLE001 - the caller gets it
                answer.set_exception(error)

        Thread(target=run, name="remote", daemon=True).start()
        patience_s = ANSWERS_S + n_bytes / SLOWEST
        if not wait([answer], patience_s).done:
            raise self._error(what, f"no answer in {patience_s:.0f} s")
        error = answer.exception()
        if error is None:
            return answer.result()
        if isinstance(error, FileNotFoundError) and what.startswith("read"):
            raise error
        raise self._error(what, " ".join(f"{type(error).__name__}: {error}".split())[:300]) from error

    def _error(self, what: str, said: str) -> RemoteError:
        return RemoteError(f"{self.url}: cannot {what} ({said}); check address, network and keys")
