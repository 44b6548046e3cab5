"""The program as its tests see it: stubs for its functions, and proxies for the objects that stay with the solver.

A stub returns plain data, of exact builtin types; anything else stays with the solver and is a Proxy here, whose operations
run in the solver, except equality with plain values.
"""

from __future__ import annotations

import builtins
import functools
import sys
import types
from collections.abc import Callable
from typing import Any

from datakit.sandbox.inside.wire import (
    TOO_LARGE,
    TOO_MANY,
    Channel,
    Encoder,
    Unreadable,
    Unsendable,
    decode,
    library_type,
    update,
)

_TOO_MUCH = (TOO_MANY, TOO_LARGE)
_NAMES_TOLD = (
    "name qualname doc annotations wrapped defaults kwdefaults slots bases mro members dataclass_fields dataclass_params"
    " version author self func notes cause context enter exit len iter next contains getitem call str repr eq hash"
)
_TOLD = frozenset(f"__{name}__" for name in _NAMES_TOLD.split())
"""The names with underscores that tests may ask an object of the program for."""
_ENDS_LOOPS = (StopIteration, StopAsyncIteration, GeneratorExit)


class Lost(BaseException):
    """Raised if the solver is gone or sent an invalid message: the program failed. Tests may catch it; `trouble` keeps it."""


class Unjudgeable(BaseException):
    """Raised if the tests themselves cannot be run here."""


class Remote:
    """The connection to the solver."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.trouble: Lost | Unjudgeable | None = None
        self.calls = 0
        self.own_operators = False
        self.proxies: dict[int, Proxy] = {}
        self.exceptions: dict[int, type[BaseException]] = {}
        self.callbacks: list[Callable[..., Any]] = []
        self.before_call: Callable[[], None] | None = None
        """Called before each call if the tests may change the program's environment (`surroundings`)."""

    def lost(self, why: str) -> Lost:
        self.trouble = self.trouble or Lost(why)
        return Lost(why)

    def ask(self, *request: Any) -> Any:
        """Send a request and return the solver's answer. Raises what the program raised, or Lost."""
        return self.answer(list(request))[0]

    def answer(self, request: list[Any]) -> tuple[Any, Any]:
        """Return the value, as data, and the arguments if the call changed them."""
        if self.trouble is not None:  # tests that caught Lost cannot go on
            raise self.trouble
        self.calls += 1
        if self.before_call is not None:
            self.before_call()
        kind, content, *rest = self.exchange(request)
        self.show(rest[-1] if rest else "")
        if kind == "ok":
            return content, rest[0] if rest else None
        if kind == "raised":
            raise self.exception(content)
        if kind == "unsendable" and content in _TOO_MUCH:  # exact match: the program may give no other reason
            raise self.unjudgeable(f"the program's answer {content}")
        raise self.lost(f"the program's answer {content!s:.200}")

    def exchange(self, request: Any) -> list[Any]:
        """Send a request, and answer callbacks until the answer arrives."""
        try:
            self.channel.send(request)
            while True:
                message = self.channel.receive()
                if not isinstance(message, list) or len(message) < 2:
                    raise Unreadable("no answer")
                if message[0] != "back":
                    return message
                self.channel.send(self.called_back(*message[1:]))
        except Unsendable as error:
            raise self.lost(f"made a value that cannot be handed back: {error}") from None
        except (EOFError, OSError):
            raise self.lost("ended") from None
        except (Unreadable, TypeError, ValueError) as error:
            raise self.lost(f"sent what is no answer ({error})") from None

    def unjudgeable(self, why: str) -> Unjudgeable:
        self.trouble = self.trouble or Unjudgeable(why)
        return Unjudgeable(why)

    def show(self, printed: Any) -> None:
        """Print what the program printed, so that the tests can read it."""
        if isinstance(printed, str) and printed:
            sys.stdout.write(printed)

    # --------------------------------------------------------------------------------------------------------- values

    def call(self, target: list[Any], arguments: tuple[Any, ...], keywords: dict[str, Any], own: bool) -> Any:
        """Call a function of the program; mutable arguments change as the call changed them. `own`: see Proxy."""
        named = {name: self.encode(value) for name, value in keywords.items()}
        content, changed = self.answer(["call", target, self.encode(list(arguments)), named])
        if changed is not None:
            self.copy_back(arguments, keywords, changed)
        return self.decode(content, own)

    def copy_back(self, arguments: tuple[Any, ...], keywords: dict[str, Any], changed: Any) -> None:
        try:
            for old, new in zip(arguments, self.decode(changed[0]), strict=True):
                update(old, new)
            for name, old in keywords.items():
                update(old, self.decode(changed[1][name]))
        except (TypeError, ValueError, KeyError, AttributeError):
            raise self.lost("sent what are no arguments") from None

    def encode(self, value: Any) -> Any:
        try:
            return Encoder(self.reference).encode(value)
        except (Unsendable, RecursionError) as error:
            if isinstance(error, Unsendable) and error.of_the_tests:
                raise self.unjudgeable(f"the tests hand over a value that cannot cross: {error}") from None
            raise self.lost(f"made a value that cannot be handed back: {error}") from None

    def decode(self, data: Any, own: bool = False) -> Any:
        try:
            return decode(data, functools.partial(self.resolve, own=own))
        except (Unreadable, MemoryError) as error:
            raise self.lost(f"sent what is no value ({error})") from None

    def reference(self, value: Any) -> Any:
        """Encode a value that is not plain: the solver's own objects, functions of the tests, what both sides have."""
        if isinstance(value, Proxy):
            return {"h": value._proxy_id}
        module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", "")
        if isinstance(value, type | types.BuiltinFunctionType) and module in sys.stdlib_module_names and name.isidentifier():
            return {"fn": [module, name]}
        if isinstance(value, type) and (found := library_type(value)):
            return {"fn": found}
        if isinstance(value, types.FunctionType | types.MethodType | functools.partial | types.BuiltinMethodType):
            self.callbacks.append(value)
            return {"cb": len(self.callbacks) - 1}
        made_by_program = isinstance(value, BaseException | types.CoroutineType) or value in self.exceptions.values()
        raise Unsendable(f"a {type(value).__name__}", of_the_tests=not made_by_program)

    def resolve(self, tag: str, content: Any, own: bool = False) -> Any:
        match tag:
            case "h":
                return self.proxies.setdefault(int(content), Proxy(self, int(content), own))  # always the same one, for `is`
            case "cb":
                return self.callbacks[int(content)]
            case "co":
                return self.awaited(Proxy(self, int(content), own))
            case "fn" if content[0] == "builtins":
                value = getattr(builtins, str(content[1]), None)
                if isinstance(value, type):  # a test must not get a function, like eval, from a program
                    return value
            case "fn" if content[0] == "numpy" and "numpy" in sys.modules:
                value = getattr(sys.modules["numpy"], str(content[1]), None)
                if isinstance(value, type) and library_type(value) == content:
                    return value
            case "ex":
                return self.exception_class(content)
            case "er":
                return self.exception(content)
        raise ValueError(f"tag {tag!r:.20}")

    def exception_class(self, told: dict[str, Any]) -> type[BaseException]:
        base = getattr(builtins, str(told["type"]), None)  # looked up by name, never called: the name may be anything
        if not (isinstance(base, type) and issubclass(base, BaseException)):
            raise ValueError("no exception class")
        if "id" not in told:
            return base
        number = int(told["id"])
        if number not in self.exceptions:
            self.exceptions[number] = type(str(told["name"])[:80], (base,), {})
        return self.exceptions[number]

    def exception(self, told: Any) -> BaseException:
        """Return the exception that the program raised, as one of this process."""
        try:
            kind, arguments = self.exception_class(told), decode(told["args"], self.resolve)
        except (Unreadable, TypeError, ValueError, KeyError) as error:
            return self.lost(f"sent what is no exception ({error})")
        if issubclass(kind, _ENDS_LOOPS):  # these would end a loop of the tests as if it had passed
            kind, arguments = RuntimeError, [f"the program raised {kind.__name__}"]
        try:
            raised = kind(*arguments)
        except (TypeError, ValueError):  # UnicodeDecodeError and the like need other arguments
            raised = kind.__new__(kind)
        raised.__dict__["_at"] = str(told.get("at", ""))[:300]
        return raised

    async def awaited(self, coroutine: Proxy) -> Any:
        """Return the result of the program's coroutine, from the solver's event loop."""
        return coroutine._proxy_do("await")

    def called_back(self, number: Any, arguments: Any, keywords: Any) -> list[Any]:
        """Call a function of the tests for the program, with plain values."""
        if self.trouble is not None:
            raise self.trouble
        given, named = self.decode(arguments), {str(name): self.decode(value) for name, value in keywords.items()}
        try:
            return ["returned", self.encode(self.callbacks[number](*given, **named))]
        except Exception as error:  # noqa: BLE001 - the program may catch it
            return ["raised", type(error).__name__, []]  # without its text, which may say what the tests expect


class Proxy:
    """An object that stays with the solver: calls, attributes and operators are sent there.

    The other operand of an operator may be what a test expects, so it is sent to the solver only for objects that
    the tests made themselves by naming one of the program's classes (`own`: Vector(1, 2) * 3). Any other object is unequal to a
    plain value and has no operators: f(2) - 4 could be anything that the program's object says.
    """

    def __init__(self, remote: Remote, number: int, own: bool) -> None:
        # Bypasses __setattr__ below, which would ask the solver. Long names: any other name is the program's attribute.
        object.__setattr__(self, "_proxy_remote", remote)
        object.__setattr__(self, "_proxy_id", number)
        object.__setattr__(self, "_proxy_own", own)

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        return self._proxy_remote.call(["h", self._proxy_id], arguments, keywords, self._proxy_own)

    def __getattr__(self, name: str) -> Any:
        # Libraries ask any object for protocols by such names. numpy reads from the address in __array_interface__, which
        # the program could choose, in the process that holds what the tests expect.
        if name.startswith("__") and name.endswith("__") and name not in _TOLD:
            raise AttributeError(name)
        return self._proxy_remote.decode(self._proxy_remote.ask("get", ["h", self._proxy_id], name), self._proxy_own)

    def __setattr__(self, name: str, value: Any) -> None:
        self._proxy_remote.ask("set", ["h", self._proxy_id], name, self._proxy_remote.encode(value))

    def _proxy_do(self, operation: str, *arguments: Any) -> Any:
        given = self._proxy_remote.encode(list(arguments))
        return self._proxy_remote.decode(self._proxy_remote.ask("do", ["h", self._proxy_id], operation, given), self._proxy_own)

    def _proxy_with(self, operation: str, other: Any) -> Any:
        """Apply an operator to another operand."""
        if not self._proxy_own and not isinstance(other, Proxy):
            raise TypeError(f"unsupported operand of {operation}: an object of the program and a {type(other).__name__}")
        self._proxy_remote.own_operators = True
        return self._proxy_do(operation, other)

    def __eq__(self, other: object) -> bool:
        """Compare as the program says, for its own objects; with a plain value only a value inherited from a builtin type
        counts."""
        if isinstance(other, Proxy) and self._proxy_id == other._proxy_id:
            return True
        if self._proxy_own or isinstance(other, Proxy):
            return self._proxy_with("eq", other) is True  # exactly True: a truthy object of the program does not count
        base = self._proxy_remote.decode(self._proxy_remote.ask("value", ["h", self._proxy_id]))
        return isinstance(base, list) and bool(base) and bool(base[0] == other)

    def __hash__(self) -> int:
        return hash(self._proxy_id)

    def __iter__(self) -> Any:
        found = self._proxy_do("iter")
        return found if isinstance(found, Proxy) else iter(found)

    def __next__(self) -> Any:
        try:
            return self._proxy_do("next")
        except RuntimeError as error:
            if str(error) == "the program raised StopIteration":  # Remote.exception converts it everywhere except here
                raise StopIteration from None
            raise

    def __bool__(self) -> bool:
        return bool(self._proxy_do("bool"))

    def __len__(self) -> int:
        return len(range(self._proxy_do("len")))  # TypeError or OverflowError for an invalid length

    def __str__(self) -> str:
        return _text(self._proxy_do("str"))

    def __repr__(self) -> str:
        return _text(self._proxy_do("repr"))

    def __int__(self) -> int:
        return int(self._proxy_do("int"))

    def __float__(self) -> float:
        return float(self._proxy_do("float"))

    def __enter__(self) -> Any:
        return self._proxy_do("enter")

    def __exit__(self, kind: Any, error: Any, trace: Any) -> bool:
        # The program is not told of a failed assertion in the block, and cannot swallow it.
        return bool(self._proxy_do("exit", None, None, None)) and kind is None

    def __instancecheck__(self, instance: Any) -> bool:
        return isinstance(instance, Proxy) and self._proxy_do("instancecheck", instance) is True


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("the program's object has no text")
    return value


def _operator(name: str, do: Callable[..., Any]) -> Callable[..., Any]:
    """Make an operator. This is a function because a lambda in the loop below would only see the last name."""
    return lambda self, *arguments: do(self, name, *arguments)


_UNARY = "getitem setitem delitem reversed round abs neg pos invert"
_BINARY = (
    "add radd sub rsub mul rmul truediv rtruediv floordiv rfloordiv mod rmod pow rpow matmul and or xor lshift rshift lt le gt"
    " ge divmod"
)
for _names, _do in ((_UNARY, Proxy._proxy_do), (_BINARY, Proxy._proxy_with)):
    for _name in _names.split():
        setattr(Proxy, f"__{_name}__", _operator(_name, _do))
