"""Check programs with ruff before they run: undefined names and the like, for a whole batch in one process.

compile() checks the syntax, in the sandbox: for a program with syntax errors ruff reports nothing here.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

TIMEOUT_S = 20.0
RULES = "E9,F63,F7,F82"
_HARMLESS = frozenset({"F722", "F632"})  # an annotation that is any text; `is` with a literal: neither stops a program
_STRING = re.compile(r"""([A-Za-z]{0,2})("(?:\\.|[^"\\])*"?|'(?:\\.|[^'\\])*'?)|#.*""")


class _Finding(NamedTuple):
    row: int
    column: int
    code: str
    message: str


def analyse(programs: Sequence[str]) -> list[str | None]:
    """Return for each program None, or its first finding: "F821 undefined name 'reduce' (line 3)".

    A program on which ruff crashes or takes longer than TIMEOUT_S, or that cannot be written as UTF-8, gets None; it does not
    affect other programs of the batch.
    """
    written = {}
    for number, text in enumerate(programs):
        with suppress(UnicodeEncodeError):
            if "\0" not in text:
                written[number] = text.encode()
    found = _analysed(written) if written else {}
    return [found.get(number) for number in range(len(programs))]


def _analysed(programs: dict[int, bytes]) -> dict[int, str]:
    """Return the findings by number. A batch on which ruff crashes is halved until the culprit is alone."""
    with tempfile.TemporaryDirectory(prefix="datakit-ruff-") as folder:
        for number, text in programs.items():
            Path(folder, f"{number}.py").write_bytes(text)
        rows = _ruff(folder)
    if rows is not None:
        return dict(_first_findings(rows, programs))
    if len(programs) == 1:
        return {}
    numbers = list(programs)
    halves = numbers[: len(numbers) // 2], numbers[len(numbers) // 2 :]
    return {
        number: finding
        for half in halves
        for number, finding in _analysed({number: programs[number] for number in half}).items()
    }


def _ruff(folder: str) -> list[dict[str, Any]] | None:
    """Return ruff's own rows for the files of a folder; None if it crashed or ran out of time."""
    from ruff import find_ruff_bin

    version = f"py{sys.version_info.major}{sys.version_info.minor}"
    options = ["--isolated", "--no-cache", "--ignore-noqa", "--no-respect-gitignore", "--quiet", "--select", RULES]
    command = [find_ruff_bin(), "check", *options, "--target-version", version, "--output-format", "json", "."]
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env={"RAYON_NUM_THREADS": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return None
    if done.returncode not in (0, 1):
        return None
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    return rows


def _first_findings(rows: Sequence[dict[str, Any]], programs: dict[int, bytes]) -> Iterator[tuple[int, str]]:
    """Yield the topmost finding of each program that has any; programs with syntax errors are left out."""
    found: dict[int, list[_Finding]] = {}
    for row in rows:
        where = row["location"]
        finding = _Finding(where["row"], where["column"], row["code"] or "invalid-syntax", row["message"])
        found.setdefault(int(Path(row["filename"]).stem), []).append(finding)
    for number, findings in found.items():
        if any(finding.code in ("invalid-syntax", "E902") for finding in findings):
            continue
        lines = re.split(r"\r\n|\r|\n", programs[number].decode())
        for line, column, code, said in sorted(findings):
            strings = _STRING.finditer(lines[line - 1]) if code == "F821" else iter(())
            around = [match for match in strings if match.start() < column <= match.end() and match[2]]
            quoted = any("f" not in match[1].lower() for match in around)  # an annotation that nobody evaluates
            if code not in _HARMLESS and not quoted:
                message = said[:1].lower() + said[1:].replace("`", "'")
                yield number, f"{code} {message} (line {line})"
                break
