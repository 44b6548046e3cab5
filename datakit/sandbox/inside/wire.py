"""The data between solver and tester: values as tagged JSON, framed by their length.

Plain values cross by value and arrive as exact builtin types (and the standard library's Counter, deque, Decimal, ...): an
instance of a subclass arrives as its base value, whatever methods it overrides. Any other value crosses as a
reference, which the two ends make and resolve themselves. Pickle is not used, and nothing received is ever executed.
"""

from __future__ import annotations

import datetime
import importlib
import json
import os
import struct
import sys
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from fractions import Fraction
from typing import Any

from datakit.sandbox.inside import frames, sets

MAX_BYTES = 256 << 20  # per message
MAX_VALUES = 20_000_000  # per message, including containers' items
TOO_MANY = f"holds over {MAX_VALUES:,} values"
TOO_LARGE = f"takes over {MAX_BYTES >> 20} MB"
MAX_DEPTH = 200
_MAX_FIELDS = 100  # per named tuple: the other end makes a class from them
_SMALL = 1 << 63  # larger integers cross in hexadecimal: Python refuses to parse more than 4,300 decimal digits
_PLAIN = frozenset({bool, type(None), str, float})
_FLAT = _PLAIN | {int}

Reference = Callable[[Any], Any]
"""A function from a value that is not plain to its tag. Raises Unsendable if there is none."""
Resolve = Callable[[str, Any], Any]
"""A function from a reference's tag and content to this end's object."""


class Unsendable(Exception):
    """Raised if a value cannot cross. `of_the_tests`: it belongs to the tests, so the program is not to blame."""

    def __init__(self, why: str, of_the_tests: bool = False) -> None:
        super().__init__(why)
        self.of_the_tests = of_the_tests


class Unreadable(Exception):
    """Raised if the other end sent something that is not a message."""


class Encoder:
    """An encoder of values to JSON, one per message: it counts the message's values."""

    def __init__(self, reference: Reference) -> None:
        self.reference = reference
        self.left = MAX_VALUES
        self.seen: dict[int, int] = {}  # id of a container -> its number, as _Decoder counts
        self.made: list[Any] = []

    def encode(self, value: Any, depth: int = 0) -> Any:
        """Return a value as JSON-serialisable data. Raises Unsendable if it is too large, too deep, or has no encoding."""
        kind = type(value)  # never isinstance: a subclass may claim anything, and `__class__` may lie
        if kind in _PLAIN:
            return value
        if kind is int:
            return value if -_SMALL < value < _SMALL else {"i": hex(value)}
        if depth > MAX_DEPTH:
            raise Unsendable(f"nested over {MAX_DEPTH} levels deep")
        tag = _KINDS.get(kind)
        if tag is None:
            return self._odd(value, kind, depth)
        return self._container(tag, value, depth)

    def _items(self, values: Any, depth: int) -> list[Any]:
        values = values if type(values) in (list, tuple) else list(values)
        self.left -= len(values)
        if self.left < 0:
            raise Unsendable(TOO_MANY)
        kinds = set(map(type, values))
        if kinds <= _PLAIN:  # most containers hold only plain values
            return list(values)
        if kinds == {int} and min(values) > -_SMALL and max(values) < _SMALL:
            return list(values)
        return [self.encode(value, depth + 1) for value in values]

    def _container(self, tag: str, value: Any, depth: int) -> Any:
        """Encode a value of exactly one of _KINDS, so that its methods are the builtin ones."""
        if tag in _SHARABLE:  # a list that occurs twice stays one list
            known = self.seen.get(id(value))
            if known is not None:
                return {"=": known}
            self.seen[id(value)] = len(self.seen)  # before its items: it may hold itself
        match tag:
            case "l":
                return self._items(value, depth)
            case "s" | "fs":
                return self._set(tag, value, depth)
            case "t":
                return {tag: self._items(value, depth)}
            case "d" | "C" | "O" | "D":
                return {tag: [self._items(pair, depth) for pair in value.items()]}
            case "q":
                return {"q": [self._items(value, depth), value.maxlen]}
            case "r" | "sl":
                return {tag: self._items((value.start, value.stop, value.step), depth)}
            case _:
                return {tag: _TO_SPELLED[tag](value)}

    def _set(self, tag: str, value: set[Any] | frozenset[Any], depth: int) -> Any:
        """Encode a set by its items, and with how to build it if these alone would change its order (`sets`)."""
        items = list(value)
        found = sets.recipe(value, items)
        if found is None:
            return {tag: self._items(items, depth)}
        return {tag + "+": [found[0], self._items(found[1], depth)]}

    def _odd(self, value: Any, kind: type, depth: int) -> Any:
        """Encode an instance of a subclass of a builtin by its base value, an array by its content, anything else as a
        reference."""
        if value is Ellipsis or value is NotImplemented:
            return {"k": repr(value)}
        paths = sys.modules.get("pathlib") if kind.__module__.startswith("pathlib") else None  # pathlib._local in Python 3.13
        if paths is not None and kind is type(paths.Path()):
            return {"P": str(value)}
        # Before base_of, because numpy's float64 is a float, too. An array with an object of the program stays there whole.
        with suppress(Unsendable, TypeError, ValueError, AttributeError):
            if (found := frames.encode(value, _plain_data)) is not None:
                return found
        if kind.__module__.partition(".")[0] in ("numpy", "pandas") and kind.__module__.partition(".")[0] in sys.modules:
            return self.reference(value)
        base = base_of(kind)
        if base is None:
            return self.reference(value)
        fields = getattr(kind, "_fields", None)
        if base is tuple and type(fields) is tuple and len(fields) == tuple.__len__(value) <= _MAX_FIELDS:
            return {"n": [[str(field) for field in fields], self._items(tuple.__iter__(value), depth)]}
        plain = _base_value(base, value)
        self.made.append(plain)  # kept, so that its id is not reused
        return self.encode(plain, depth)


def base_of(kind: type) -> type | None:
    """Return the builtin type from which a type inherits its value, or None."""
    return next((base for base in kind.__mro__ if base in _BASES), None)


def _base_value(base: type, value: Any) -> Any:
    """Return the value as the builtin type itself sees it, bypassing the subclass's overrides."""
    if base in (int, float):
        return base.__pos__(value)
    if base is str:
        return str.__str__(value)
    if base in (bytes, bytearray):
        return base(base.__getitem__(value, slice(None)))
    return base(dict.items(value) if base is dict else base.__iter__(value))  # type: ignore[attr-defined]


def library_type(kind: type) -> list[str] | None:
    """Return module and name of a type of numpy or pandas, by which both ends find it, or None."""
    library = sys.modules.get(kind.__module__) if kind.__module__ in ("numpy", "pandas") else None
    name = kind.__name__
    return [kind.__module__, name] if library is not None and getattr(library, name, None) is kind else None


def _plain_data(value: Any) -> Any:
    return Encoder(_not_plain).encode(value)


def _not_plain(value: Any) -> Any:
    raise Unsendable(f"a {type(value).__name__}")


def _plain_value(data: Any) -> Any:
    return decode(data, _nothing)


def _nothing(tag: str, content: Any) -> Any:
    raise ValueError(f"tag {tag!r:.20} in a table")


_KINDS: dict[type, str] = {
    **{list: "l", tuple: "t", set: "s", frozenset: "fs", dict: "d", Counter: "C", OrderedDict: "O", defaultdict: "D"},
    **{deque: "q", bytes: "b", bytearray: "B", complex: "c", range: "r", slice: "sl", Decimal: "x", Fraction: "f"},
    **{datetime.datetime: "Y", datetime.date: "M", datetime.time: "H", datetime.timedelta: "T"},
}
_SHARABLE = frozenset("lsdCODqB")  # mutable containers: _Decoder counts just these, in `fill`
_TO_SPELLED: dict[str, Callable[[Any], Any]] = {
    "b": bytes.hex,
    "B": bytearray.hex,
    "c": lambda number: [number.real, number.imag],
    "x": str,
    "f": lambda fraction: [hex(fraction.numerator), hex(fraction.denominator)],
    "Y": datetime.datetime.isoformat,
    "M": datetime.date.isoformat,
    "H": datetime.time.isoformat,
    "T": lambda span: [span.days, span.seconds, span.microseconds],
}
_BASES = frozenset({int, float, str, bytes, bytearray, list, tuple, set, frozenset, dict})


def decode(data: Any, resolve: Resolve) -> Any:
    """Return the value of JSON data. Raises Unreadable for data that no encoder writes."""
    try:
        return _Decoder(resolve).decode(data)
    except _MISREAD as error:
        raise Unreadable(f"{type(error).__name__} in a value") from error


# All exceptions that the code below raises for data that no encoder wrote: the other end may be a program that writes to its
# socket directly. Includes RecursionError, because nothing else bounds the depth here.
_MISREAD = (
    *(TypeError, ValueError, KeyError, IndexError, AttributeError, ArithmeticError, RecursionError, ImportError),
    *(AssertionError, NotImplementedError, Unreadable),  # raised by pandas, and for an array's own plain values
)


class _Decoder:
    """A decoder of JSON to values: mutable containers are numbered as the encoder numbered them, before their items."""

    def __init__(self, resolve: Resolve) -> None:
        self.resolve = resolve
        self.shared: list[Any] = []

    def decode(self, data: Any) -> Any:
        if isinstance(data, list):
            return self.fill([], data)
        if not isinstance(data, dict):
            return data
        ((tag, content),) = data.items()  # ValueError for more or fewer
        if tag in _FILLED:
            return self.fill(_FILLED[tag](), content)
        if tag in _LEAVES:
            return _LEAVES[tag](content)
        match tag:
            case "=":
                return self.shared[content]
            case "t" | "fs":
                return (tuple if tag == "t" else frozenset)(self.items(content))
            case "fs+":
                return sets.frozen(content[0], self.items(content[1]))
            case "s+":
                return self.fill(set(), content[1], size=content[0])
            case "q":
                return self.fill(deque(maxlen=content[1]), content[0])
            case "n":
                return self.named(*content)
            case "r" | "sl":
                return (range if tag == "r" else slice)(*[self.decode(part) for part in content])
        return self.resolve(tag, content)

    def items(self, content: list[Any]) -> list[Any]:
        if set(map(type, content)) <= _FLAT:
            return content
        return [self.decode(item) for item in content]

    def fill(self, container: Any, content: Any, size: int = 0) -> Any:
        self.shared.append(container)  # before its items, as the encoder counts
        if isinstance(container, dict):
            for key, item in content:
                key = self.decode(key)
                container[key] = self.decode(item)
        elif isinstance(container, set):
            items = self.items(content)
            sets.make(container, size, items) if size else container.update(items)
        elif isinstance(container, bytearray):
            container.extend(bytes.fromhex(content))
        else:
            container.extend(self.items(content))
        return container

    def named(self, fields: list[str], items: list[Any]) -> Any:
        if len(fields) > _MAX_FIELDS:
            raise ValueError("too many fields")
        # `namedtuple` evaluates code made from the names: `rename` ensures that only identifiers get through.
        return namedtuple("Row", fields, rename=True)(*[self.decode(item) for item in items])


# A defaultdict arrives without its factory, which is code.
_FILLED: dict[str, Callable[[], Any]] = {"s": set, "d": dict, "B": bytearray, "C": Counter, "O": OrderedDict, "D": defaultdict}
_LEAVES: dict[str, Callable[[Any], Any]] = {
    "i": lambda text: int(text, 16),
    "b": bytes.fromhex,
    "c": lambda parts: complex(*parts),
    "x": Decimal,
    "f": lambda parts: Fraction(int(parts[0], 16), int(parts[1], 16)),
    "Y": datetime.datetime.fromisoformat,
    "M": datetime.date.fromisoformat,
    "H": datetime.time.fromisoformat,
    "T": lambda parts: datetime.timedelta(*parts),
    "k": {"Ellipsis": Ellipsis, "NotImplemented": NotImplemented}.__getitem__,
    "P": lambda text: importlib.import_module("pathlib").Path(text),  # few programs need it, so the zygote does not load it
    "a": lambda content: frames.read_array(*content),
    "ao": lambda content: frames.read_objects(content[0], _plain_value(content[1])),
    "dt": lambda content: frames.read_dtype(content),
    "p": lambda content: frames.read_pandas(content, _plain_value),
    "pk": lambda content: frames.read_missing(content),
}
"""Decoders of values without shared parts: plain values as text, and arrays and tables, whose own values are decoded apart."""


def update(old: Any, new: Any, done: set[int] | None = None) -> None:
    """Make a container, and those inside it, equal to its new value in place, as the call that changed them would."""
    if frames.take_over(old, new):
        return
    done = set() if done is None else done
    if id(old) in done or not _kept(old, new):  # a list may hold itself
        return
    done.add(id(old))
    if isinstance(old, list):
        for mine, other in zip(old, new, strict=False):
            update(mine, other, done)
        old[:] = [mine if _kept(mine, other) else other for mine, other in zip(old, new, strict=False)] + new[len(old) :]
    elif isinstance(old, dict):
        for key in old.keys() & new.keys():
            update(old[key], new[key], done)
        merged = {key: old[key] if key in old and _kept(old[key], value) else value for key, value in new.items()}
        old.clear()
        old.update(merged)
    elif isinstance(old, tuple):
        for mine, other in zip(old, new, strict=False):
            update(mine, other, done)
    else:
        old.clear()
        (old.update if isinstance(old, set) else old.extend)(new)


def _kept(old: Any, new: Any) -> bool:
    """Return whether the old object can take the new one's content."""
    return type(old) is type(new) and isinstance(old, list | dict | set | bytearray | deque | tuple)


class Channel:
    """One end of the socket between solver and tester: whole messages, each with its length in front."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def send(self, message: Any) -> None:
        """Send a message. Raises Unsendable if it is too large, OSError if the other end is gone."""
        data = _as_json(message).encode()
        if len(data) > MAX_BYTES:
            raise Unsendable(TOO_LARGE)
        data = struct.pack("!I", len(data)) + data  # one write, so that the other end wakes once
        sent = os.write(self.descriptor, data)
        while sent < len(data):
            sent += os.write(self.descriptor, memoryview(data)[sent : sent + (1 << 20)])

    def receive(self) -> Any:
        """Return the next message. Raises EOFError if the other end is gone, Unreadable if it is not a message."""
        (length,) = struct.unpack("!I", self._exactly(4))
        if length > MAX_BYTES:  # before anything is read: the length is only the other end's claim
            raise Unreadable(f"a message of {length:,} bytes")
        try:
            return json.loads(self._exactly(length))
        except (ValueError, RecursionError) as error:
            raise Unreadable(f"{type(error).__name__} in a message") from error

    def _exactly(self, length: int) -> bytes:
        data = os.read(self.descriptor, length)
        if len(data) == length:  # nearly always
            return data
        parts, left = [data], length - len(data)
        while left:
            if not parts[-1]:
                raise EOFError
            # os.read allocates as much as it is asked for: at most 1 MB, however few bytes come at a time.
            parts.append(os.read(self.descriptor, min(left, 1 << 20)))
            left -= len(parts[-1])
        return b"".join(parts)


# Made once, because `dumps` with separators makes one each time. It writes ASCII, so half surrogate pairs can cross, and NaN.
_as_json = json.JSONEncoder(separators=(",", ":")).encode
