"""What the benchmarks of a cluster share: Ray's nodes on this machine, and who belongs to them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
from measuring import ROOT

from datakit.engine.protocol import Worker
from datakit.tables import Row

MARK = "DATAKIT_BENCHMARK"
"""A variable of the nodes, and so of all that they start."""
STORE = 100 * 2**20  # bytes of a node's object store


class Nodes:
    """A cluster, a raylet a node. The head has no processors to give, so it does no work."""

    def __init__(self, n_nodes: int, seats: int) -> None:
        from ray.cluster_utils import Cluster

        os.environ |= {MARK: str(os.getpid()), "RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": f"{ROOT}:{ROOT / 'benchmarks'}"}
        os.environ["OMP_NUM_THREADS"] = "1"  # else a thread for each processor that a node says it has
        head = {"num_cpus": 0, "object_store_memory": STORE, "include_dashboard": False}
        self.cluster = Cluster(initialize_head=True, head_node_args=head)
        self.seats = seats
        self.workers = [self.add() for _ in range(n_nodes)]

    @property
    def address(self) -> str:
        return str(self.cluster.address)

    def add(self) -> Any:
        """One more node."""
        return self.cluster.add_node(num_cpus=self.seats, object_store_memory=STORE)

    def replace(self, at: int, whole: bool) -> list[psutil.Process]:
        """End a node with SIGKILL, with all that runs on it (`whole`, as a machine ends) or its raylet alone, and let another
        one join. Returns what ran on it."""
        node = self.workers[at]
        raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
        family = family_of(raylet)
        if whole:
            for one in family:
                with suppress(psutil.Error):
                    one.kill()
        self.cluster.remove_node(node, allow_graceful=False)
        self.workers[at] = self.add()
        return family


@contextmanager
def nodes(n_nodes: int, seats: int) -> Iterator[Nodes]:
    """So many nodes with so many seats each, until the block ends."""
    made = Nodes(n_nodes, seats)
    try:
        yield made
    finally:
        made.cluster.shutdown()


def hosts() -> list[psutil.Process]:
    """The hosts on these nodes."""
    found = []
    for one in psutil.process_iter():
        with suppress(psutil.Error):
            if "ray::Host" in " ".join(one.cmdline()) and one.environ().get(MARK) == str(os.getpid()):
                found.append(one)
    return found


def family_of(process: psutil.Process) -> list[psutil.Process]:
    """The process and all that came from it; none where it is gone."""
    try:
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def noting(folder: Path, start: Callable[[], Worker]) -> Worker:
    """A start whose workers leave a file when they begin."""
    worker = start()

    def noted(rows: list[Row]) -> Iterator[Row]:
        (folder / str(os.getpid())).touch()
        yield from worker(rows)

    return noted
