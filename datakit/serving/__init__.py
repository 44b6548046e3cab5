"""Starts, keeps and stops the model servers that a recipe asks for: `transformers serve` and vLLM.

    launch     the command line and the environment of a source's server, and the checks before its start
    server     one server: started, waited for, restarted when it dies
    guard      the process between datakit and a server: it ends the server when datakit is gone, however that ended
    orphans    servers whose guards were killed as well: found by a mark in the environment, named and ended

Each source has a server of its own: `transformers serve` accepts several models, but its continuous batching holds one at a
time. A server's log is in the run's logs/ folder and is only ever appended to.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from datakit.machine import available_cores
from datakit.recipe import Recipe, ServeSource
from datakit.serving.launch import check, command, environment, free_ports
from datakit.serving.orphans import Say, end_orphans
from datakit.serving.server import Launch, Server

__all__ = ["Server", "check", "end_orphans", "in_turns", "serve"]


def in_turns(sources: list[ServeSource]) -> list[list[ServeSource]]:
    """Return the servers that run at the same time, turn by turn: first all that run together, then each other one alone."""
    together = [source for source in sources if source.together]
    alone = [[source] for source in sources if not source.together]
    return [together, *alone] if together else alone


@contextmanager
def serve(recipe: Recipe, sources: list[ServeSource], logs: Path, say: Say) -> Iterator[list[Server]]:
    """Yield servers for sources of the recipe, in order; all answer when the block begins and are gone when it ends.

    A server that dies in between is restarted, up to its `restarts` times; then `Server.trouble` says so. Raise SourceStopped
    with the end of the log if one cannot start.
    """
    logs.mkdir(parents=True, exist_ok=True)
    servers: list[Server] = []
    try:
        threads = max(1, available_cores() // max(1, len(sources)))  # more threads than cores make all servers slower
        for source, port in zip(sources, free_ports(len(sources)), strict=True):
            launch = Launch(
                name=source.model,
                command=command(source, port),
                environment=environment(source, recipe.key_names, threads),
                port=port,
                log=logs / f"serve-{recipe.sources.index(source)}-{Path(source.model).name}.log",
                restarts=source.restarts,
                start_timeout_s=source.start_timeout_s,
            )
            servers.append(Server(launch, say))
        for server in servers:
            server.wait(beside=servers)
        for server in servers:
            server.keep()
        yield servers
    finally:
        for server in servers:
            server.dismiss()  # all before waiting for the first: they end at the same time
        for server in servers:
            server.gone()
