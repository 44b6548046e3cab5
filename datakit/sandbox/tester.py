"""Runs the tests, with stubs in place of the program's functions, and gives the verdict. No program is ever here.

The verdict goes to a descriptor of its own, which the solver does not have.
"""

from __future__ import annotations

import ast
import builtins
import functools
import importlib
import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import Any

from datakit.sandbox.remote import Lost, Proxy, Remote, Unjudgeable
from datakit.sandbox.wire import Channel, Unreadable

_FILE = "<tests>"
_SHARED = {  # modules that tests may use by the program's import; nothing in them compares in a way of its own
    *("math", "cmath", "re", "string", "random", "itertools", "functools", "collections", "heapq", "bisect", "statistics"),
    *("datetime", "decimal", "fractions", "typing", "json", "copy", "time", "os", "sys"),
}


def test(descriptor: int, verdict: int, tests: str, style: str, entry_point: str | None) -> None:
    """The main function of a tester process: wait for the program, run the tests, write the verdict."""
    sys.setrecursionlimit(10_000)
    remote = Remote(Channel(descriptor))
    outcome, detail = _judge(remote, verdict, tests, style, entry_point)
    _say(verdict, {"outcome": outcome, "detail": detail, "own_comparisons": remote.own_comparisons})


def _say(verdict: int, message: dict[str, Any]) -> None:
    data = json.dumps(message).encode() + b"\n"
    while data:
        data = data[os.write(verdict, data) :]


def _judge(remote: Remote, verdict: int, tests: str, style: str, entry_point: str | None) -> tuple[str, str]:
    running: list[str] = []
    try:
        suite = Suite(tests, style, entry_point)
        failure = _ready(remote)
        if failure is not None:
            return "failed", failure
        for at, run in suite.steps(remote):
            running[:] = [at]
            _say(verdict, {"at": at})
            run()
            if remote.trouble is not None:
                raise remote.trouble
    except Unjudgeable as error:
        return "unverifiable", str(error)
    except Lost as error:
        return ("lost" if str(error) == "ended" else "failed"), ": ".join([*running, str(error)])
    except BaseException as error:  # noqa: BLE001 - every exception of a test is its verdict
        if remote.trouble is not None:
            return ("lost" if str(remote.trouble) == "ended" else "failed"), ": ".join([*running, str(remote.trouble)])
        return _failed(running, error)
    if not remote.calls:
        return "unverifiable", "the tests never call the program"
    return "passed", f"{suite.count} tests" if suite.count != 1 else "1 test"


def _ready(remote: Remote) -> str | None:
    """Wait for the program's top level; what went wrong there."""
    try:
        message = remote.channel.receive()
    except (EOFError, OSError):
        raise remote.lost("ended") from None
    except Unreadable as error:
        raise remote.lost(str(error)) from None
    return None if message == ["ready", None] else str(message[1])[:500] if isinstance(message, list) else "no answer"


def _failed(running: list[str], error: BaseException) -> tuple[str, str]:
    """What failed: the test, and the exception with its place in the tests."""
    if isinstance(error, ImportError) and "_at" not in error.__dict__:
        return "unverifiable", f"the tests need what is not here: {error}"
    where = next((step for step in reversed(traceback.extract_tb(error.__traceback__)) if step.filename == _FILE), None)
    told = error.__dict__.get("_at") or f"{type(error).__name__}: {error}"[:300].removesuffix(": ")
    line = f" (line {where.lineno} of the tests)" if where else ""
    return "failed", ": ".join([*running, told + line])


class Suite:
    """The tests as steps, each with a name for the verdict."""

    def __init__(self, tests: str, style: str, entry_point: str | None) -> None:
        try:
            self.tree = ast.parse(tests, _FILE)
            compile(self.tree, _FILE, "exec")
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise Unjudgeable(f"the tests do not compile: {type(error).__name__}: {error}") from None
        self.text = tests
        self.style = style
        self.entry_point = entry_point
        self.namespace: dict[str, Any] = {"__name__": "tests", "__builtins__": builtins}
        has_check = any(isinstance(node, ast.FunctionDef) and node.name == "check" for node in self.tree.body)
        self.calls_check = has_check and style != "asserts"
        if style == "humaneval_check" and not (has_check and entry_point):
            raise Unjudgeable("the tests define no check(candidate)" if entry_point else "there is no entry_point")
        kinds = (ast.Assert, ast.For, ast.While, ast.With, ast.Try, ast.Expr)
        self.count = 1 if self.calls_check else sum(isinstance(node, kinds) for node in self.tree.body)

    def steps(self, remote: Remote) -> Iterator[tuple[str, Callable[[], None]]]:
        """Each statement of the tests, then check(candidate) where the style calls it."""
        self.bind(remote)
        number = 0
        for node in self.tree.body:
            if not isinstance(node, ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef | ast.Assign):
                number += 1
            text = " ".join((ast.get_source_segment(self.text, node) or "").split())
            name = "check" if self.calls_check else f"test {number} of {self.count}: {text[:160]}"
            yield name, functools.partial(self.run, node)
        if self.calls_check:
            candidate = self.candidate(remote)
            yield f"check({self.entry_point or 'candidate'})", lambda: self.namespace["check"](candidate)

    def run(self, node: ast.stmt) -> None:
        exec(compile(ast.Module([node], []), _FILE, "exec"), self.namespace)

    def bind(self, remote: Remote) -> None:
        """Stubs for the names that the tests use, do not make themselves, and the program defines."""
        free, own = _names(self.tree)
        wanted = sorted(free - own - set(dir(builtins)))
        if not _calls(self.tree) & set(wanted) and self.style != "stdin":  # a function called sum, tested as sum(1, 2)
            wanted += sorted(_calls(self.tree) & free - own)
        entry = (self.entry_point or "").partition(".")[0].removesuffix("()")
        wanted += [name for name in {entry, "Solution"} if name and name not in wanted and name not in own]
        found = remote.ask("names", wanted)
        remote.calls = 0
        if not isinstance(found, dict):
            raise remote.lost("sent what are no names")
        for name in wanted:
            if name in found:
                self.namespace[name] = self.stub(remote, name, found[name])
        if self.style == "solution_method":
            self.bind_method(remote, free - own)

    def bind_method(self, remote: Remote, free: set[str]) -> None:
        """`candidate` and the bare method's name, where tests use these instead of Solution().method."""
        method = (self.entry_point or "").rpartition(".")[2]
        for name in free & {"candidate", method} - set(self.namespace):
            self.namespace[name] = self.candidate(remote)

    def stub(self, remote: Remote, name: str, told: Any) -> Any:
        try:
            kind, content = told[0], told[1]
            if kind == "module":
                if content not in _SHARED:
                    return Missing(content)
                return importlib.import_module(content)
            if kind == "exception":
                return remote.exception_class(content)
            if kind == "value":
                return remote.decode(content)
            proxy = Proxy(remote, int(content))
        except (TypeError, ValueError, KeyError, IndexError):
            raise remote.lost("sent what is no description of a name") from None
        remote.proxies[int(content)] = proxy
        return proxy

    def candidate(self, remote: Remote) -> Callable[..., Any]:
        """What check(candidate) gets: the entry point, or the method of a new Solution each time."""
        if self.style != "solution_method":
            entry = self.namespace.get(self.entry_point or "")
            if entry is None:
                raise NameError(f"name '{self.entry_point}' is not defined")
            return entry  # type: ignore[no-any-return]
        solution, method = self.namespace.get("Solution"), (self.entry_point or "").rpartition(".")[2]
        if not method:
            raise Unjudgeable("there is no entry_point")
        if solution is None:
            raise NameError("name 'Solution' is not defined")
        return lambda *arguments, **keywords: getattr(solution(), method)(*arguments, **keywords)


class Missing:
    """A module of the program that the tests may not use by its name."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        raise Unjudgeable(f"the tests use module {self._name} by the program's import")


def _names(tree: ast.Module) -> tuple[set[str], set[str]]:
    """The names that the tests read anywhere, and those that they make at their top level."""
    read = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    made: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            made.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            made |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
        else:
            made |= {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store)}
    return read, made


def _calls(tree: ast.Module) -> set[str]:
    """The names that are called."""
    return {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
