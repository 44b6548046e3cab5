"""What programs may import and read: the standard library, the libraries that are listed and all that these require."""

from __future__ import annotations

import os
import sys
from types import ModuleType

from datakit.sandbox.inside.confine import Folders
from datakit.sandbox.inside.settings import Settings

_OURS = __file__.removesuffix("/datakit/sandbox/inside/visible.py")  # site-packages itself, without a virtual environment
STANDARD = [path for path in sys.path if path.startswith((sys.base_prefix, sys.base_exec_prefix)) and path != _OURS]
"""Where the standard library is imported from."""


class Gate:
    """Keeps the imports of forks to the libraries that are listed and what they require: others are not there.

    Files are refused by the tier; this makes of a refusal what a program expects where a library is missing.
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
    """The standard library without site-packages, the libraries, the system's shared objects."""
    library = os.path.dirname(os.__file__)  # noqa: PTH120 - a zygote does without pathlib
    standard = [entry.path for entry in os.scandir(library) if entry.name not in ("site-packages", "dist-packages")]
    objects = ("/usr/lib", "/usr/lib64", "/lib", "/lib64", "/etc/ld.so.cache")
    system = (*objects, "/usr/share/zoneinfo", "/etc/localtime", "/dev/urandom")
    packages = set(settings.packages)
    for module in list(sys.modules.values()):  # what no distribution says it owns, and was imported all the same
        path = getattr(module, "__file__", None) or ""
        folder = next((folder for folder in sys.path if folder not in STANDARD and path.startswith(folder + os.sep)), None)
        if folder is not None and not path.startswith(f"{_OURS}/datakit/"):
            name = path[len(folder) + 1 :].partition(os.sep)[0]
            packages |= {f"{folder}/{name}", f"{folder}/{name}.libs"}  # wheels put their shared objects beside them
    return Folders((*standard, *system, *sorted(packages)), (library, *sys.path), settings.work)


def is_open_to_all(path: str) -> bool:
    """Whether any user may read a file: every folder above it can be passed by all."""
    while path != os.sep:
        if not os.stat(path).st_mode & 0o004:  # noqa: PTH116
            return False
        path = os.path.dirname(path)  # noqa: PTH120
    return True
