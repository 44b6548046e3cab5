"""A cluster of two nodes on this machine, and the processes that belong to it."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from typing import Any

import psutil
import pytest

from datakit.engine.fleet import Teller
from datakit.engine.protocol import Work
from datakit.engine.ray import RayEngine, connect
from datakit.signals import Signals

NODE = {"num_cpus": 1, "object_store_memory": 100 * 2**20, "include_dashboard": False}

MARK = "DATAKIT_TEST_CLUSTER"
"""A variable of the nodes, and so of all that they start."""
KEY = "DATAKIT_TEST_API_KEY"
"""One that looks like a key."""


class Nodes:
    """A cluster on this machine, a raylet a node."""

    def __init__(self) -> None:
        self.cluster = pytest.importorskip("ray.cluster_utils").Cluster(initialize_head=True, head_node_args=NODE)
        self.second = self.add()
        self.said: list[str] = []
        self.handlers = [signal.getsignal(signal.SIGTERM)]
        self.ray, _ = connect(self.cluster.address)
        self.handlers.append(signal.getsignal(signal.SIGTERM))

    def add(self) -> Any:
        return self.cluster.add_node(num_cpus=1, object_store_memory=NODE["object_store_memory"])

    def end(self, node: Any) -> None:
        """As a machine ends."""
        self.cluster.remove_node(node, allow_graceful=False)

    note = ""

    def engine(self, work: Work) -> RayEngine:
        self.teller = Teller(lambda text, warning: self.said.append(text))
        return RayEngine(self.ray, work, self.teller, Signals(), 20.0)

    def close(self) -> None:
        self.ray.shutdown()
        self.cluster.shutdown()


def ours(word: str) -> list[psutil.Process]:
    """Processes of this cluster whose command has a word."""
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
