"""Modules that take seconds to import, imported when a test first uses them: collecting all tests does not wait for them."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

import pytest


class Later:
    """A module, or a function of one."""

    def __init__(self, module: str, name: str | None = None) -> None:
        self._module, self._name = module, name

    def _found(self) -> Any:
        module = import_module(self._module)
        return module if self._name is None else getattr(module, self._name)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # pytest asks every global of a file whether it is a fixture in disguise
            raise AttributeError(name)
        return getattr(self._found(), name)

    def __call__(self, *args: Any, **named: Any) -> Any:
        return self._found()(*args, **named)


def later(module: str, name: str | None = None) -> Any:
    """`pytest.importorskip` without the import: where it is not installed, all of the file is skipped."""
    package = module.partition(".")[0]
    if find_spec(package) is None:
        pytest.skip(f"could not import {package!r}: it is not installed", allow_module_level=True)
    return Later(module, name)
