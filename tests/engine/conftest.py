"""The cluster of the tests that are marked `ray`: it starts once for all of them."""

import os
from collections.abc import Iterator

import pytest

from tests.helpers.folders import ROOT
from tests.helpers.nodes import KEY, MARK, Nodes


@pytest.fixture(scope="session")
def nodes() -> Iterator[Nodes]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(MARK, str(os.getpid()))
        patch.setenv(KEY, "of the nodes")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", str(ROOT))  # of the nodes: hosts import what tests start
        nodes = Nodes()
        yield nodes
        nodes.close()
