"""Shared by the benchmarks of sampling: the fake endpoint as a process, its prompts, datakit's recipe, measuring a process."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml

ROOT = Path(__file__).parents[1]
MODEL = "fake/one"
LOOK_EVERY_S = 0.1


@dataclass(frozen=True)
class Measured:
    """The measurements of one process from its start to its end."""

    seconds: float
    asking_s: float
    """Seconds from the endpoint's first answer to the end."""
    peak_mb: float
    """Peak memory seen for its process tree (resident; shared pages count in each process)."""
    cpu_s: float


def write_prompts(path: Path, n: int) -> Path:
    """Write n addition problems, which the fake endpoint can answer."""
    with path.open("w", encoding="utf-8") as file:
        for at in range(n):
            row = {"id": f"add/{at}", "question": f"What is {at} + {3 * at}?", "gold": str(4 * at)}
            file.write(json.dumps(row) + "\n")
    return path


def write_recipe(path: Path, url: str, prompts: Path, n: int, in_flight: int, key_env: str | None = None) -> Path:
    """Write a recipe with one endpoint and the same settings as the other contestants (sampling_contestants.SAMPLING)."""
    columns = {"prompt_id": "id", "prompt": "question", "reference": "gold"}
    source = {
        "type": "endpoint",
        "model": MODEL,
        "base_urls": [url],
        "api_key_env": key_env,
        "n": n,
        "request": "n",
        "sampling": {"temperature": 0.8, "max_tokens": 256},
        "max_in_flight": in_flight,
    }
    recipe = {"domain": "math", "prompts": [{"type": "file", "path": str(prompts), "columns": columns}], "sources": [source]}
    path.write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")
    return path


@contextmanager
def endpoint(*options: str) -> Iterator[str]:
    """Run the tests' fake endpoint in a separate process; yield its URL."""
    command = [sys.executable, ROOT / "tests" / "helpers" / "fake_endpoint.py", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            assert server.stdout is not None
            yield server.stdout.readline().strip()
        finally:
            server.kill()


def counts(url: str) -> dict[str, Any]:
    """Return the fake endpoint's counts of requests so far."""
    with urllib.request.urlopen(url.removesuffix("/v1") + "/counts", timeout=30) as answer:
        said: dict[str, Any] = json.load(answer)
    return said


def measure(command: list[str | Path], url: str, log: Path, timeout_s: float = 3600.0) -> Measured:
    """Run the command to its end. Raise RuntimeError, with the end of its log, if it fails or takes too long."""
    cpu_before = cpu_of_children()
    began_at = time.monotonic()
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=environment())
    asked_at, peak = None, 0
    while process.poll() is None and time.monotonic() - began_at < timeout_s:
        if asked_at is None and counts(url)["answered"]:
            asked_at = time.monotonic()
        peak = max(peak, resident(process.pid))
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(LOOK_EVERY_S)
    ended_at = time.monotonic()
    if process.returncode != 0:
        process.kill()
        process.wait()
        raise RuntimeError(f"exit status {process.returncode}: {' '.join(map(str, command))}\n{log.read_text()[-2000:]}")
    return Measured(ended_at - began_at, ended_at - (asked_at or began_at), peak / 1e6, cpu_of_children() - cpu_before)


def environment() -> dict[str, str]:
    """Return this environment, with this checkout's datakit first."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "120"}


def cpu_of_children() -> float:
    """Return the processor seconds of the child processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def resident(pid: int) -> int:
    """Return the resident bytes of the process and its descendants."""
    held = 0
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        for one in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                held += one.memory_info().rss
    return held
