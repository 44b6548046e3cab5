"""Limit what programs may import and read: the standard library, the listed libraries and everything that these require."""

from __future__ import annotations

import os
import sys
from types import ModuleType

from datakit.sandbox.inside.confine import Folders
from datakit.sandbox.inside.settings import Settings

_OURS = __file__.removesuffix("/datakit/sandbox/inside/visible.py")  # site-packages itself, without a virtual environment
STANDARD = [path for path in sys.path if path.startswith((sys.base_prefix, sys.base_exec_prefix)) and path != _OURS]
"""The folders from which the standard library is imported."""


class Gate:
    """An import hook that hides from forks all libraries except the listed ones and what they require.

    The tier refuses the files themselves; this turns the refusal into the error of a missing library.
    """

    def __init__(self, settings: Settings) -> None:
        names = {name.partition(".")[0] for path in settings.paths for name in _listed(path)}
        allowed = {os.path.basename(path).partition(".")[0] for path in settings.packages}  # noqa: PTH119
        self.closed = frozenset(names - allowed - {name.partition(".")[0] for name in sys.modules})

    def find_spec(self, name: str, path: object = None, target: ModuleType | None = None) -> None:
        if name in self.closed:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def _listed(folder: str) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208
    except OSError:
        return []


def folders(settings: Settings) -> Folders:
    """Return the folders that are visible: the standard library without site-packages, the libraries, the system's shared
    objects."""
    library = os.path.dirname(os.__file__)  # noqa: PTH120 - the zygote does not load pathlib
    standard = [entry.path for entry in os.scandir(library) if entry.name not in ("site-packages", "dist-packages")]
    objects = ("/usr/lib", "/usr/lib64", "/lib", "/lib64", "/etc/ld.so.cache")
    system = (*objects, "/usr/share/zoneinfo", "/etc/localtime", "/dev/urandom")
    packages = set(settings.packages)
    for module in list(sys.modules.values()):  # modules that were imported but that no distribution lists
        path = getattr(module, "__file__", None) or ""
        folder = next((folder for folder in sys.path if folder not in STANDARD and path.startswith(folder + os.sep)), None)
        if folder is not None and not path.startswith(f"{_OURS}/datakit/"):
            name = path[len(folder) + 1 :].partition(os.sep)[0]
            packages |= {f"{folder}/{name}", f"{folder}/{name}.libs"}  # wheels put their shared objects next to them
    return Folders((*standard, *system, *sorted(packages)), (library, *sys.path), settings.work)


def is_open_to_all(path: str) -> bool:
    """Return whether any user may read a file, through all folders above it."""
    while path != os.sep:
        if not os.stat(path).st_mode & 0o004:  # noqa: PTH116
            return False
        path = os.path.dirname(path)  # noqa: PTH120
    return True
