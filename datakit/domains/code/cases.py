"""Tests as data: inputs and expected outputs of scripts and of functions, as LiveCodeBench, APPS and TACO write them."""

from __future__ import annotations

import base64
import functools
import io
import json
import pickle
import re
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple, NoReturn

_LISTS_OF_CASES = {"public_test_cases", "private_test_cases"}
_MOST = 1 << 29  # maximum bytes of packed tests: ten times LiveCodeBench's largest
_METHOD = re.compile(r"^[ \t]*(?:async[ \t]+)?def[ \t]+(?!__)(\w+)[ \t]*\(", re.MULTILINE)
_LISTS = "def lists(value):\n    return [lists(item) for item in value] if isinstance(value, (list, tuple)) else value"
"""JSON has no tuples: if it has a list, a program may answer with either."""


class Runnable(NamedTuple):
    """Tests in the form that the sandbox runs."""

    tests: str
    style: str
    entry_point: str | None


class CannotRun(Exception):
    """Raised for tests that cannot be run here; the message says why."""


@functools.lru_cache(maxsize=2)  # callers read a prompt's tests several times, and change nothing
def load(tests: str) -> Any:
    """Return the list or mapping in tests, also packed as LiveCodeBench's private ones are; None if they are neither."""
    try:
        found = json.loads(tests)
    except (ValueError, RecursionError):
        found = _unpacked(tests)
    return found if isinstance(found, list | dict) else None


def styles(data: Any) -> tuple[set[str], str]:
    """Return the formats whose documented keys the data has, and the keys found, as text."""
    items = data if isinstance(data, list) else [data]
    keys = sorted({str(key) for item in items if isinstance(item, dict) for key in item})
    seen = f"keys {', '.join(keys)}" if keys else ""
    kinds = {str(item["testtype"]) for item in items if isinstance(item, dict) and "testtype" in item}
    found = set[str]()
    if len(kinds) > 1:
        return {f"livecodebench, {kind}" for kind in kinds}, ", ".join(f"testtype {kind}" for kind in sorted(kinds))
    for item in items:
        has = item.keys() if isinstance(item, dict) else set()
        shown = {"livecodebench"} if _LISTS_OF_CASES & has else set[str]()
        if {"input", "output"} <= has:
            shown.add("livecodebench" if "testtype" in has else "stdin")
        if {"inputs", "outputs"} <= has:
            shown.add("apps" if item.get("fn_name") or item.get("starter_code") else "stdin, several inputs")
        if not shown:
            return set(), seen  # one invalid item makes all invalid
        found |= shown
    return {"stdin"} if found == {"stdin, several inputs"} else found, seen


def entry_of(tests: str, entry_point: str | None) -> str | None:
    """Return the function that the cases call: from the column, which may be LiveCodeBench's metadata, or from the tests."""
    given = _func_name(entry_point) if entry_point and entry_point.lstrip().startswith("{") else entry_point
    data = load(tests) if given is None else None
    for item in data if isinstance(data, list) else [data]:
        if given is None and isinstance(item, dict):
            given = item.get("fn_name") or _func_name(item.get("metadata"))
            methods = _METHOD.findall(str(item.get("starter_code") or ""))
            given = given or (methods[-1] if methods else None)
    return given


def livecodebench(tests: str, entry_point: str | None) -> Runnable:
    """Convert cases of input, output and testtype; functional ones have one argument per line of the input, as JSON."""
    cases = list(_cases(load(tests)))
    kinds = {str(case.get("testtype")) for case in cases}
    if kinds == {"stdin"}:
        return Runnable(json.dumps([{key: case[key] for key in ("input", "output")} for case in cases]), "stdin", None)
    if kinds != {"functional"}:
        got = ", ".join(sorted(kinds)) or "no case"
        raise CannotRun(f"testtype must be stdin or functional, one for all cases (got {got})")
    pairs = [(_lines(case["input"]), [_value(case["output"])]) for case in cases]
    return _functional(pairs, entry_of(tests, entry_point))


def apps(tests: str, entry_point: str | None) -> Runnable:
    """Convert inputs and outputs of a function; an output may be wrapped in a list of one."""
    data = load(tests)
    if not isinstance(data, dict) or not isinstance(data.get("inputs"), list) or not isinstance(data.get("outputs"), list):
        raise CannotRun("the tests are no mapping of inputs and outputs")
    if len(data["inputs"]) != len(data["outputs"]) or not data["inputs"]:
        raise CannotRun(f"there are {len(data['inputs'])} inputs and {len(data['outputs'])} outputs")
    name = entry_of(tests, entry_point)
    if name is None and not data.get("starter_code"):
        return Runnable(tests, "stdin", None)
    pairs = []
    for given, wanted in zip(data["inputs"], data["outputs"], strict=True):
        if isinstance(given, str):  # one argument per line, as in LiveCodeBench
            pairs.append((_lines(given), [_value(wanted) if isinstance(wanted, str) else wanted]))
        else:
            boxed = wanted if isinstance(wanted, list) and len(wanted) == 1 else []
            pairs.append((given if isinstance(given, list) else [given], [wanted, *boxed]))
    return _functional(pairs, name)


def _functional(cases: list[tuple[list[Any], list[Any]]], name: str | None) -> Runnable:
    """Return calls with their possible results, of a function or of a method of Solution, whichever the program has."""
    if name is None:
        raise CannotRun("no func_name, fn_name or entry_point says which function the tests call")
    lines = [_LISTS]
    for arguments, wanted in cases:
        call = f"lists(candidate({', '.join(repr(_with_numbers(argument)) for argument in arguments)}))"
        either = [_with_numbers(value) for value in wanted]
        lines.append(f"assert {call} == {either[0]!r}" if len(either) == 1 else f"assert {call} in {either!r}")
    if any(word in line for line in lines for word in ("nan", "inf")):
        lines.insert(0, "nan, inf = float('nan'), float('inf')")
    return Runnable("\n".join(lines), "solution_method", name)


def _with_numbers(value: Any) -> Any:
    """Turn a mapping's keys back into whole numbers, which JSON wrote as text, as APPS's own harness does."""
    if isinstance(value, dict) and value and all(re.fullmatch(r"-?\d{1,18}", key) for key in value):
        return {int(key): item for key, item in value.items()}
    return value


def _cases(data: Any) -> Iterator[dict[str, Any]]:
    """Yield the cases of a list, or of public and private lists, each as data or as text."""
    if isinstance(data, dict) and _LISTS_OF_CASES & data.keys():
        for key in sorted(_LISTS_OF_CASES, reverse=True):  # the public ones first
            found = data.get(key) or []
            cases = load(found) if isinstance(found, str) else found
            if cases is None:
                raise CannotRun(f"{key} cannot be read: it is neither JSON nor packed as LiveCodeBench packs it")
            yield from _cases(cases)
        return
    for case in data if isinstance(data, list) else [data]:
        if not isinstance(case, dict) or not (isinstance(case.get("input"), str) and isinstance(case.get("output"), str)):
            raise CannotRun(f"a case must have input and output as text (got {case!r:.80})")
        yield case


def _lines(text: str) -> list[Any]:
    return [_value(line) for line in text.split("\n") if line.strip()]


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise CannotRun(f"a functional case must have its arguments and its result as JSON (got {text!r:.80})") from None


def _func_name(metadata: Any) -> str | None:
    """Return the function's name from LiveCodeBench's metadata, which may be text."""
    found = metadata
    if isinstance(metadata, str):
        try:
            found = json.loads(metadata)
        except (ValueError, RecursionError):
            return None
    name = found.get("func_name") if isinstance(found, dict) else None
    return name if isinstance(name, str) and name else None


class _TextOnly(pickle.Unpickler):
    """An unpickler that accepts nothing but text, so that a foreign pickle cannot run code."""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


def _unpacked(tests: str) -> Any:
    """Unpack private tests of LiveCodeBench: JSON, pickled, compressed, in base64; None for anything else."""
    try:
        packed = base64.b64decode(tests.strip(), validate=True)
        text = _TextOnly(io.BytesIO(zlib.decompressobj().decompress(packed, _MOST))).load()
        return json.loads(text)
    except (ValueError, TypeError, LookupError, AttributeError, EOFError, RecursionError, MemoryError):
        return None
    except (zlib.error, pickle.UnpicklingError):
        return None
