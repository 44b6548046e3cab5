"""What a build says of a cluster that is not there, lets nobody in or cannot do the work; and of signals while it connects."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from datakit.engine.protocol import Work
from datakit.engine.ray import RayEngines
from datakit.errors import BadInput
from datakit.signals import Signals
from tests.helpers.command import DATAKIT, datakit
from tests.helpers.folders import ROOT
from tests.helpers.nodes import Driver
from tests.helpers.waiting import wait_for

pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")]


def answers(folder: Path, **sections: Any) -> Path:
    """A recipe of two answers that a program tests."""
    text = "```python\ndef f(): return 1\n```"
    rows = [{"prompt": "Write f().", "tests": "assert f() == 1", "model": model, "text": text} for model in "ab"]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = {"type": "responses", "path": "rows.jsonl", "columns": {"reference": "tests"}}
    (folder / "r.yaml").write_text(json.dumps({"domain": "code", "sources": [source], **sections}))
    return folder / "r.yaml"


@pytest.mark.parametrize(
    ("address", "of_ray", "said"),
    [
        ("127.0.0.1:9", None, "cluster.address: nothing answers at '127.0.0.1:9' ([Errno 111] Connection refused)"),
        ("auto", "127.0.0.1:9", "cluster.address: auto: RAY_ADDRESS: nothing answers at '127.0.0.1:9'"),
        ("nowhere.invalid:9", None, "nothing answers at 'nowhere.invalid:9'"),
        ("ray://127.0.0.1:9", None, "'ray://127.0.0.1:9' is neither auto nor HOST:PORT, as ray start --head says it"),
        ("here", None, "'here' is neither auto nor HOST:PORT"),
    ],
)
def test_an_address_where_nothing_is(
    driver: Driver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str, of_ray: str | None, said: str
) -> None:
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    env = {} if of_ray is None else {"RAY_ADDRESS": of_ray}
    recipe = answers(tmp_path, score=None, select={"margin": None})
    ended = datakit("build", "--recipe", recipe, "--out", tmp_path / "run", "--cluster", address, env=env)
    assert ended.returncode == 2 and ended.stderr.splitlines()[-1].startswith("error: cluster.address: "), ended.stderr
    assert said in ended.stderr and "Traceback" not in ended.stderr


def test_no_cluster_on_this_machine(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(**_: Any) -> None:
        raise ConnectionError("Could not find any running Ray instance")

    monkeypatch.setattr("ray.init", nowhere)
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    with pytest.raises(BadInput, match=r"cluster.address: no Ray cluster at 'auto': start one with ray start --head"):
        RayEngines("auto", lambda *_: None, Signals(), 20.0).engine(Work())


def test_a_gpu_that_no_node_has(driver: Driver, tmp_path: Path) -> None:
    model = str(ROOT / "data" / "micro" / "code-reward")
    recipe = answers(tmp_path, score={"type": "armorm", "model": model, "devices": ["cuda"]}, select={"margin": None})
    ended = datakit("build", "--recipe", recipe, "--out", tmp_path / "run", "--cluster", driver.address)
    said = "cannot be used: no node of the cluster can do this: no node has a GPU"
    assert ended.returncode == 2 and f"error: score.model: {model} {said}" in ended.stderr, ended.stderr


def test_sigterm_while_ray_connects_is_the_builds(driver: Driver, tmp_path: Path) -> None:
    """Ray's own handler is in force then, which would end it with the status 15."""
    recipe = answers(tmp_path, score=None, select={"margin": None})
    code = """
        import os, signal, sys, time, ray
        init = ray.init
        def ended(**options):
            init(**options)
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(60)
        ray.init = ended
        from datakit.cli import main
        main()
    """
    build = ["build", "--recipe", recipe, "--out", tmp_path / "run", "--cluster", driver.address]
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, build)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 143 and "Traceback" not in ended.stderr, ended.stderr
    assert "interrupted" in ended.stderr


@pytest.mark.long  # Ray tries for 20 seconds
def test_a_cluster_that_wants_another_token(driver: Driver, tmp_path: Path) -> None:
    """Without a token, and with another one, the sentence is the same; with the right one the build gets in."""
    right = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "right" * 8}
    head = ["--num-cpus", "0", "--include-dashboard", "false", "--object-store-memory", str(100 * 2**20), "--block"]
    recipe = answers(tmp_path, score=None, select={"margin": None})
    with free_port() as port:
        command = [str(Path(sys.executable).parent / "ray"), "start", "--head", "--port", str(port), *head]
    cluster = subprocess.Popen(command, env={**os.environ, **right}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: listens(port))
        build = [*DATAKIT, "build", "--recipe", str(recipe), "--cluster", f"127.0.0.1:{port}", "--out"]
        tries = [
            subprocess.Popen(
                [*build, str(tmp_path / f"run{at}")], env={**os.environ, **env}, stderr=subprocess.PIPE, text=True, cwd=ROOT
            )
            for at, env in enumerate(({}, {"RAY_AUTH_MODE": "token"}, {**right, "RAY_AUTH_TOKEN": "wrong" * 8}, right))
        ]
        said = [process.communicate(timeout=120)[1] for process in tries]
    finally:
        cluster.terminate()
        cluster.wait()
    assert [process.returncode for process in tries] == [2, 2, 2, 2]
    for one in said[:3]:
        assert "wants another token, or one at all: set RAY_AUTH_MODE=token" in one and "Traceback" not in one
    assert "no node of the cluster can do this: it has no node with a free processor" in said[3]


@contextmanager
def free_port() -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        yield probe.getsockname()[1]


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_signals_stay_with_the_build(driver: Driver) -> None:
    assert driver.handlers[0] == driver.handlers[1]
