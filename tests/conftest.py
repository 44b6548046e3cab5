"""What all tests share: the hypothesis profile and the folder of real data, which few machines have."""

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

from tests.helpers.folders import ROOT
from tests.helpers.laws import SOME

# Where the tests run in the background a shell has them ignore Ctrl-C; those about it need Python's own handler.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Several workers share the cores; threads of models this small, here and in what tests start, would only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

settings.register_profile("datakit", deadline=None, derandomize=True, database=None, max_examples=SOME)
settings.register_profile("long", deadline=None, database=None, max_examples=25 * SOME)
settings.load_profile("datakit")


@pytest.fixture(scope="session")
def shared_data():
    """The folder of real data (DATAKIT_TEST_DATA); the test is skipped where there is none."""
    folder = Path(os.environ.get("DATAKIT_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}: set DATAKIT_TEST_DATA to a folder that has it")
    return folder


@pytest.fixture(scope="module")
def browser():
    """Chromium for the tests of one module; what needs an event loop of its own (a build) is made before."""
    from tests.helpers.browser import browsing

    with browsing() as started:
        yield started
