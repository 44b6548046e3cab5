"""Find what programs may import besides the standard library: the listed libraries and everything that these require.

Also find which library was missing if a program could not be judged without it.

A distribution's own list of files says which folders and modules it installed; nothing else in site-packages is visible.
"""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_HIDDEN = frozenset({"datakit", "train", "pip", "__pycache__"})
"""Never visible, whatever a distribution lists: the harness's own code, and pip, which could install more."""


def importable(libraries: Sequence[str]) -> list[str]:
    """Return the files and folders of the libraries, shared objects included: absolute paths, each in site-packages."""
    owners = metadata.packages_distributions() if libraries else {}
    found: dict[str, metadata.Distribution] = {}
    for library in libraries:
        for name in owners.get(library.partition(".")[0], ()):
            _add(name, found)
    paths = {path for distribution in found.values() for path in _installed(distribution)}
    return sorted(paths)


def _add(name: str, found: dict[str, metadata.Distribution]) -> None:
    """Add a distribution and its installed requirements, without extras."""
    key = re.sub(r"[-_.]+", "-", name).lower()
    if key in found:
        return
    try:
        found[key] = metadata.distribution(name)
    except metadata.PackageNotFoundError:  # required on another system, or missing: an import will show that
        return
    for requirement in found[key].requires or ():
        required, _, condition = requirement.partition(";")
        if "extra" not in condition and (match := _NAME.match(required.strip())):
            _add(match[0], found)


def _installed(distribution: metadata.Distribution) -> set[str]:
    """Return what a distribution put directly into its folder: packages, modules, shared objects, metadata."""
    folder = Path(str(distribution.locate_file(""))).resolve()
    if str(folder) not in {str(Path(path).resolve()) for path in sys.path}:
        return set()
    names = {file.parts[0] for file in distribution.files or () if file.parts}
    if not names:  # no list of files (a system package): use its top-level modules
        names = set((distribution.read_text("top_level.txt") or "").split())
        names |= {f"{name}.py" for name in names} | {re.sub(r"[-.]+", "_", distribution.metadata["Name"])}
    kept = {name for name in names if _NAME.fullmatch(name) or re.fullmatch(r"_\w+(\.\w+)*", name)}
    kept = {name for name in kept if name.partition(".")[0] not in _HIDDEN}
    kept = {name for name in kept if not name.endswith((".pth", ".egg-link"))}
    paths = [folder / name for name in sorted(kept)]
    # A link out of site-packages would expose other folders.
    return {str(path) for path in paths if path.exists() and path.resolve().parent == folder}


_MISSING = re.compile(
    r"ModuleNotFoundError: No module named '([\w.]+)'"
    r"|ImportError: Missing optional dependency '(\w+)'|ImportError: `Import (\w+)` "  # pandas
)


def needed(failure: str, program: str, libraries: Sequence[str]) -> str | None:
    """Return what a program with this failure would have needed to be judged, in words; None if it is to blame itself.

    Only what its text imports counts, directly or through a listed library, so that a program cannot fake the message.
    """
    match = _MISSING.search(failure)
    if match is None:
        return None
    module = match[1] or match[2] or match[3]
    top = module.partition(".")[0]
    if importlib.util.find_spec(top) is not None and (top in sys.stdlib_module_names or top in libraries):
        return None  # this library has no such module
    if top in sys.stdlib_module_names:
        # Some modules of the standard library need one that a Python may be built without.
        return f"needs the module {module}, which this Python does not have"
    if not any(_imports(program, name) for name in (top, *(library.partition(".")[0] for library in libraries))):
        return None
    return f"needs the library {top}, which is not in verify.libraries"


def _imports(program: str, name: str) -> bool:
    return (
        re.search(rf"^[^#\n]*\b(?:from|import|import_module|__import__)\b[^#\n]*\b{re.escape(name)}\b", program, re.M)
        is not None
    )
