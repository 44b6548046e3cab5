"""Start and stop the model servers that a recipe asks for: `transformers serve` and vLLM.

Each source has a server of its own: `transformers serve` takes several models, but its continuous batching holds one at a
time. A server's log stands in the run's logs/ folder. On Linux the server process is killed with the process that started it,
however that ends.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from datakit.engine import available_cores, environment_without_secrets
from datakit.errors import BadInput, MissingExtra, SourceStopped
from datakit.places import at_path, model_folder
from datakit.recipe import Recipe, ServeSource

STOP_S = 10.0
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # this machine is not behind its own proxy
PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Server:
    """A server that runs: where it answers, and the log that it writes."""

    base_url: str
    log: Path
    process: subprocess.Popen[bytes]

    def trouble(self) -> str | None:
        """Why it will not answer any more; None while it runs."""
        if self.process.poll() is None:
            return None
        return f"the model server ended (status {self.process.returncode}); {_log_end(self.log)}"


def requested_name(recipe: Recipe, source: ServeSource) -> str:
    """The model's name in requests: the folder, or the hub id (with its revision for transformers)."""
    folder = model_folder(recipe, source.model)
    if folder is not None:
        return str(folder)
    revision = f"@{source.revision}" if source.engine == "transformers" and source.revision else ""
    return source.model + revision


def check(recipe: Recipe, source: ServeSource, field: str) -> None:
    """What can be known before a server is started. Raises BadInput or MissingExtra."""
    folder = model_folder(recipe, source.model)
    if folder is not None and not (folder / "config.json").is_file():
        raise BadInput(f"{field}.model: {source.model}: no config.json in {folder}; give a model folder or a hub id")
    if source.python is not None:
        if not at_path(recipe, source.python).is_file():
            raise BadInput(f"{field}.python: no such interpreter: {source.python}")
        return
    needed, extra = ("transformers", "local") if source.engine == "transformers" else ("vllm", "")
    packages = (needed, "fastapi", "uvicorn", "torch") if extra else (needed,)
    for package in packages:
        if importlib.util.find_spec(package) is None:
            how = f"pip install 'fuse-datakit[{extra}]'" if extra else "pip install vllm, or name its interpreter in python:"
            raise MissingExtra(f"{field}: serving with {source.engine} needs the package '{package}': {how}")


@contextmanager
def serve(recipe: Recipe, sources: list[ServeSource], logs: Path) -> Iterator[list[Server]]:
    """Servers for the sources, in their order, all answering when the block begins and gone when it ends."""
    logs.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        servers = []
        for at, source in enumerate(sources):
            log = logs / f"serve-{at}-{Path(source.model).name}.log"
            servers.append(stack.enter_context(_running(recipe, source, log, threads=_threads(len(sources)))))
        for server, source in zip(servers, sources, strict=True):
            _wait(server, source.start_timeout_s)
        try:
            yield servers
        except SourceStopped:
            for server in servers:
                _check_alive(server)
            raise


def _threads(servers: int) -> int:
    """CPU threads for each of several servers: more threads than cores make all of them slower."""
    return max(1, available_cores() // max(servers, 1))


@contextmanager
def _running(recipe: Recipe, source: ServeSource, log: Path, threads: int) -> Iterator[Server]:
    port = _free_port()
    with log.open("wb") as file:
        process = subprocess.Popen(
            _command(recipe, source, port),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env={"OMP_NUM_THREADS": str(threads), **_environment(recipe, source)},
            start_new_session=True,
            preexec_fn=_end_with_parent if sys.platform == "linux" else None,
        )
    try:
        yield Server(f"http://127.0.0.1:{port}/v1", log, process)
    finally:
        _stop(process)


def _command(recipe: Recipe, source: ServeSource, port: int) -> list[str]:
    python = str(recipe.folder / Path(source.python).expanduser()) if source.python else sys.executable
    name = requested_name(recipe, source)
    address = ["--host", "127.0.0.1", "--port", str(port)]
    if source.engine == "transformers":
        start = "import sys; from transformers.cli.transformers import main; sys.argv[0] = 'transformers'; main()"
        return [python, "-c", start, "serve", name, *address, *source.args]
    revision = ["--revision", source.revision] if source.revision and name == source.model else []
    module = "vllm.entrypoints.openai.api_server"
    return [python, "-m", module, "--model", name, *revision, *address, *source.args]


def _environment(recipe: Recipe, source: ServeSource) -> dict[str, str]:
    """The caller's environment without its secrets; a model folder needs no hub."""
    if model_folder(recipe, source.model) is None:  # the hub may want its own token
        return environment_without_secrets() | {name: os.environ[name] for name in ("HF_TOKEN",) if name in os.environ}
    return environment_without_secrets() | {"HF_HUB_OFFLINE": "1"}


def _wait(server: Server, timeout_s: float) -> None:
    """Until the server says that it is healthy. SourceStopped with the end of its log where it ends or takes too long."""
    until = time.monotonic() + timeout_s
    while time.monotonic() < until:
        _check_alive(server)
        try:
            with _DIRECT.open(server.base_url.removesuffix("/v1") + "/health", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise SourceStopped(f"the model server did not answer within {timeout_s:.0f} s (start_timeout_s); {_log_end(server.log)}")


def _check_alive(server: Server) -> None:
    if server.process.poll() is not None:
        raise SourceStopped(f"the model server ended (status {server.process.returncode}); {_log_end(server.log)}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM to the server's whole process group, SIGKILL to what is left of it."""
    try:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_S)
    finally:  # also where the server itself is gone and a worker of it is not (it may hold the GPU), and on a second Ctrl-C
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _log_end(log: Path, lines: int = 15) -> str:
    """The end of a log, and before it what earlier lines call an error (a command line's comes before its help)."""
    said = log.read_text(encoding="utf-8", errors="replace").splitlines()
    errors = [line for line in said[:-lines] if "error" in line.lower()][-3:]
    shown = [*errors, *(["..."] if errors else []), *said[-lines:]]
    return f"its log {log} ends:\n" + "\n".join(f"  {line}" for line in shown)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _end_with_parent() -> None:
    """In the child: be killed when the process that started it ends, however it ends."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
