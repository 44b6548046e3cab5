"""Workers on a Ray cluster: each node runs a host (host.py) with the same engine as on one machine; only the driver writes."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

from datakit.engine.fleet import Fleet, Teller
from datakit.engine.protocol import Result, Work, Worker
from datakit.errors import BadInput, needs_extra
from datakit.signals import Signals

if TYPE_CHECKING:
    from datakit.tables import Rows


ANSWERS_WITHIN_S = 10.0
"""How long a cluster may take to accept a connection."""


class RayEngines:
    """The engines of one build on a cluster, to which it connects when the first one is needed.

    `address`: "auto" (RAY_ADDRESS, or a cluster that runs on this machine), or host:port. `say(sentence, is_warning)` is called
    when nodes join or are lost. After a signal nothing more is sent, and rows under way are awaited for `grace_s` seconds.
    """

    def __init__(self, address: str, say: Callable[[str, bool], None], signals: Signals, grace_s: float) -> None:
        self._address = address
        self._teller = Teller(say)
        self._stops = (signals, grace_s)
        self._ray: Any = None
        self._was_connected = False
        """True if this process was connected before, as a notebook may be: it stays connected then."""

    @property
    def note(self) -> str:
        """See protocol.Engines."""
        return self._teller.note

    def engine(self, work: Work) -> RayEngine:
        if self._ray is None:
            self._ray, self._was_connected = connect(self._address)
        return RayEngine(self._ray, work, self._teller, *self._stops)

    def close(self) -> None:
        """Disconnect from the cluster; what was started there for this build ends."""
        if self._ray is not None and not self._was_connected:
            self._ray.shutdown()
        self._ray = None


def connect(address: str) -> tuple[Any, bool]:
    """Return the module `ray`, connected, and whether it was connected before.

    Raises BadInput if there is no cluster at the address or it refuses the connection.
    """
    with needs_extra("cluster", "a cluster"):
        ray = import_module("ray")  # without its types: it may not be installed
    if ray.is_initialized():
        return ray, True
    _check_answers(address)
    with _own_signals():
        try:
            ray.init(address=address, log_to_driver=False, logging_level="ERROR", configure_logging=False)
        except Exception as error:
            raise BadInput(f"cluster.address: {_refusal(address, error)}") from error
    return ray, False


def _check_answers(address: str) -> None:
    """Raise BadInput if nothing listens at the address: Ray itself would retry for minutes."""
    where = os.environ.get("RAY_ADDRESS", "auto") if address == "auto" else address
    if where == "auto":  # Ray looks for it among this machine's processes
        return
    field = "cluster.address" if where == address else "cluster.address: auto: RAY_ADDRESS"
    host, _, port = where.rpartition(":")
    if not host or "/" in host or not port.isdecimal():
        raise BadInput(f"{field}: '{where}' is neither auto nor HOST:PORT, as ray start --head says it")
    try:
        socket.create_connection((host.strip("[]"), int(port)), ANSWERS_WITHIN_S).close()
    except (OSError, OverflowError) as error:
        raise BadInput(
            f"{field}: nothing answers at '{where}' ({error}): start a cluster there with ray start --head"
        ) from error


@contextmanager
def _own_signals() -> Iterator[None]:
    """Keep the build's signal handlers: Ray installs its own for SIGTERM, but a build has to store its results first. A SIGTERM
    that arrives meanwhile is passed on to the build."""
    mine = threading.current_thread() is threading.main_thread()
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)} if mine else {}
    came = False
    try:
        yield
    except SystemExit as end:
        came = end.code == signal.SIGTERM  # as Ray's handler leaves
        if not came:
            raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if came:
        signal.raise_signal(signal.SIGTERM)


def _refusal(address: str, error: Exception) -> str:
    first = f"{type(error).__name__}: {error}".splitlines()[0][:300]
    said = f"{error} {error.__cause__}".lower()
    if "token" in said or "authentication" in said:
        same = "set RAY_AUTH_MODE=token and the same RAY_AUTH_TOKEN (or ~/.ray/auth_token) for the driver and all nodes"
        return f"the Ray cluster at '{address}' wants another token, or one at all: {same} ({first})"
    if "version" in said and "mismatch" in said:
        return f"Ray or Python differs from the cluster's at '{address}'; install the same on all nodes ({first})"
    return f"no Ray cluster at '{address}': start one with ray start --head, or set RAY_ADDRESS ({first})"


class RayEngine:
    """An engine that runs a worker over batches of rows on all nodes of a cluster."""

    def __init__(self, ray: Any, work: Work, teller: Teller, signals: Signals, grace_s: float) -> None:
        self._ray, self._work, self._teller = ray, work, teller
        self._signals, self._grace_s = signals, grace_s

    def map(
        self, start: Callable[[], Worker], batches: Iterable[Rows], deadline_s: float | None
    ) -> Generator[Result, None, None]:
        fleet = Fleet(self._ray, self._work, start, deadline_s, self._teller, self._grace_s)
        try:
            with self._signals.draining(fleet.drain):
                yield from fleet.answer(batches)
        finally:
            fleet.end()
