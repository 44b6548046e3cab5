"""Run the tests, with stubs in place of the program's functions, and give the verdict. The program is never in this process.

The verdict goes to a separate descriptor, which the solver does not have.
"""

from __future__ import annotations

import ast
import builtins
import functools
import importlib
import json
import math
import os
import resource
import socket
import sys
import traceback
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from datakit.sandbox.inside.stubs import Lost, Proxy, Remote, Unjudgeable
from datakit.sandbox.inside.surroundings import Surroundings, speaks_of_surroundings
from datakit.sandbox.inside.wire import Channel, Unreadable

_FILE = "<tests>"
_TESTS = (ast.Assert, ast.For, ast.While, ast.With, ast.Try, ast.Expr)
_STANDARD = vars(math) | {kind.__name__: kind for kind in (Counter, OrderedDict, defaultdict, deque)}
"""Names that tests use through the program's imports: taken from the standard library, so that no program compares for them."""
_ALIASES = {"np": "numpy", "pd": "pandas"}  # a program's `np` is numpy itself, not an object with methods of its own
_BUILTINS = frozenset(dir(builtins))
_WORN_KB = 32 << 10 if sys.platform == "linux" else 32 << 20  # ru_maxrss is in bytes on macOS


def serve(control: int) -> None:
    """Run a standing tester: one plain suite after another, until the runner or the zygote ends it.

    Each suite comes with its descriptors: the solver's channel, the suite, and where the verdict goes.
    """
    runner = socket.socket(fileno=control)
    fresh_kb = _peak_kb()
    while True:
        request, descriptors, _, _ = socket.recv_fds(runner, 1, 3)  # one byte: reads nothing of the next request
        if not request:
            return
        channel, suite, verdict = descriptors
        test(channel, suite, verdict, fresh_kb)
        for descriptor in descriptors:
            os.close(descriptor)


def _peak_kb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def test(channel: int, suite: int, verdict: int, fresh_kb: int = 0) -> None:
    """Wait for the program, run the tests (a file of JSON: tests, style, entry_point), write the verdict.

    The running step is written after the suite, in its file: the runner looks there if no verdict comes. A tester that
    has grown since it was fresh is worn: that memory would be missing for the next suite, so the runner takes another.
    """
    sys.setrecursionlimit(10_000)  # reading a value of MAX_DEPTH levels takes several calls per level
    size = os.fstat(suite).st_size
    text = os.pread(suite, size, 0).decode("utf-8", "surrogatepass")  # pread: the runner shares the file's position
    remote = Remote(Channel(channel))

    def note(step: str) -> None:
        with suppress(OSError):  # a suite of maximum file size leaves no room after it
            # In a file, because a message would wake the runner at every test. The NUL ends the note, which may be shorter.
            os.pwrite(suite, step.encode("utf-8", "replace") + b"\0", size)

    outcome, detail = _judge(remote, text, note)
    told = {"outcome": outcome, "detail": detail, "own_operators": remote.own_operators}
    told["worn"] = _peak_kb() - fresh_kb > _WORN_KB
    data = json.dumps(told).encode()
    while data:
        data = data[os.write(verdict, data) :]


def _judge(remote: Remote, text: str, note: Callable[[str], None]) -> tuple[str, str]:
    running: list[str] = []
    try:
        suite = _suite(text)
        failure = _ready(remote)
        if failure is not None:
            return "failed", failure
        around = Surroundings(remote, suite.text) if suite.watched else None
        for at, run in suite.steps(remote):
            running = [at]
            note(at)
            if around is not None:
                around.look_around()
                remote.before_call = around.hand_over
            run()
            if remote.trouble is not None:  # the tests caught it, with a bare except: it still counts
                raise remote.trouble
    except Unjudgeable as error:
        return "unverifiable", str(error)
    except Lost as error:
        return ("lost" if str(error) == "ended" else "failed"), ": ".join([*running, str(error)])
    except BaseException as error:  # noqa: BLE001 - any exception of a test is its verdict
        if remote.trouble is not None:  # the tests turned it into another exception
            return ("lost" if str(remote.trouble) == "ended" else "failed"), ": ".join([*running, str(remote.trouble)])
        # `_at` marks what the program raised (Remote.exception). In __dict__, as a class of the tests may have any attribute.
        if isinstance(error, NameError) and "_at" not in error.__dict__ and suite.has_entry_point:
            return "unverifiable", f"the tests use '{error.name}', which neither they nor the program define"
        return _failed(running, error)
    if not remote.calls:  # tests without calls pass whatever the program does
        return "unverifiable", "the tests never call the program"
    return "passed", f"{suite.count} tests" if suite.count != 1 else "1 test"


def _ready(remote: Remote) -> str | None:
    """Wait for the program's top level; return what went wrong there, or None."""
    try:
        message = remote.channel.receive()
    except (EOFError, OSError):
        raise remote.lost("ended") from None
    except Unreadable as error:
        raise remote.lost(str(error)) from None
    return None if message == ["ready", None] else str(message[1])[:500] if isinstance(message, list) else "no answer"


def _failed(running: list[str], error: BaseException) -> tuple[str, str]:
    """Return what failed: the test, and the exception with its place in the tests."""
    if isinstance(error, ImportError) and "_at" not in error.__dict__:
        return "unverifiable", f"the tests need what is not here: {error}"
    steps = traceback.extract_tb(error.__traceback__)
    if isinstance(error, AttributeError) and "_at" not in error.__dict__ and steps[-1].filename.endswith("unittest/mock.py"):
        return "unverifiable", f"the tests patch what is not in their process: {error}"
    where = next((step for step in reversed(steps) if step.filename == _FILE), None)
    told = error.__dict__.get("_at")
    if not told:
        try:
            text = str(error)
        except BaseException:  # noqa: BLE001 - it may hold an object of the program, which may do anything when it is asked
            text = "(its message cannot be shown)"
        told = f"{type(error).__name__}: {text}"[:300].removesuffix(": ")
    line = f" (line {where.lineno} of the tests)" if where else ""
    return "failed", ": ".join([*running, told + line])


@functools.lru_cache(maxsize=16)  # the answers to one prompt come in sequence, all with the same suite
def _suite(text: str) -> Suite:
    return Suite(**json.loads(text))


class Suite:
    """The tests as steps, each with a name for the verdict."""

    def __init__(self, tests: str, style: str, entry_point: str | None) -> None:
        try:
            self.tree = ast.parse(tests, _FILE)
            # dont_inherit, here and below: without this file's __future__ imports.
            if not all(isinstance(node, ast.Assert | ast.Expr) for node in self.tree.body):
                compile(self.tree, _FILE, "exec", dont_inherit=True)  # as a whole, for errors that only the whole shows
            codes = [compile(ast.Module([node], []), _FILE, "exec", dont_inherit=True) for node in self.tree.body]
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise Unjudgeable(f"the tests do not compile: {type(error).__name__}: {error}") from None
        self.text = tests
        self.watched = speaks_of_surroundings(tests)
        self.style = style
        self.entry_point = entry_point
        self.namespace: dict[str, Any] = {}  # new for every program (`steps`): the suite is reused, its effects are not
        has_check = any(isinstance(node, ast.FunctionDef) and node.name == "check" for node in self.tree.body)
        self.calls_check = has_check and style != "asserts"
        if style == "humaneval_check" and not (has_check and entry_point):
            raise Unjudgeable("the tests define no check(candidate)" if entry_point else "there is no entry_point")
        self.names = Names(self.tree)
        self.lines = tests.encode().splitlines()  # in bytes: Python's column offsets count bytes
        self.named_tests = 0
        self.count = 1 if self.calls_check else sum(isinstance(node, _TESTS) for node in self.tree.body)
        self.codes = [(self.named(node), code) for node, code in zip(self.tree.body, codes, strict=True)]

    def named(self, node: ast.stmt) -> str:
        """Return a statement's name in a verdict: its number and its text."""
        if self.calls_check:
            return "check"
        first, last = node.lineno - 1, (node.end_lineno or node.lineno) - 1
        parts = self.lines[first : last + 1]
        parts[-1] = parts[-1][: node.end_col_offset]
        parts[0] = parts[0][node.col_offset :]
        text = " ".join(b"\n".join(parts).decode().split())[:160]
        if not isinstance(node, _TESTS):
            return text
        self.named_tests += 1
        return f"test {self.named_tests} of {self.count}: {text}"

    def steps(self, remote: Remote) -> Iterator[tuple[str, Callable[[], None]]]:
        """Yield each statement of the tests, then check(candidate) if the style calls it."""
        self.namespace = {"__name__": "tests", "__builtins__": builtins}  # not "__main__": a main guard in tests holds a demo
        self.bind(remote)
        for name, code in self.codes:
            yield name, functools.partial(exec, code, self.namespace)  # the dataset's tests, confined
        if self.calls_check:
            candidate = self.candidate(remote)
            yield f"check({self.entry_point or 'candidate'})", lambda: self.namespace["check"](candidate)

    def bind(self, remote: Remote) -> None:
        """Bind stubs for the names that the tests use but do not define, and that the program defines."""
        own, called = self.names.made, self.names.called
        free = self.names.read - own
        wanted = free - _BUILTINS
        if len(called & wanted) > 1:  # the program must provide what it was asked for, not a comparison of its own
            wanted -= called & set(_STANDARD) - {self.entry_point}
        if not wanted:  # a function named sum, tested as sum(1, 2)
            wanted = called & free & {self.entry_point} or called & free
        entry = (self.entry_point or "").partition(".")[0].removesuffix("()")
        wanted |= {name for name in (entry, "Solution") if name and name not in own}
        self.namespace.update({name: _STANDARD[name] for name in called & free & set(_STANDARD) - wanted})
        found = remote.ask("names", sorted(wanted))
        remote.calls = 0  # asking for names does not count: `_judge` counts the tests' own calls
        if not isinstance(found, dict):
            raise remote.lost("sent what are no names")
        for name in sorted(wanted & set(found)):
            self.namespace[name] = self.stub(remote, name, found[name], is_called=name in called)
        if self.style == "solution_method":
            self.bind_method(remote, free)

    def bind_method(self, remote: Remote, free: set[str]) -> None:
        """Bind `candidate` and the bare method's name, if tests use these instead of Solution().method."""
        method = (self.entry_point or "").rpartition(".")[2]
        for name in free & {"candidate", method} - set(self.namespace):
            self.namespace[name] = self.candidate(remote)

    def stub(self, remote: Remote, name: str, told: Any, is_called: bool) -> Any:
        """Return the stub for a name of the program. The name of a module is that module, whatever the program binds it to."""
        module = _ALIASES.get(name, name)
        if not is_called and (module in sys.stdlib_module_names or told == ["module", module]):
            with suppress(ImportError):  # a module that the program made does not exist here: its folder is not on sys.path
                return importlib.import_module(module)
        try:
            kind, content = told[0], told[1]
            if kind == "module":
                return None
            if kind == "exception":
                return remote.exception_class(content)
            if kind == "value":
                return remote.decode(content)
            # The program's word alone (told[2]: it is a class) gives no object operators of its own.
            proxy = Proxy(remote, int(content), own=bool(told[2]) and self.uses_as_class(name))
        except (TypeError, ValueError, KeyError, IndexError):
            raise remote.lost("sent what is no description of a name") from None
        remote.proxies[int(content)] = proxy
        return proxy

    @property
    def has_entry_point(self) -> bool:
        """Return whether the program defines what it was asked for: it is not to blame for other names then."""
        name = "Solution" if self.style == "solution_method" else self.entry_point
        # `f = None`, or a module named f, is not a definition.
        return self.entry_point is not None and self.namespace.get(name or "") is not None

    def uses_as_class(self, name: str) -> bool:
        """Return whether the tests treat a name as a class of the program: it is written like one, and they read attributes."""
        if not name[0].isupper() or name == "Solution":
            return False
        looked_at = (node.value for node in ast.walk(self.tree) if isinstance(node, ast.Attribute))
        return any(not isinstance(value, ast.Name) or value.id not in sys.stdlib_module_names for value in looked_at)

    def candidate(self, remote: Remote) -> Callable[..., Any]:
        """Return the argument of check(candidate): the entry point, or the method of a new Solution for each call (as LeetCode
        does)."""
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


class Names:
    """The names that tests read anywhere, those that they call, and those that they bind at their top level."""

    def __init__(self, tree: ast.Module) -> None:
        self.read: set[str] = set()
        self.called: set[str] = set()
        self.made: set[str] = set()
        for statement in tree.body:
            if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                self.made.add(statement.name)
                self.look_at(statement)
            elif isinstance(statement, ast.Import | ast.ImportFrom):
                self.made |= {(alias.asname or alias.name).partition(".")[0] for alias in statement.names}
            else:
                self.made |= self.look_at(statement)

    def look_at(self, statement: ast.stmt) -> set[str]:
        """Record the names in a statement; return those that it stores anywhere."""
        stored = set[str]()
        for node in ast.walk(statement):
            kind = type(node)
            if kind is ast.Name:
                (self.read if type(node.ctx) is ast.Load else stored).add(node.id)  # type: ignore[attr-defined]
            elif kind is ast.Call and type(node.func) is ast.Name:  # type: ignore[attr-defined]
                self.called.add(node.func.id)  # type: ignore[attr-defined]
        return stored
