"""Run the commands, in this process or as a user does, and write the files that they read."""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
import yaml

from datakit.cli import main
from datakit.store import Run
from datakit.tables import as_json
from tests.helpers.fake_endpoint import Fake
from tests.helpers.waiting import wait_for

DATAKIT = [sys.executable, "-m", "datakit"]
SETTINGS = {"COLUMNS": "200", "DATAKIT_REPORT": "0"}  # a build draws no plots, which take seconds


def datakit(*args: object, cwd: Path | None = None, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """The command in this process: returncode, stdout, stderr. What is not caught is raised here."""
    argv, status = [str(arg) for arg in args], 0
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", errors) for errors in ("strict", "backslashreplace"))
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", ["datakit", *argv])
        patch.delenv("PYTEST_CURRENT_TEST", raising=False)  # else each test would have checkers of its own, for its environment
        for name, value in {**SETTINGS, **(env or {})}.items():
            patch.setenv(name, value)
        if cwd:
            patch.chdir(cwd)
        try:
            main(argv)
        except SystemExit as end:
            assert isinstance(end.code, int)
            status = end.code
    return subprocess.CompletedProcess(argv, status, _text(out), _text(err))


def _text(stream: io.TextIOWrapper) -> str:
    stream.seek(0)
    return stream.read()


def datakit_process(
    *args: object, cwd: Path | None = None, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """The command as a user starts it, for what a process of its own shows: imports, environment, status, clean stdout."""
    return subprocess.run(
        [*DATAKIT, *map(str, args)],
        cwd=cwd,
        env={**os.environ, **SETTINGS, **(env or {})},
        capture_output=True,
        text=True,
        timeout=240,
    )


def start(*args: object) -> subprocess.Popen[str]:
    """The command while it runs; what it says is on `stderr`."""
    return subprocess.Popen([*DATAKIT, *map(str, args)], stderr=subprocess.PIPE, text=True, env={**os.environ, **SETTINGS})


def wait_for_requests(fake: Fake, n: int) -> None:
    """Until the endpoint was asked so often."""
    wait_for(lambda: fake.n_requests >= n)


def closed_url() -> str:
    """Where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/v1"


def rows_of(run: Path, query: str) -> list[dict[str, Any]]:
    """What `datakit sql --format json` says, without the command."""
    with Run.open(run) as opened:
        answer: list[dict[str, Any]] = json.loads(as_json(opened.query(query).to_dicts()))
        return answer


def count(run: Path, table: str) -> int:
    """Rows of a table."""
    return int(rows_of(run, f"SELECT count(*) AS n FROM {table}")[0]["n"])


def write_problems(path: Path, n: int, first: int = 0) -> Path:
    """n addition problems with their gold answers."""
    lines = [
        json.dumps({"id": f"add/{at}", "question": f"What is {at} + {3 * at}?", "gold": str(4 * at)})
        for at in range(first, first + n)
    ]
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path


def recipe_over(url: str, prompts: Path, **changes: Any) -> dict[str, Any]:
    """A math recipe with one endpoint, no judge and one checker; `changes` are for its source."""
    source = {
        "type": "endpoint",
        "model": "fake/one",
        "base_urls": [url],
        "n": 5,
        "sampling": {"temperature": 0.8, "max_tokens": 64},
        **changes,
    }
    return {
        "domain": "math",
        "prompts": [
            {
                "type": "file",
                "path": str(prompts),
                "columns": {"prompt_id": "id", "prompt": "question", "reference": "gold"},
            }
        ],
        "sources": [source],
        "verify": {"workers": 1},
    }


def write_recipe(path: Path, recipe: dict[str, Any]) -> Path:
    """The recipe as YAML."""
    path.write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")
    return path
