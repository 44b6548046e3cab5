"""The cluster of the tests that are marked `ray`: it starts once for all of them."""

from collections.abc import Iterator

import pytest

from tests.helpers.nodes import KEY, MARK, Driver, nodes


@pytest.fixture(scope="session")
def driver() -> Iterator[Driver]:
    pytest.importorskip("ray.cluster_utils")
    with pytest.MonkeyPatch.context() as patch:
        for name in (MARK, KEY, "RAY_USAGE_STATS_ENABLED", "PYTHONPATH"):
            patch.setenv(name, "")  # and back to what it was
        with nodes(2, 1, **{KEY: "of the nodes"}) as two:
            driver = Driver(two)
            yield driver
            driver.ray.shutdown()
