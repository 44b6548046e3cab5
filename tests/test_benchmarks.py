"""The benchmarks start with the code as it stands; what they measure is in benchmarks/README.md."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.folders import ROOT

FILES = sorted((ROOT / "benchmarks").glob("*.py"))
COMMANDS = [path for path in FILES if '__name__ == "__main__"' in path.read_text() and "argparse" in path.read_text()]


def name_of(path: Path) -> str:
    return path.name


@pytest.mark.parametrize("path", COMMANDS, ids=name_of)
def test_a_benchmark_says_what_it_takes(path):
    done = subprocess.run([sys.executable, path, "--help"], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and done.stdout.startswith("usage:"), done.stderr


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
