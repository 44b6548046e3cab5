"""What programs may import beside the standard library: the libraries that are listed, and all that these require.

And which library was missing where a program could not be judged for the lack of one.

A distribution's own list of files says which folders and modules it installed; nothing else of site-packages is let in.
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
"""Never let in, whatever a distribution says that it owns: the harness's own code, and what installs more."""


def importable(libraries: Sequence[str]) -> list[str]:
    """Files and folders that the libraries consist of (and their shared objects): absolute paths, each in site-packages."""
    owners = metadata.packages_distributions() if libraries else {}
    found: dict[str, metadata.Distribution] = {}
    for library in libraries:
        for name in owners.get(library.partition(".")[0], ()):
            _add(name, found)
    paths = {path for distribution in found.values() for path in _installed(distribution)}
    return sorted(paths)


def _add(name: str, found: dict[str, metadata.Distribution]) -> None:
    """A distribution and what it requires without extras, where that is installed."""
    key = re.sub(r"[-_.]+", "-", name).lower()
    if key in found:
        return
    try:
        found[key] = metadata.distribution(name)
    except metadata.PackageNotFoundError:  # required on another system, or missing: imports will say so
        return
    for requirement in found[key].requires or ():
        required, _, condition = requirement.partition(";")
        if "extra" not in condition and (match := _NAME.match(required.strip())):
            _add(match[0], found)


def _installed(distribution: metadata.Distribution) -> set[str]:
    """What a distribution put directly into its folder: packages, modules, shared objects, what it says of itself."""
    folder = Path(str(distribution.locate_file(""))).resolve()
    if str(folder) not in {str(Path(path).resolve()) for path in sys.path}:
        return set()
    names = {file.parts[0] for file in distribution.files or () if file.parts}
    if not names:  # no list of files (a system's package): its modules by name
        names = set((distribution.read_text("top_level.txt") or "").split())
        names |= {f"{name}.py" for name in names} | {re.sub(r"[-.]+", "_", distribution.metadata["Name"])}
    kept = {name for name in names if _NAME.fullmatch(name) or re.fullmatch(r"_\w+(\.\w+)*", name)}
    kept = {name for name in kept if name.partition(".")[0] not in _HIDDEN}
    kept = {name for name in kept if not name.endswith((".pth", ".egg-link"))}
    paths = [folder / name for name in sorted(kept)]
    # A link out of site-packages would let in what lies elsewhere.
    return {str(path) for path in paths if path.exists() and path.resolve().parent == folder}


_MISSING = re.compile(
    r"ModuleNotFoundError: No module named '([\w.]+)'"
    r"|ImportError: Missing optional dependency '(\w+)'|ImportError: `Import (\w+)` "  # of pandas
)


def needed(failure: str, program: str, libraries: Sequence[str]) -> str | None:
    """What a program that failed so would have needed to be judged, in words; None where it has itself to blame.

    Only what its text imports counts, itself or by way of a listed library, so that no program just says so.
    """
    match = _MISSING.search(failure)
    if match is None:
        return None
    module = match[1] or match[2] or match[3]
    top = module.partition(".")[0]
    if importlib.util.find_spec(top) is not None and (top in sys.stdlib_module_names or top in libraries):
        return None  # a module that this library does not have
    if top in sys.stdlib_module_names:
        # Some modules of the standard library stand on one that a Python may be built without.
        return f"needs the module {module}, which this Python does not have"
    if not any(_imports(program, name) for name in (top, *(library.partition(".")[0] for library in libraries))):
        return None
    return f"needs the library {top}, which is not in verify.libraries"


def _imports(program: str, name: str) -> bool:
    return (
        re.search(rf"^[^#\n]*\b(?:from|import|import_module|__import__)\b[^#\n]*\b{re.escape(name)}\b", program, re.M)
        is not None
    )
