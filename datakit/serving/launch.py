"""How the server of a source is started: its command line, its environment, and what can be wrong with them beforehand."""

from __future__ import annotations

import importlib.util
import os
import random
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from datakit.errors import BadInput, MissingExtra
from datakit.machine import environment_without_secrets
from datakit.recipe import EndpointSource, Recipe, ServeSource
from datakit.recipe.files import at_path, model_folder

_OURS = {"--model", "--host", "--port", "--revision", "--dtype", "--tensor-parallel-size", "-tp"}
_HAS_PACKAGE = "import importlib.util, sys; sys.exit(importlib.util.find_spec(sys.argv[1]) is None)"
_TRANSFORMERS = "import sys; from transformers.cli.transformers import main; sys.argv[0] = 'transformers'; main()"
# Below those that Linux gives to outgoing connections: a port stays free while its server restarts.
_PORTS = range(20_000, 32_000)


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
    if source.engine == "transformers" and source.tensor_parallel_size is not None:
        raise BadInput(f"{field}.tensor_parallel_size: {source.tensor_parallel_size}: only vllm has it; leave it out")
    if taken := sorted(_OURS & {arg.partition("=")[0] for arg in source.args}):
        raise BadInput(f"{field}.args: {taken[0]}: datakit gives this itself, from the field of that name where there is one")
    for name in source.pass_env:
        if name not in os.environ:
            raise BadInput(f"{field}.pass_env: the environment variable {name} is not set; export {name}=... or leave it out")
    _check_engine(recipe, source, field)


def _check_engine(recipe: Recipe, source: ServeSource, field: str) -> None:
    """The interpreter has the engine's packages."""
    if source.python is not None:
        python = _interpreter(recipe, source)
        if not at_path(recipe, source.python).is_file() or not os.access(python, os.X_OK):
            raise BadInput(f"{field}.python: no such interpreter: {source.python}")
        asked = subprocess.run([python, "-c", _HAS_PACKAGE, source.engine], env=environment(recipe, source), check=False)
        if asked.returncode != 0:
            raise BadInput(
                f"{field}.python: {source.python} has no package '{source.engine}': {python} -m pip install it there"
            )
        return
    for package in ("vllm",) if source.engine == "vllm" else ("transformers", "fastapi", "uvicorn", "torch"):
        if importlib.util.find_spec(package) is None:
            vllm = "pip install vllm, or name the interpreter of an environment that has it in python:"
            how = vllm if source.engine == "vllm" else "pip install 'fuse-datakit[local]'"
            raise MissingExtra(f"{field}: serving with {source.engine} needs the package '{package}': {how}")


def _interpreter(recipe: Recipe, source: ServeSource) -> str:
    """Not resolved: the interpreter of a virtual environment is a link."""
    return str(recipe.folder / Path(source.python).expanduser()) if source.python else sys.executable


def command(recipe: Recipe, source: ServeSource, port: int) -> list[str]:
    """The server's command line. vLLM is started as a module: `vllm serve` fails in its CPU build, and is the same program."""
    name = requested_name(recipe, source)
    common = ["--host", "127.0.0.1", "--port", str(port), *(["--dtype", source.dtype] if source.dtype else [])]
    python = _interpreter(recipe, source)
    if source.engine == "transformers":
        return [python, "-c", _TRANSFORMERS, "serve", name, *common, *source.args]
    of_hub = source.revision is not None and model_folder(recipe, source.model) is None
    revision = ["--revision", str(source.revision)] if of_hub else []
    tensor_parallel = ["--tensor-parallel-size", str(source.tensor_parallel_size)] if source.tensor_parallel_size else []
    module = "vllm.entrypoints.openai.api_server"
    return [python, "-m", module, "--model", name, *revision, *common, *tensor_parallel, *source.args]


def environment(recipe: Recipe, source: ServeSource, threads: int = 1) -> dict[str, str]:
    """The caller's environment without secrets and without the keys that the recipe names, and what the source asks for.

    A model folder needs no hub; a model of the hub may need its token. SPT_NOENV: vLLM renames its processes, and would
    write over the mark by which they are found (orphans.py).
    """
    keys = {other.api_key_env for other in recipe.sources if isinstance(other, EndpointSource)}
    kept = {name: value for name, value in environment_without_secrets().items() if name not in keys}
    local = model_folder(recipe, source.model) is not None
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
    """Different ports of this machine that nothing listens at."""
    ports: list[int] = []
    for port in random.sample(_PORTS, len(_PORTS)):
        if len(ports) == count:
            return ports
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            ports.append(port)
    raise BadInput(f"{count} model servers need as many free ports between {_PORTS.start} and {_PORTS.stop}")
