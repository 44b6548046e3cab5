"""Fuzz the messages between solver and tester:  python benchmarks/fuzz_sandbox.py [SECONDS] [SEED]

Three laws. A plain value crosses unchanged, types included. Whatever is decoded gives a value or Unreadable. And a tester
whose solver sends anything at all (mutated answers, what it has heard, noise) never passes tests that need a right answer,
never calls that "cannot judge", never dies without a verdict, and is done soon after the solver is gone.

Prints each kind of breach once with the messages that led to it, and how much was tried; exit status 1 if there was one.
"""

from __future__ import annotations

import argparse
import datetime
import json
import math
import os
import random
import resource
import select
import signal
import socket
import struct
import sys
import tempfile
import time
import traceback
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from datakit.sandbox.inside import tester
from datakit.sandbox.inside.wire import Encoder, Unreadable, Unsendable, decode

with suppress(ImportError):  # as where they are listed: an import in mid-message would count as slow
    import numpy  # noqa: F401
    import pandas  # noqa: F401

SECRET = "EXPECTED-5f1d0c9be2a47386"
DONE_S = 8.0  # a tester without a solver must be done by then
HEARD_AT_MOST = 40  # messages to a tester before its solver is gone
SUITES: list[tuple[str, str]] = [
    ("asserts", f"assert f(2) == {SECRET!r}\n"),
    ("asserts", f"assert not f(2) != {SECRET!r}\nassert {SECRET!r} == f(3)\n"),
    ("asserts", f"x = [1, [2], {{'a': 3}}]\nf(x, y={{'b': [4]}})\nassert x == [{SECRET!r}]\n"),
    ("asserts", f"assert f(f(1)) == {SECRET!r}\n"),
    ("asserts", f"found = [v for _, v in zip(range(5), f(2))]\nassert found == [{SECRET!r}]\n"),
    ("asserts", f"try:\n    f(-1)\nexcept ValueError:\n    pass\nassert f(1) == {SECRET!r}, f(1)\n"),
    ("asserts", f"seen = []\nf(seen.append, key=lambda x: x)\nassert seen == [{SECRET!r}]\n"),
    ("asserts", "assert abs(f(2) - 48151.6234) < 1e-6\n"),
    ("asserts", "assert 48151 < f(2) < 48152\nassert f(2) == 48151.6234\n"),
    ("asserts", f"with f(2) as g:\n    assert g == {SECRET!r}\nassert f(2).x[1] == {SECRET!r}\n"),
    ("asserts", f"import math\nassert sorted(f(3)) == [{SECRET!r}] and math.isclose(f(1), 4.25)\n"),
    ("asserts", f"assert str(f(2)) == {SECRET!r}\nassert {{f(2): 1}} == {{{SECRET!r}: 1}}\n"),
    (
        "humaneval_check",
        f"def check(candidate):\n    assert candidate([1, 2]) == {SECRET!r}\n    assert candidate(None) is True\n",
    ),
    ("solution_method", f"s = Solution()\nassert s.f(2) == {SECRET!r}\nassert Solution().f(3) == [{SECRET!r}]\n"),
]


# ------------------------------------------------------------------------------------------------------------- random data

_TEXTS = [
    "",
    "a",
    "é😀",
    "\x00",
    "\ud800",
    "__eq__",
    "passed",
    "x" * 300,
    "1e999999999",
    "ValueError",
    "os",
    "system",
    "sNaN",
    "0x4",
]
_TAGS = [*"ltsdCODqbBcrxfYMHTnaikp", "fs", "s+", "ao", "dt", "pk", "h", "cb", "co", "fn", "ex", "er", "zz", ""]
_COLUMN = ["numpy", {"a": ["<i8", [1], "0400000000000000", False]}]
_ROWS = ["range", 0, 1, 1, None]
_TABLES: list[Any] = [
    {"p": ["Series", _COLUMN, _ROWS, None]},
    {"p": ["DataFrame", [_COLUMN], _ROWS, _ROWS]},
    {"p": ["array", ["texts", "python", True, ["a"]]]},
    {"p": ["Timestamp", ["times", "datetime64[ns, UTC]", {"a": ["<i8", [1], "0400000000000000", False]}]]},
    {"p": ["Index", ["multi", [_ROWS], [_COLUMN[1]], [None]]]},
    {"ao": [[1], [4]]},
    {"s+": [32, [12, 13, 14, 15, 16]]},
]
_TYPES = [
    "ValueError",
    "SystemExit",
    "KeyboardInterrupt",
    "StopIteration",
    "ImportError",
    "AssertionError",
    "ExceptionGroup",
    "OSError",
    "print",
]


class Random(random.Random):
    """Random plain values, random JSON, and mutations of both."""

    def number(self) -> int:
        return self.choice([0, 1, -1, 2, 4, 255, 2**31, 2**63, -(2**63) - 1, 10**40, self.randint(-(10**9), 10**9), 7**2000])

    def real(self) -> float:
        return self.choice([0.0, -0.0, 1.5, math.inf, -math.inf, math.nan, 1e308, 5e-324, self.random()])

    def plain(self, depth: int = 4) -> Any:
        """A value that must cross unchanged."""
        if depth == 0 or self.random() < 0.3:
            return self.choice(
                [None, True, False, self.number(), self.real(), self.choice(_TEXTS), b"\x00\xff", complex(1, -0.0), ...]
            )
        size = self.randint(0, 4)
        inner = [self.plain(depth - 1) for _ in range(size)]
        keys = [self.hashable(depth - 1) for _ in range(size)]
        return self.choice([*self.containers(inner, keys), *self.odd()])

    def containers(self, inner: list[Any], keys: list[Any]) -> list[Any]:
        pairs = dict(zip(keys, inner, strict=True))
        ordered = OrderedDict(pairs)
        if pairs:
            ordered.move_to_end(keys[0])
        return [
            inner,
            inner,
            tuple(inner),
            pairs,
            set(keys),
            frozenset(keys),
            OrderedDict(pairs),
            deque(inner, 9),
            Counter(["a", "a", "b"]),
        ]

    def odd(self) -> list[Any]:
        return [
            *(bytearray(b"x\x00"), range(self.randint(-9, 9), self.number(), 3), Decimal("1.10"), Decimal("-Infinity")),
            *(Path("a/b"), Fraction(self.number(), 7), datetime.date(2020, 2, 29), datetime.timedelta(days=-1, microseconds=5)),
            *(datetime.datetime(2020, 1, 2, 3, 4, 5, 6), datetime.time(1, 2, 3)),
        ]

    def hashable(self, depth: int) -> Any:
        if depth <= 0 or self.random() < 0.7:
            return self.choice([None, True, self.number(), self.choice(_TEXTS), 1.5, b"k"])
        return tuple(self.hashable(depth - 1) for _ in range(self.randint(0, 3)))

    def json(self, depth: int = 4) -> Any:
        """JSON-able data that looks like messages."""
        pick = self.random()
        if depth == 0 or pick < 0.3:
            return self.choice(
                [None, True, False, self.randint(-3, 9), self.number() % 2**70, self.real(), self.choice(_TEXTS), [], {}]
            )
        if pick < 0.55:
            return [self.json(depth - 1) for _ in range(self.randint(0, 4))]
        if pick < 0.9:
            return {self.choice(_TAGS): self.json(depth - 1)}
        if pick < 0.95:
            return {
                "type": self.choice(_TYPES),
                "args": self.json(depth - 1),
                "name": self.choice(_TEXTS),
                "id": self.randint(-1, 3),
            }
        return {self.choice(_TEXTS): self.json(depth - 1) for _ in range(2)}

    def mutated(self, data: Any) -> Any:
        """The data with one place in it changed."""
        if isinstance(data, list) and data and self.random() < 0.8:
            at = self.randrange(len(data))
            kind = self.random()
            if kind < 0.1:
                return data[:at] + data[at + 1 :]
            if kind < 0.2:
                return [*data, data[at]]
            return [*data[:at], self.mutated(data[at]), *data[at + 1 :]]
        if isinstance(data, dict) and data and self.random() < 0.8:
            key = self.choice(list(data))
            if self.random() < 0.2:
                return {**data, self.choice(_TAGS): self.json(2)}
            return {**data, key: self.mutated(data[key])}
        return self.json(3)


# --------------------------------------------------------------------------------------------------------------- the laws


@dataclass
class Report:
    """Breaches by kind, each with its first example; and how often each law was tried."""

    breaches: dict[str, str] = field(default_factory=dict)
    tried: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)

    def breach(self, kind: str, example: object) -> None:
        if kind not in self.breaches:
            self.breaches[kind] = str(example)[:2000]
            sys.stdout.write(f"BREACH {kind}\n    {str(example)[:2000]}\n")
            sys.stdout.flush()


def same(left: Any, right: Any) -> bool:
    """Equal with the same types all the way down; NaN is itself, and zeros have signs."""
    if type(left) is not type(right):
        return False
    if isinstance(left, float):
        return (math.isnan(left) and math.isnan(right)) or (left == right and math.copysign(1, left) == math.copysign(1, right))
    if isinstance(left, list | tuple | deque):
        return (
            len(left) == len(right)
            and all(map(same, left, right))
            and getattr(left, "maxlen", 0) == getattr(right, "maxlen", 0)
        )
    if isinstance(left, dict):
        return same(list(left), list(right)) and same(list(left.values()), list(right.values()))
    return bool(left == right)


def round_trip(chance: Random, report: Report) -> None:
    """A plain value crosses unchanged."""
    value = chance.plain()
    try:
        data = json.loads(json.dumps(Encoder(no_reference).encode(value)))
        if not same(decode(data, no_resolve), value):
            report.breach("a value changed", f"{value!r} -> {decode(data, no_resolve)!r}")
        twice = json.loads(json.dumps(Encoder(no_reference).encode([value, (value,)])))
        one, (other,) = decode(twice, no_resolve)
        if type(value) in (list, dict, set, OrderedDict, Counter, deque, bytearray) and one is not other:
            report.breach("one object became two", repr(value))
    except Exception as error:  # noqa: BLE001 - any other exception is a breach
        report.breach(f"a value does not cross: {type(error).__name__}", f"{value!r}: {error}")


def no_reference(value: Any) -> Any:
    raise Unsendable(f"a {type(value).__name__}")


def no_resolve(tag: str, content: Any) -> Any:
    raise ValueError(f"tag {tag}")


def decoding(chance: Random, report: Report) -> None:
    """Random data decodes to a value or to Unreadable, soon."""
    data = chance.json(6)
    started = time.monotonic()
    try:
        decode(data, lambda tag, content: object())
    except Unreadable:
        pass
    except Exception as error:  # noqa: BLE001 - any other exception is a breach
        report.breach(f"decode raises {type(error).__name__}", f"{json.dumps(data)}: {error}")
    if time.monotonic() - started > 2:
        report.breach("decode is slow", json.dumps(data))


def testing(chance: Random, report: Report) -> None:
    """Run a tester against a solver that sends anything."""
    style, tests = chance.choice(SUITES)
    ours, theirs = socket.socketpair()
    reader, writer = os.pipe()
    with ours, tempfile.TemporaryFile() as trouble:
        pid = os.fork()
        if pid == 0:
            be_tester(theirs, writer, trouble.fileno(), style, tests, [ours.detach(), reader])
        theirs.close()
        os.close(writer)
        said = Solver(ours, chance).talk(report)
        with suppress(OSError):
            ours.shutdown(socket.SHUT_RDWR)
        verdict = read_verdict(reader)
        status = ended(pid)
        trouble.seek(0)
        judge(report, style, tests, said, verdict, status, trouble.read().decode(errors="replace"))


def be_tester(theirs: socket.socket, verdict: int, trouble: int, style: str, tests: str, others: list[int]) -> None:
    """Run the tester in the fork, with limits like its own, and keep its traceback."""
    try:
        for descriptor in others:
            os.close(descriptor)
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 1)
        os.dup2(trouble, 2)
        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
        resource.setrlimit(resource.RLIMIT_CPU, (6, 6))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        with tempfile.TemporaryFile() as suite:
            suite.write(json.dumps({"tests": tests, "style": style, "entry_point": "f"}).encode())
            suite.flush()
            tester.test(theirs.detach(), suite.fileno(), verdict)
        os._exit(0)
    except BaseException:  # noqa: BLE001 - this is what we look for
        os.write(2, traceback.format_exc()[-1500:].encode(errors="replace"))
    finally:
        os._exit(70)


class Solver:
    """The other end: sends valid answers, changed ones, what it received, and noise."""

    def __init__(self, channel: socket.socket, chance: Random) -> None:
        self.channel = channel
        self.chance = chance
        self.heard: list[Any] = []
        self.said: list[str] = []
        self.wild = chance.choice([0.0, 0.0, 0.02, 0.1, 0.3, 1.0])

    def talk(self, report: Report) -> list[str]:
        """Send something at once, then something for each message, until the tester is done or enough was sent."""
        try:
            self.say(["ready", None])
            for _ in range(HEARD_AT_MOST):
                request = self.hear()
                if request is None:
                    break
                self.heard.append(request)
                self.say(self.answer(request))
        except OSError:
            pass
        report.tried["messages"] += len(self.said)
        return self.said

    def hear(self) -> Any:
        """Return the next request; None if none comes for a while."""
        data = b""
        wanted = 4
        while len(data) < wanted:
            if not select.select([self.channel], [], [], 0.5)[0]:
                return None
            part = self.channel.recv(wanted - len(data))
            if not part:
                return None
            data += part
            if len(data) == 4 and wanted == 4:
                wanted += struct.unpack("!I", data)[0]
        return json.loads(data[4:])

    def answer(self, request: Any) -> Any:
        chance = self.chance
        if request[0] == "names":
            kinds: list[Any] = [
                ["object", 0, False],
                ["object", 1, True],
                ["value", chance.json(3)],
                ["exception", {"type": "ValueError"}],
            ]
            kinds += [["module", "math"], ["module", "socket"], chance.json(3)]
            weights = [12, 3, 1, 1, 1, 1, 1]
            return ["ok", {name: chance.choices(kinds, weights)[0] for name in request[1]}, None, ""]
        value = chance.choice([self.value, self.value, self.echo, self.reference])()
        changed = chance.choice([None, None, None, [[chance.json(2)], {}], chance.json(3)])
        answers: list[Any] = [
            ["ok", value, changed, ""],
            ["raised", {"type": chance.choice(_TYPES), "args": chance.json(2), "at": chance.choice(_TEXTS)}, ""],
            ["back", chance.randint(-1, 2), [value], {}],
            ["unsendable", "too large", ""],
        ]
        return chance.choices(answers, [12, 2, 3, 1])[0]

    def value(self) -> Any:
        with suppress(Exception):
            return Encoder(no_reference).encode(self.chance.plain())
        return 0

    def reference(self) -> Any:
        """Return what is not a plain value: objects, callbacks, coroutines, builtin types, exceptions, their classes, an
        array."""
        chance = self.chance
        error = {"type": chance.choice(_TYPES), "args": [chance.choice(_TEXTS)], "at": ""}
        own = {"type": "ValueError", "name": chance.choice(_TEXTS), "id": chance.randint(0, 3)}
        array = ["<i4", [1], "04000000", True]
        kind = chance.choice(
            [
                {"h": chance.randint(0, 5)},
                {"cb": chance.randint(0, 2)},
                {"co": 1},
                {"er": error},
                {"ex": own},
                {"a": array},
                *_TABLES,
            ]
        )
        return chance.choice(
            [kind, [kind], {"h": chance.randint(0, 5)}, {"fn": ["builtins", chance.choice(["int", "object", "eval", "type"])]}]
        )

    def echo(self) -> Any:
        """Return something that the tester sent. It must never send what the tests expect."""
        request = self.chance.choice(self.heard) if self.heard else 0
        while isinstance(request, list) and request and self.chance.random() < 0.8:
            request = self.chance.choice(request)
        return request

    def say(self, message: Any) -> None:
        chance = self.chance
        if chance.random() < self.wild:
            message = chance.mutated(message) if chance.random() < 0.7 else chance.json(5)
        data = json.dumps(message).encode()
        if chance.random() < self.wild / 6:
            data = self.noise(data)
        length = (
            len(data) if chance.random() > self.wild / 20 else chance.choice([0, 1, 2**32 - 1, len(data) + 5, len(data) // 2])
        )
        self.said.append(data[:400].decode(errors="replace"))
        self.channel.settimeout(2)
        self.channel.sendall(struct.pack("!I", length) + data)

    def noise(self, data: bytes) -> bytes:
        chance = self.chance
        odd = bytearray(data)
        for _ in range(chance.randint(1, 4)):
            odd[chance.randrange(len(odd))] = chance.randrange(256)
        deep = chance.choice([50, 900, 5000, 200_000])
        return chance.choice(
            [bytes(odd), b"[" * deep, b"[" * deep + b"]" * deep, b'{"t":[' * deep + b"]}" * deep, data[: len(data) // 2], b""]
        )


def read_verdict(reader: int) -> dict[str, Any] | None:
    """Return the last line that the tester wrote; None if it is not a verdict or did not come in time."""
    data = b""
    until = time.monotonic() + DONE_S
    with os.fdopen(reader, "rb", 0) as lines:
        while select.select([lines], [], [], max(0.0, until - time.monotonic()))[0]:
            part = lines.read(65536)
            if not part:
                break
            data += part
    with suppress(ValueError, IndexError):
        told = json.loads(data.splitlines()[-1])
        return told if isinstance(told, dict) and "outcome" in told else None
    return None


def ended(pid: int) -> int | None:
    """Return the exit status; None if the process had to be killed."""
    for _ in range(200):
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return None


def judge(
    report: Report, style: str, tests: str, said: list[str], verdict: dict[str, Any] | None, status: int | None, trouble: str
) -> None:
    example = f"{style} {tests!r}: {said[-6:]} -> {verdict} status {status} {trouble[-1200:]}"
    last = trouble.strip().splitlines()[-1][:60] if trouble.strip() else ""
    report.outcomes[str(verdict and verdict["outcome"])] += 1
    if status is None:
        report.breach(f"a tester hangs: {tests[:40]!r}", example)
    elif verdict is None:
        report.breach(f"a tester ends without a verdict: status {status} {last}", example)
    elif verdict["outcome"] == "passed":
        report.breach(f"a pass: {tests[:60]!r}", example)
    elif verdict["outcome"] == "unverifiable":
        report.breach(f"cannot judge: {verdict['detail'][:50]}", example)
    else:
        check_detail(report, verdict, example)


def check_detail(report: Report, verdict: dict[str, Any], example: str) -> None:
    """Check that a detail can be stored and is short."""
    detail = verdict["detail"]
    if not isinstance(detail, str) or len(detail) > 4000:
        report.breach("a long detail", example)


LAWS: list[tuple[str, Callable[[Random, Report], None], int]] = [
    ("round trip", round_trip, 20),
    ("decode", decoding, 20),
    ("tester", testing, 4),
]


def main(seconds: float, seed: int) -> int:
    """Try the laws in turn for `seconds`."""
    report = Report()
    until = time.monotonic() + seconds
    number = 0
    while time.monotonic() < until:
        number += 1
        chance = Random(f"{seed}-{number}")
        for name, law, times in LAWS:
            for _ in range(times):
                law(chance, report)
            report.tried[name] += times
    summary = {
        "seconds": seconds,
        "seed": seed,
        **report.tried,
        "outcomes": dict(report.outcomes),
        "breaches": list(report.breaches),
    }
    sys.stdout.write(json.dumps(summary, indent=1) + "\n")
    return 1 if report.breaches else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("seconds", type=float, nargs="?", default=60)
    parser.add_argument("seed", type=int, nargs="?", default=0)
    asked = parser.parse_args()
    sys.exit(main(asked.seconds, asked.seed))
