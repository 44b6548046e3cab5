"""How a source's server is started: its command line, its environment, and the checks before."""

from __future__ import annotations

import importlib.util
import os
import random
import socket
import subprocess
import sys
from collections.abc import Set
from contextlib import suppress

from datakit.errors import BadInput, MissingExtra
from datakit.machine import environment_without_secrets
from datakit.recipe import ServeSource

_OURS = {"--model", "--host", "--port", "--revision", "--dtype", "--tensor-parallel-size", "-tp"}
_HAS_PACKAGE = "import importlib.util, sys; sys.exit(importlib.util.find_spec(sys.argv[1]) is None)"
_TRANSFORMERS = "import sys; from transformers.cli.transformers import main; sys.argv[0] = 'transformers'; main()"
# Below the ports that Linux gives to outgoing connections, so a port stays free while its server restarts.
_PORTS = range(20_000, 32_000)


def check(source: ServeSource, field: str, hidden: Set[str] = frozenset()) -> None:
    """Check what can be known before a server is started. Raise BadInput or MissingExtra. `hidden`: see environment."""
    folder = source.location
    if folder is not None and not (folder / "config.json").is_file():
        raise BadInput(f"{field}.model: {source.model}: no config.json in {folder}; give a model folder or a hub id")
    if source.engine == "transformers" and source.tensor_parallel_size is not None:
        raise BadInput(f"{field}.tensor_parallel_size: {source.tensor_parallel_size}: only vllm has it; leave it out")
    if taken := sorted(_OURS & {arg.partition("=")[0] for arg in source.args}):
        raise BadInput(f"{field}.args: {taken[0]}: datakit sets this itself, from the field of that name if there is one")
    for name in source.pass_env:
        if name not in os.environ:
            raise BadInput(f"{field}.pass_env: the environment variable {name} is not set; export {name}=... or leave it out")
    _check_engine(source, field, hidden)


def _check_engine(source: ServeSource, field: str, hidden: Set[str]) -> None:
    """Check that the interpreter has the engine's packages."""
    if source.interpreter is not None:
        python = str(source.interpreter)
        if not source.interpreter.is_file() or not os.access(python, os.X_OK):
            raise BadInput(f"{field}.python: no such interpreter: {source.python}")
        asked = subprocess.run([python, "-c", _HAS_PACKAGE, source.engine], env=environment(source, hidden), check=False)
        if asked.returncode != 0:
            raise BadInput(
                f"{field}.python: {source.python} has no package '{source.engine}': {python} -m pip install it there"
            )
        return
    for package in ("vllm",) if source.engine == "vllm" else ("transformers", "fastapi", "uvicorn", "torch"):
        if importlib.util.find_spec(package) is None:
            vllm = (
                "pip install 'fuse-datakit[vllm]' in an environment without the extras local and train (their transformers is "
                "newer than vLLM allows), or name the interpreter of one that has it in python:"
            )
            how = vllm if source.engine == "vllm" else "pip install 'fuse-datakit[local]'"
            raise MissingExtra(f"{field}: serving with {source.engine} needs the package '{package}': {how}")


def command(source: ServeSource, port: int) -> list[str]:
    """Return the server's command line. vLLM is started as a module, the same program: `vllm serve` fails in its CPU build."""
    name = source.requested_model
    common = ["--host", "127.0.0.1", "--port", str(port), *(["--dtype", source.dtype] if source.dtype else [])]
    python = str(source.interpreter or sys.executable)
    if source.engine == "transformers":
        return [python, "-c", _TRANSFORMERS, "serve", name, *common, *source.args]
    of_hub = source.revision is not None and source.location is None
    revision = ["--revision", str(source.revision)] if of_hub else []
    tensor_parallel = ["--tensor-parallel-size", str(source.tensor_parallel_size)] if source.tensor_parallel_size else []
    module = "vllm.entrypoints.openai.api_server"
    return [python, "-m", module, "--model", name, *revision, *common, *tensor_parallel, *source.args]


def environment(source: ServeSource, hidden: Set[str], threads: int = 1) -> dict[str, str]:
    """Return the caller's environment without secrets and `hidden` names (the recipe's keys), plus what the source asks for.

    A model folder needs no hub; a hub model may need the hub's token. SPT_NOENV: vLLM renames its processes, which would
    overwrite the mark by which they are found (orphans.py).
    """
    kept = {name: value for name, value in environment_without_secrets().items() if name not in hidden}
    local = source.location is not None
    passed = {*source.pass_env, *(() if local else ("HF_TOKEN",))}
    return {
        "OMP_NUM_THREADS": str(threads),
        **kept,
        **{name: os.environ[name] for name in passed if name in os.environ},
        **({"HF_HUB_OFFLINE": "1"} if local else {}),
        "SPT_NOENV": "1",
        **source.env,
    }


def free_ports(count: int) -> list[int]:
    """Return this many different ports of this machine on which nothing listens."""
    ports: list[int] = []
    for port in random.sample(_PORTS, len(_PORTS)):
        if len(ports) == count:
            return ports
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            ports.append(port)
    raise BadInput(f"{count} model servers need as many free ports between {_PORTS.start} and {_PORTS.stop}")
