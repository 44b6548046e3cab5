"""The benchmarks start with the code as it stands; what they measure is in benchmarks/README.md."""

from __future__ import annotations

import ast
import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.folders import ROOT

FILES = sorted((ROOT / "benchmarks").glob("*.py"))
COMMANDS = [path for path in FILES if '__name__ == "__main__"' in path.read_text() and "argparse" in path.read_text()]


def name_of(path: Path) -> str:
    return path.name


ASK_ALL = """
import io, json, runpy, sys
from contextlib import redirect_stderr, redirect_stdout
said = {}
for path in sys.argv[1:]:
    before, sys.argv, out, error = sys.path[:], [path, "--help"], io.StringIO(), io.StringIO()
    status = "ended without help"
    try:
        with redirect_stdout(out), redirect_stderr(error):
            runpy.run_path(path, run_name="__main__")
    except SystemExit as end:
        status = end.code
    except Exception as failure:
        status = repr(failure)
    sys.path[:] = before
    said[path] = [status, out.getvalue(), error.getvalue()]
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def said():
    """By path what each says to --help: exit status, stdout, stderr. One process asks them all, as `python PATH` would."""
    code = f"import sys; sys.path[0] = {str(ROOT / 'benchmarks')!r}\n{ASK_ALL}"
    done = subprocess.run([sys.executable, "-c", code, *COMMANDS], cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("path", COMMANDS, ids=name_of)
def test_a_benchmark_says_what_it_takes(said, path):
    status, out, error = said[str(path)]
    assert status == 0 and out.startswith("usage:"), (status, error)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_what_a_benchmark_imports_of_datakit_is_there(path):
    """Also inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module is not None and node.module.partition(".")[0] == "datakit":
            module = importlib.import_module(node.module)
            for alias in node.names:
                if not hasattr(module, alias.name):
                    importlib.import_module(f"{node.module}.{alias.name}")


def test_the_endpoint_that_benchmarks_measure_against_starts(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    measuring = importlib.import_module("measuring")
    with measuring.endpoint() as url:
        assert measuring.counts(url)["answered"] == 0
