"""The part of pytest that most tests use, as text that runs in the tests' process, where pytest need not be installed."""

_PYTEST = '''
import sys
from types import ModuleType

class raises:
    """As a block, or with a function and its arguments."""
    def __new__(cls, expected, *call, match=None, **named):
        self = object.__new__(cls)
        self.expected, self.match_, self.value = expected, match, None
        if call:
            with self:
                call[0](*call[1:], **named)
        return self
    def __init__(self, *given, **named):
        pass
    def __enter__(self):
        return self
    def __exit__(self, kind, error, trace):
        if kind is None:
            names = getattr(self.expected, "__name__", self.expected)
            raise AssertionError(f"did not raise {names}")
        if not issubclass(kind, self.expected):
            return False
        self.type, self.value = kind, error
        if self.match_ is not None:
            self.match(self.match_)
        return True
    def match(self, pattern):
        import re
        assert re.search(pattern, str(self.value)), f"{str(self.value)!r} does not match {pattern!r}"
        return True

class approx:
    def __init__(self, expected, rel=None, abs=None, nan_ok=False):
        self.expected, self.rel, self.abs, self.nan_ok = expected, rel, abs, nan_ok
    def __repr__(self):
        return f"approx({self.expected!r})"
    def _near(self, wanted, found):
        if isinstance(wanted, dict):
            alike = isinstance(found, dict) and wanted.keys() == found.keys()
            return alike and all(self._near(wanted[key], found[key]) for key in wanted)
        if isinstance(wanted, (list, tuple)):
            alike = type(found) in (list, tuple) and len(wanted) == len(found)
            return alike and all(map(self._near, wanted, found))
        if isinstance(wanted, (bool, str, bytes)) or wanted is None or wanted == found:
            return wanted == found
        try:
            if wanted != wanted:
                return self.nan_ok and found != found
            if abs(wanted) == float("inf"):
                return False
            relative = (1e-6 if self.rel is None and self.abs is None else self.rel or 0) * abs(wanted)
            return bool(abs(wanted - found) <= max(relative, 1e-12 if self.abs is None else self.abs))
        except TypeError:
            return False
    def __eq__(self, found):
        return self._near(self.expected, found)
    __hash__ = None

class param:
    def __init__(self, *values, id=None):
        self.values = values

def parametrize(names, values, ids=None):
    names = [name.strip() for name in names.split(",") if name.strip()] if isinstance(names, str) else tuple(names)
    single = isinstance(names, list) and len(names) == 1
    def around(test):
        def each(*given, **named):
            for number, value in enumerate(values):
                if "capsys" in named:
                    named["capsys"].renew()
                if "tmp_path" in named:
                    base = named["tmp_path"] if number == 0 else base
                    named["tmp_path"] = base / f"row{number}"
                    named["tmp_path"].mkdir()
                row = value.values if isinstance(value, param) else (value,) if single else value
                row = dict(zip(names, row))
                try:
                    test(*given, **named, **row)
                except AssertionError as error:
                    error.args = (f"with {row!r:.100}: {error}",)
                    raise
        return each
    return around

class _Mark:
    parametrize = staticmethod(parametrize)
    def __getattr__(self, name):
        return lambda *given, **named: given[0] if len(given) == 1 and callable(given[0]) and not named else (lambda test: test)

def fixture(function=None, **named):
    return function or (lambda given: given)

def fail(reason="", pytrace=True):
    raise AssertionError(reason)

pytest = ModuleType("pytest")
vars(pytest).update(raises=raises, approx=approx, param=param, mark=_Mark(), fixture=fixture, fail=fail, main=lambda *given: 0)
sys.modules["pytest"] = pytest
'''
_GIVEN = '''
import io, os, pathlib, sys
from collections import namedtuple

Captured = namedtuple("Captured", "out err")
made = {}

class Capsys:
    def __init__(self):
        self.renew()
    def renew(self):
        sys.stdout = self.stdout = io.StringIO()
    def readouterr(self):
        out = self.stdout.getvalue()
        self.renew()
        return Captured(out, "")

def given(name, test):
    """One for each test, whoever asks for it there."""
    if (name, test) not in made:
        if name == "tmp_path":
            made[name, test] = pathlib.Path(os.getcwd(), f"{len(made)}-{test}")
            made[name, test].mkdir()
        else:
            made[name, test] = Capsys()
    return made[name, test]
'''
GIVING = f"_given = dict(); exec({_GIVEN!r}, _given)"
FIXTURES = ("capsys", "tmp_path")
SHIM = f"_pytest = exec({_PYTEST!r}, {{}}); "  # on one line, so the tests' line numbers stay
NAMES = {"raises", "approx", "param", "mark", "fixture", "fail", "main"}
