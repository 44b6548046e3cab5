"""Run the program, and answer the tester's requests to call it. What the tests expect is never in this process.

Requests and answers are JSON lists. A request of the tester:

    ["names", [name, ...]]                       which of them the program defines, and as what
    ["call", target, [argument, ...], {keyword: argument}]
    ["get", target, attribute]   ["set", target, attribute, value]   ["do", target, operation, [argument, ...]]
    ["around", [change, ...]]                    what the tests have changed around the program (`surroundings`)
    ["value", target]                            the base value of an instance of a builtin's subclass

and its answer: ["ok", value, arguments that the call changed or null, what was printed], ["raised", exception, printed] or
["unsendable", why, printed]. While a call runs, the solver may send ["back", id, arguments, keywords]: call a function that
the tests handed in. A target is ["n", name] or ["h", id of an object that crossed as a reference].
"""

from __future__ import annotations

import builtins
import gc
import io
import os
import sys
import threading
import types
from collections import Counter, OrderedDict, defaultdict, deque
from typing import Any

from datakit.sandbox.inside import surroundings
from datakit.sandbox.inside.wire import (
    Channel,
    Encoder,
    Unreadable,
    Unsendable,
    base_of,
    decode,
    library_type,
)

MODULE = "solution"
_OPERATIONS = (
    "len getitem setitem delitem bool str repr int float enter exit reversed round abs neg pos invert add radd sub rsub mul"
    " rmul truediv rtruediv floordiv rfloordiv mod rmod pow rpow matmul and or xor lshift rshift eq ne lt le gt ge divmod"
)
OPERATIONS = frozenset(_OPERATIONS.split())
_MUTABLE = (list, dict, set, bytearray, tuple, Counter, OrderedDict, defaultdict, deque)
_CONSTANTS = (bool, int, float, str, bytes, type(None), list, dict, tuple, set, frozenset)


def solve(descriptor: int, program: str) -> None:
    """Run a solver process: run the program's top level, then answer until the tester is gone."""
    channel = Channel(descriptor)
    printed = io.StringIO()
    sys.stdout = printed
    module = types.ModuleType(MODULE)
    sys.modules[MODULE] = module  # dataclasses, enum and typing look for a class's module there
    failure = define(program, module.__dict__)
    channel.send(["ready", failure])
    if failure is None:
        _Solver(channel, module.__dict__, printed).serve()


def define(program: str, namespace: dict[str, Any]) -> str | None:
    """Compile and run the program's top level; return what went wrong, or None."""
    try:
        code = compile(program, "<program>", "exec", dont_inherit=True)  # without this file's __future__ imports
    except (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError) as error:
        return f"does not compile: {describe(error)}"
    try:
        exec(code, namespace)
    except BaseException as error:  # noqa: BLE001 - whatever it raises is the program's failure
        return f"raised at its top level: {describe(error)}"
    return None


def describe(error: BaseException) -> str:
    """Return type, message and the line in the program, without trusting the exception's own methods."""
    try:
        text = str(error)[:200]
    except BaseException:  # noqa: BLE001 - a program's exception may do anything
        text = "?"
    if isinstance(error, SyntaxError):
        text = f"{error.msg} (line {error.lineno})"
    line = None
    step = error.__traceback__
    while step is not None:
        if step.tb_frame.f_code.co_filename == "<program>":
            line = step.tb_lineno
        step = step.tb_next
    return f"{type(error).__name__}: {text}" + (f" (line {line})" if line else "")


class _Solver:
    """The objects that crossed as references, and the program's names."""

    def __init__(self, channel: Channel, namespace: dict[str, Any], printed: io.StringIO) -> None:
        self.channel = channel
        self.namespace = namespace
        self.printed = printed
        self.objects: list[Any] = []
        self.ids: dict[int, int] = {}
        self.originals: dict[tuple[str, str], Any] = {}  # the originals of what the tests patched
        self.lock = threading.RLock()  # threads of the program may call back; one conversation at a time

    def serve(self) -> None:
        while True:
            try:
                request = self.channel.receive()
            except (EOFError, Unreadable):
                return
            answer = self.answer(request)
            try:
                self.channel.send(answer)
            except Unsendable as error:
                self.channel.send(["unsendable", str(error), ""])
            except MemoryError:
                del answer
                self.channel.send(["unsendable", "takes more memory to hand over than there is", ""])

    def answer(self, request: list[Any]) -> list[Any]:
        try:
            match request:
                case ["call", target, arguments, keywords]:
                    value, changed = self.call(target, arguments, keywords)
                    return ["ok", value, changed, self.taken()]
                case ["names", names]:
                    value = {name: self.described(name) for name in names if name in self.namespace}
                case ["get", target, attribute]:
                    value = self.result(getattr(self.target(target), attribute))
                case ["set", target, attribute, given]:
                    setattr(self.target(target), attribute, self.decode(given))
                    value = None
                case ["do", target, operation, arguments]:
                    value = self.result(self.do(target, operation, arguments))
                case ["around", changes]:
                    for change in changes:
                        surroundings.put(change, self.decode, self.originals)
                    value = None
                case ["value", target]:
                    found = self.target(target)
                    value = self.encode([found]) if base_of(type(found)) is not None else []
                case _:
                    raise Unsendable("there is no such request")
            return ["ok", value, None, self.taken()]
        except Unsendable as error:
            return ["unsendable", str(error), self.taken()]
        except RecursionError:
            return ["raised", {"type": "RecursionError", "args": ["maximum recursion depth exceeded"]}, self.taken()]
        except BaseException as error:  # noqa: BLE001 - it crosses to the tester, which raises it there
            return ["raised", self.raised(error), self.taken()]

    def call(self, target: list[Any], arguments: list[Any], keywords: dict[str, Any]) -> tuple[Any, Any]:
        """Return a call's value, and its arguments if it changed them."""
        function = self.target(target)
        given, named = self.decode(arguments), {name: self.decode(value) for name, value in keywords.items()}
        value = function(*given, **named)
        changed = None
        if any(_may_change(argument) for argument in (*given, *named.values())):
            after = [self.encode(given), {name: self.encode(argument) for name, argument in named.items()}]
            changed = after if after != [arguments, keywords] else None
        return self.result(value, made=isinstance(function, type)), changed

    def do(self, target: list[Any], operation: str, arguments: list[Any]) -> Any:
        """Return the result of an operation on an object of the program, by its type's method if there is one."""
        found, given = self.target(target), self.decode(arguments)
        match operation:
            case "iter":
                return iter(found)
            case "next":
                return next(found)
            case "await":
                import asyncio

                return asyncio.run(found)
            case "instancecheck":
                return isinstance(given[0], found)
            case "bool":
                return bool(found)
        if operation not in OPERATIONS:
            raise Unsendable(f"there is no operation {operation}")
        method = getattr(type(found), f"__{operation}__", None)
        if method is None:
            raise TypeError(f"'{type(found).__name__}' object has no __{operation}__")
        return method(found, *given)

    # --------------------------------------------------------------------------------------------------------- values

    def described(self, name: str) -> list[Any]:
        """Describe a name: ["module", its name], ["exception", builtin base, id], ["value", value] or ["object", id]."""
        value = self.namespace[name]
        if isinstance(value, types.ModuleType):
            return ["module", value.__name__]
        if isinstance(value, type) and issubclass(value, BaseException):
            return ["exception", self.exception_class(value)]
        if type(value) in _CONSTANTS:
            try:
                return ["value", self.encode(value)]
            except Unsendable:
                pass
        return ["object", self.id_of(value), isinstance(value, type)]

    def exception_class(self, kind: type[BaseException]) -> dict[str, Any]:
        """Describe an exception class: a builtin one by its name, the program's own by name, id and builtin base."""
        if getattr(builtins, kind.__name__, None) is kind:
            return {"type": kind.__name__}
        base = next(base.__name__ for base in kind.__mro__ if getattr(builtins, base.__name__, None) is base)
        return {"type": base, "name": str(kind.__name__), "id": self.id_of(kind)}

    def raised(self, error: BaseException) -> dict[str, Any]:
        """Return an exception as data: its class, its arguments if they are plain, and where it was raised."""
        try:
            # BaseException's own `args`: the program's class may have another.
            arguments = Encoder(_nothing).encode(list(BaseException.args.__get__(error)))  # type: ignore[attr-defined]
        except (Unsendable, RecursionError, MemoryError):
            arguments = [describe(error)]
        return {**self.exception_class(type(error)), "args": arguments, "at": describe(error)}

    def target(self, target: list[Any]) -> Any:
        return self.namespace[target[1]] if target[0] == "n" else self.objects[target[1]]

    def id_of(self, value: Any) -> int:
        """Return the object's id, always the same one: the object is kept, so that its id is not reused."""
        known = self.ids.get(id(value))
        if known is None:
            known = self.ids[id(value)] = len(self.objects)
            self.objects.append(value)
        return known

    def result(self, value: Any, made: bool = False) -> Any:
        """Encode a call's value; an instance of a class of the program stays here, whatever it inherits from."""
        if made and type(value).__module__ == MODULE:
            return self.reference(value)
        return self.encode(value)

    def encode(self, value: Any) -> Any:
        return Encoder(self.reference).encode(value)

    def reference(self, value: Any) -> Any:
        if isinstance(value, _Callback):
            return {"cb": value.id}
        name = getattr(value, "__name__", None)
        if isinstance(name, str) and getattr(builtins, name, None) is value:
            return {"fn": ["builtins", name]}
        if type(value) is type and (found := library_type(value)):
            return {"fn": found}
        if isinstance(value, type) and issubclass(value, BaseException):
            return {"ex": self.exception_class(value)}
        if isinstance(value, BaseException):
            return {"er": self.raised(value)}
        return {"co" if isinstance(value, types.CoroutineType) else "h": self.id_of(value)}

    def decode(self, data: Any) -> Any:
        return decode(data, self.resolve)

    def resolve(self, tag: str, content: Any) -> Any:
        if tag == "h":
            return self.objects[content]
        if tag == "cb":
            return _Callback(self, content)
        module, name = content
        return getattr(__import__(module, fromlist=[name]), name)

    def taken(self) -> str:
        """Return what the program printed since the last answer."""
        text = self.printed.getvalue()
        if text:
            self.printed.seek(0)
            self.printed.truncate()
        return text

    def call_back(self, number: int, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
        """Have the tester call a function of the tests, and answer its requests meanwhile."""
        encoded = {name: self.encode(value) for name, value in keywords.items()}
        with self.lock:
            self.channel.send(["back", number, self.encode(list(arguments)), encoded])
            while True:
                message = self.channel.receive()
                if message[0] == "returned":
                    return self.decode(message[1])
                if message[0] == "raised":
                    raise getattr(builtins, message[1], Exception)(*self.decode(message[2]))
                self.channel.send(self.answer(message))


def _may_change(value: Any) -> bool:
    return type(value) in _MUTABLE or type(value).__module__.partition(".")[0] in ("numpy", "pandas")


class _Callback:
    """A function that the tests passed to the program."""

    def __init__(self, solver: _Solver, number: int) -> None:
        self._solver = solver
        self.id = number
        self.__name__ = "function"

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        return self._solver.call_back(self.id, arguments, keywords)


def _nothing(value: Any) -> Any:
    raise Unsendable(f"a {type(value).__name__}")


def run_script(program: str, report: int) -> None:
    """Run a program as `python program.py` would, on the current stdin and stdout; write how it failed to `report`."""
    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module
    sys.argv = ["program.py"]
    # New streams: the zygote's belong to other files, and have their own buffers.
    sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, "rb", closefd=False)), encoding="utf-8")
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(io.FileIO(1, "wb", closefd=False)), encoding="utf-8", errors="surrogatepass"
    )
    sys.stdin.mode, sys.stdout.mode = "r", "w"  # type: ignore[misc]  # as at a start of Python: templates look at it
    sys.__stdin__, sys.__stdout__ = sys.stdin, sys.stdout  # type: ignore[misc]
    status = 0
    try:
        exec(compile(program, "<program>", "exec", dont_inherit=True), module.__dict__)
    except SystemExit as leaving:
        status = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
        failure = f"exit status {status}"
    except BaseException as error:  # noqa: BLE001 - whatever it raises is the program's failure
        status, failure = 1, describe(error)
    try:
        _finish()
    except BaseException as error:  # noqa: BLE001
        status, failure = 1, describe(error)
    if status:
        os.write(report, failure.encode("utf-8", "replace")[:1000])
    os._exit(status & 0xFF)  # sys.exit would unwind into the zygote's code


def _finish() -> None:
    """Do what an interpreter does at its end: wait for threads, run exit handlers, flush."""
    import atexit

    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.__stdout__):
        if stream is not None and not getattr(stream, "closed", False):
            stream.flush()
    gc.disable()  # no finalizer prints after the flush
