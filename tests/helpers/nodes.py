"""A cluster of several nodes on this machine, for tests and benchmarks, and the processes that belong to it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psutil

from datakit.engine.fleet import Teller
from datakit.engine.protocol import Work
from datakit.engine.ray import RayEngine, connect
from datakit.signals import Signals
from tests.helpers.folders import ROOT

MARK = "DATAKIT_TEST_CLUSTER"
"""A variable of the nodes, and so of all that they start: whose cluster it is."""
KEY = "DATAKIT_TEST_API_KEY"
"""One that looks like a key."""
STORE = 100 * 2**20  # bytes of a node's object store


class Nodes:
    """A cluster, a raylet a node. The head has no processors to give, so it does no work."""

    def __init__(self, n_nodes: int, seats: int) -> None:
        from ray.cluster_utils import Cluster

        head = {"num_cpus": 0, "object_store_memory": STORE, "include_dashboard": False}
        self.cluster = Cluster(initialize_head=True, head_node_args=head)
        self.seats = seats
        self.workers = [self._add() for _ in range(n_nodes)]

    @property
    def address(self) -> str:
        return str(self.cluster.address)

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
        self.workers[at] = self._add()
        return family

    def _add(self) -> Any:
        return self.cluster.add_node(num_cpus=self.seats, object_store_memory=STORE)


@contextmanager
def nodes(n_nodes: int, seats: int, **variables: str) -> Iterator[Nodes]:
    """So many nodes with so many seats each, until the block ends. `variables`: of the nodes, and from then on of this
    process; what is started there imports from the project's root, where they have no PYTHONPATH."""
    os.environ |= {MARK: str(os.getpid()), "RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": str(ROOT), **variables}
    made = Nodes(n_nodes, seats)
    try:
        yield made
    finally:
        made.cluster.shutdown()


class Driver:
    """This process, connected to a cluster."""

    note = ""

    def __init__(self, nodes: Nodes) -> None:
        self.nodes = nodes
        self.address = nodes.address
        self.said: list[str] = []
        self.handlers = [signal.getsignal(signal.SIGTERM)]
        self.ray, _ = connect(nodes.address)
        self.handlers.append(signal.getsignal(signal.SIGTERM))

    def engine(self, work: Work) -> RayEngine:
        self.teller = Teller(lambda text, warning: self.said.append(text))
        return RayEngine(self.ray, work, self.teller, Signals(), 20.0)


def ours(word: str) -> list[psutil.Process]:
    """Processes of this process's clusters whose command has a word."""
    found = []
    for one in psutil.process_iter():
        with suppress(psutil.Error):
            if word in " ".join(one.cmdline()) and one.environ().get(MARK) == str(os.getpid()):
                found.append(one)
    return found


def hosts() -> list[psutil.Process]:
    return ours("ray::Host")


def workers() -> list[psutil.Process]:
    return ours("datakit.engine.worker")


def family_of(process: psutil.Process) -> list[psutil.Process]:
    """The process and all that came from it; none where it is gone."""
    try:
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
