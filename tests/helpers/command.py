"""Run the real commands as a user does, and write the files that they read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from helpers.fake_endpoint import Fake

DATAKIT = [sys.executable, "-m", "datakit"]


def datakit(*args: object, cwd: Path | None = None, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """The finished command: returncode, stdout, stderr."""
    return subprocess.run(
        [*DATAKIT, *map(str, args)],
        cwd=cwd,
        env={**os.environ, "COLUMNS": "200", **(env or {})},
        capture_output=True,
        text=True,
        timeout=240,
    )


def start(*args: object) -> subprocess.Popen[str]:
    """The command while it runs; what it says is on `stderr`."""
    env = {**os.environ, "COLUMNS": "200"}
    return subprocess.Popen([*DATAKIT, *map(str, args)], stderr=subprocess.PIPE, text=True, env=env)


def wait_for_requests(fake: Fake, n: int) -> None:
    """Until the endpoint was asked so often."""
    until = time.monotonic() + 60
    while fake.n_requests < n and time.monotonic() < until:
        time.sleep(0.005)
    assert fake.n_requests >= n


def rows_of(run: Path, query: str) -> list[dict[str, Any]]:
    """What `datakit sql` says."""
    done = datakit("sql", run, query, "--format", "json")
    assert done.returncode == 0, done.stderr
    answer: list[dict[str, Any]] = json.loads(done.stdout)
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
    """A math recipe with one endpoint and no judge; `changes` are for its source."""
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
    }


def write_recipe(path: Path, recipe: dict[str, Any]) -> Path:
    """The recipe as YAML."""
    path.write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")
    return path
