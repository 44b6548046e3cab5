"""The code that LeetCode puts before a solution: its answers use List, Counter, ascii_lowercase, ListNode, ... unimported."""

from __future__ import annotations

import importlib
import keyword
import re
from collections.abc import Sequence

_MODULES = (
    *("string", "re", "datetime", "collections", "heapq", "bisect", "copy", "math", "random", "statistics", "itertools"),
    *("functools", "operator", "io", "sys", "json"),
)
_STARS = re.compile(r"^from (\w+) import \*$", re.MULTILINE)
_NODES = """
class ListNode:
    def __init__(self, val=0, next=None):
        self.val, self.next = val, next

class TreeNode:
    def __init__(self, val=0, left=None, right=None):
        self.val, self.left, self.right = val, left, right

"""


def leetcode(libraries: Sequence[str]) -> str:
    """Return star imports, then the modules, which win (datetime and copy are modules); builtins restores pow, open, ..."""
    sorted_ones = ["from sortedcontainers import SortedDict, SortedList, SortedSet"] if "sortedcontainers" in libraries else []
    stars = [f"from {module} import *" for module in ("typing", *_MODULES, "builtins")]  # later ones replace typing's Counter
    return "\n".join([*stars, f"import {', '.join(_MODULES)}", *sorted_ones, _NODES])


def named(preamble: str) -> str:
    """Return the same with named imports, for static analysis: star imports hide every undefined name from ruff."""
    return _STARS.sub(lambda star: _all_of(star[1]), preamble)


def _all_of(module: str) -> str:
    """Return `from module import *` as an import of the names that it gives."""
    found = importlib.import_module(module)
    names = getattr(found, "__all__", None) or [name for name in vars(found) if not name.startswith("_")]
    return f"from {module} import {', '.join(name for name in names if not keyword.iskeyword(name))}"
