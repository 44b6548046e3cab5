"""Transfer what tests change before they call the program: patched functions, seeds, standard input, the environment.

In a single process the program would see these changes; here they are sent to the solver before the next call. A function that
replaces another becomes a function of the tests that the program calls. Only the tests' own changes are sent, and nothing comes
back, so that no program can choose the tests' random numbers.
"""

from __future__ import annotations

import os
import random
import re
import sys
import types
from collections.abc import Callable
from typing import Any

from datakit.sandbox.inside.stubs import Remote

_HINTS = re.compile(r"patch|seed|setattr|builtins|stdin|environ|setstate|^[ \t]*\w+(\.\w+)+ *=[^=]", re.M)
_FUNCTIONS = (types.FunctionType, types.BuiltinFunctionType)
_PLAIN = (bool, int, float, str, bytes, type(None), list, dict, tuple, set)
_NOT_WATCHED = frozenset({"sys", "unittest", "unittest.mock", "mock", "pytest", "io", "tests"})
_MISSING = object()


class Surroundings:
    """The surroundings of the program, and those that the tests left."""

    def __init__(self, remote: Remote, text: str) -> None:
        self.remote = remote
        self.words = set(re.findall(r"\w+", text))
        self.before: dict[str, dict[str, Any]] = {}
        self.there: dict[tuple[str, str], Any] = {}
        """The current values of patched names on the other side."""
        self.environment = dict(os.environ)
        self.stdin: Any = sys.stdin
        self.states = self.seeds()
        if self.states:
            _watch_seeds()

    def look_around(self) -> None:
        """Record the state of the modules that the tests name. Called before each step, because a step may import more."""
        for name, module in list(sys.modules.items()):
            known = name in self.before or name in _NOT_WATCHED or not isinstance(module, types.ModuleType)
            if not known and (name == "builtins" or name.rpartition(".")[2] in self.words) and _is_shared(name):
                self.before[name] = dict(vars(module))

    def hand_over(self) -> None:
        """Tell the solver, before a call, what has changed since the last one."""
        changes = [*self.patches(), *self.drawn(), *self.streams()]
        if changes:
            kind, *rest = self.remote.exchange(["around", changes])
            if kind != "ok":
                raise self.remote.lost(f"does not stand what the tests patch ({str(rest[:1])[:100]})")

    def patches(self) -> list[Any]:
        found = []
        for module, names in self.before.items():
            now = vars(sys.modules[module]) if module in sys.modules else names
            for name, original in names.items():
                value, there = now.get(name, _MISSING), self.there.get((module, name), original)
                if value is not there:
                    self.there[module, name] = value
                    found.append(
                        [module, name, None] if value is original else [module, name, self.stand_in(name, original, value)]
                    )
        return found

    def stand_in(self, name: str, original: Any, value: Any) -> list[Any]:
        """Return what the solver puts in place of a patched name."""
        if isinstance(original, _FUNCTIONS) and callable(value) and not isinstance(value, type):
            self.remote.callbacks.append(_without_mocks(value) if name != "open" else value)
            return [{"cb": len(self.remote.callbacks) - 1}]
        if type(original) in _PLAIN and type(value) in _PLAIN:
            return [self.remote.encode(value)]
        raise self.remote.unjudgeable(f"the tests put something in the place of {name} that does not reach the program")

    def seeds(self) -> dict[str, Any]:
        if not {"seed", "setstate", "set_state"} & self.words:
            return {}
        states: dict[str, Any] = {"random": random.getstate()}
        if "numpy" in sys.modules:
            kind, keys, *rest = sys.modules["numpy"].random.get_state()
            states["numpy"] = [kind, keys.tolist(), *rest]
        return states

    def drawn(self) -> list[Any]:
        states, old = self.seeds(), self.states
        self.states = states
        # The same seed again leaves the state here unchanged, but not the program's.
        moved = [name for name, state in states.items() if state != old.get(name) or name in _SEEDED]
        _SEEDED.clear()
        return [[name, "", self.remote.encode(states[name])] for name in moved]

    def streams(self) -> list[Any]:
        found: list[Any] = []
        if sys.stdin is not self.stdin and sys.stdin is not None:
            self.stdin = sys.stdin
            found.append(["stdin", "", str(sys.stdin.read())])
        if "environ" in self.words and self.environment != dict(os.environ):
            self.environment = dict(os.environ)
            found.append(["environ", "", self.environment])
        return found


_SEEDED: set[str] = set()
"""The libraries that were seeded since the last call."""


def _watch_seeds() -> None:
    for name, owner in (("random", random), ("numpy", getattr(sys.modules.get("numpy"), "random", None))):
        for function in ("seed", "setstate", "set_state"):
            original = getattr(owner, function, None)
            if original is not None and not hasattr(original, "watched"):
                setattr(owner, function, _noting(name, original))


def _noting(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
    def seed(*arguments: Any, **keywords: Any) -> Any:
        _SEEDED.add(name)
        return original(*arguments, **keywords)

    seed.watched = True  # type: ignore[attr-defined]
    return seed


def speaks_of_surroundings(text: str) -> bool:
    """Return whether tests may change the program's surroundings: most do not, and are not watched."""
    return _HINTS.search(text) is not None


def _is_shared(name: str) -> bool:
    """Return whether the program has this module, too: those of the standard library and of listed libraries."""
    top = name.partition(".")[0]
    return top in sys.stdlib_module_names or top in ("numpy", "pandas")


def _without_mocks(function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a function so that a mock without a return value, which returns another mock, returns None to the program."""

    def call(*arguments: Any, **keywords: Any) -> Any:
        given = function(*arguments, **keywords)
        return None if type(given).__module__ == "unittest.mock" else given

    return call


def put(change: list[Any], decode: Callable[[Any], Any], originals: dict[tuple[str, str], Any]) -> None:
    """Make one change, in the solver. `originals` keeps what was there before."""
    module, name, content = change
    if module == "stdin":
        import io

        sys.stdin = io.StringIO(content)
    elif module == "environ":
        os.environ.clear()
        os.environ.update(content)
    elif module == "random" and not name:
        random.setstate(decode(content))
    elif module == "numpy" and not name:
        sys.modules["numpy"].random.set_state(tuple(decode(content)))
    else:
        owner = sys.modules.get(module) or __import__(module, fromlist=["x"])
        original = originals.setdefault((module, name), getattr(owner, name, None))
        setattr(owner, name, original if content is None else decode(content[0]))
