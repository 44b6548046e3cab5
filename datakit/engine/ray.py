"""Workers on a Ray cluster: on each node one host (host.py) with this machine's unchanged engine; only the driver writes.

Ray places hosts and carries batches; it judges no row. A host that is lost gives back the batches that it had, and they go to
others, so a row is answered once whatever ends: a worker, a host, a node. A batch that has lost two hosts is split, and each of
its rows is asked alone on a host; a row that ends a host twice even so is a crash, and walks no further through the cluster.
"""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

from datakit.engine.host import Answer, Host, Seen, versions
from datakit.engine.protocol import Result, Work, Worker
from datakit.errors import BadInput, DatakitError, WorkerError, needs_extra

if TYPE_CHECKING:
    from datakit.tables import Rows

AHEAD = 2
"""Batches a seat that are on their way or answered: one more than is worked on."""
LOOKS_EVERY_S = 1.0  # for nodes that have joined or gone
MOST_LOST = 2  # hosts that a batch, or a row alone, may lose
MOST_FAILED = 3  # hosts of a node that end before they can take work; then it is left out
_CALLS_BESIDE = 2  # threads of a host for what is no batch


class RayEngines:
    """The engines of one build on a cluster, which it connects to when the first one is needed.

    `address`: "auto" (RAY_ADDRESS, or a cluster that runs on this machine), or host:port. `say`: hears what befalls nodes.
    """

    def __init__(self, address: str, say: Callable[[str, bool], None]) -> None:
        self._address = address
        self._say = say
        self._ray: Any = None
        self._was_connected = False
        """Whether this process was in a cluster before, as a notebook may be: then it stays there."""

    def engine(self, work: Work) -> RayEngine:
        if self._ray is None:
            self._ray, self._was_connected = connect(self._address)
        return RayEngine(self._ray, work, self._say)

    def close(self) -> None:
        """Leave the cluster; what was started there for this build ends."""
        if self._ray is not None and not self._was_connected:
            self._ray.shutdown()
        self._ray = None


def connect(address: str) -> tuple[Any, bool]:
    """The module `ray`, connected, and whether it was before. BadInput where there is no cluster, or it lets nobody in."""
    with needs_extra("cluster", "a cluster"):
        ray = import_module("ray")  # without its types: it may not be installed
    if ray.is_initialized():
        return ray, True
    with _own_signals():
        try:
            ray.init(address=address, log_to_driver=False, logging_level="ERROR", configure_logging=False)
        except Exception as error:
            raise BadInput(f"cluster.address: {_refusal(address, f'{type(error).__name__}: {error}')}") from error
    return ray, False


@contextmanager
def _own_signals() -> Iterator[None]:
    """Ray takes SIGTERM for itself; a build that is ended stores what has come first."""
    mine = threading.current_thread() is threading.main_thread()
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)} if mine else {}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _refusal(address: str, said: str) -> str:
    first = said.splitlines()[0][:300]
    if "token" in said.lower() or "auth_mode" in said.lower():
        same = "set RAY_AUTH_MODE=token and the same RAY_AUTH_TOKEN (or ~/.ray/auth_token) for the driver and all nodes"
        return f"the Ray cluster at '{address}' wants a token: {same} ({first})"
    if "version" in said.lower() and "mismatch" in said.lower():
        return f"Ray or Python here is not that of the cluster at '{address}'; install the same on all nodes ({first})"
    return f"no Ray cluster at '{address}': start one with ray start --head, or set RAY_ADDRESS ({first})"


class RayEngine:
    """Runs a worker over batches of rows on all nodes of a cluster."""

    def __init__(self, ray: Any, work: Work, say: Callable[[str, bool], None]) -> None:
        self._ray, self._work, self._say = ray, work, say

    def map(
        self, start: Callable[[], Worker], batches: Iterable[Rows], deadline_s: float | None
    ) -> Generator[Result, None, None]:
        fleet = _Fleet(self._ray, self._work, start, deadline_s, self._say)
        try:
            yield from fleet.answer(filter(None, iter(batches)))
        finally:
            fleet.end()


@dataclass
class _Batch:
    """Rows on their way, and how many hosts were lost while they were there."""

    rows: Rows
    lost: int = 0
    alone: bool = False
    """A row that is asked with nothing beside it, so that it is to blame for what ends its host."""


@dataclass
class _Placed:
    """A host as the driver sees it."""

    place: tuple[str, int]
    """The node's id, and which of its hosts."""
    name: str
    actor: Any
    n_seats: int
    is_ready: bool = False
    batches: dict[Any, _Batch] = field(default_factory=dict)
    """By the reference of their answers."""

    @property
    def room(self) -> int:
        """How many batches it may be given now."""
        if not self.is_ready or any(batch.alone for batch in self.batches.values()):
            return 0
        return AHEAD * self.n_seats - len(self.batches)


class _Fleet:
    """The hosts of one map, and what each has to answer."""

    def __init__(
        self,
        ray: Any,
        work: Work,
        start: Callable[[], Worker],
        deadline_s: float | None,
        say: Callable[[str, bool], None],
    ) -> None:
        self._ray, self._work, self._say = ray, work, say
        self._order = (start, deadline_s)
        self._own = versions()
        self._hosts: dict[tuple[str, int], _Placed] = {}
        self._looking: dict[Any, _Placed] = {}
        self._again: deque[_Batch] = deque()
        self._failed: Counter[tuple[str, int]] = Counter()
        self._left_out: dict[tuple[str, int], str] = {}
        """Why a place gets no host."""
        self._looks_at = 0.0

    def answer(self, batches: Iterator[Rows]) -> Generator[Result, None, None]:
        """A Result for every row, as batches come back."""
        pending = _Peeked(batches)
        while True:
            if not self._again and not any(host.batches for host in self._hosts.values()) and pending.is_empty():
                return
            yield from self._look_for_nodes()
            for host in list(self._hosts.values()):
                self._fill(host, pending)
            waited = [*self._looking, *(ref for host in self._hosts.values() for ref in host.batches)]
            ready, _ = self._ray.wait(waited, num_returns=1, timeout=LOOKS_EVERY_S) if waited else ([], [])
            for ref in ready:
                yield from self._hear(ref)

    def end(self) -> None:
        """No host is left, and no process of one."""
        for host in self._hosts.values():
            self._kill(host)
        self._hosts.clear()

    def _look_for_nodes(self) -> Iterator[Result]:
        """Place a host wherever one can be, once a second: on nodes that have joined, and where one was lost."""
        if time.monotonic() < self._looks_at:
            return
        self._looks_at = time.monotonic() + LOOKS_EVERY_S
        places = {place: node for node in self._ray.nodes() if node["Alive"] for place in self._places_on(node)}
        for place in [place for place in self._hosts if place not in places]:
            yield from self._lose(self._hosts[place], "its node is gone")
        for place, node in places.items():
            is_full = self._work.alone and self._hosts
            if place not in self._hosts and place not in self._left_out and not is_full:
                self._start(place, node)
        if not self._hosts:
            why = "; ".join(dict.fromkeys(self._left_out.values())) or "it has no node with a free processor"
            raise WorkerError(f"no node of the cluster can do this: {why}")

    def _places_on(self, node: dict[str, Any]) -> list[tuple[str, int]]:
        """One, or one a GPU; none on a node that has no processors to give, such as a head that does not work."""
        resources = node["Resources"]
        if resources.get("CPU", 0) < 1:
            return []
        n_gpus = int(resources.get("GPU", 0)) if self._work.per_device else 0
        return [(node["NodeID"], at) for at in range(n_gpus or 1)]

    def _start(self, place: tuple[str, int], node: dict[str, Any]) -> None:
        strategy = import_module("ray.util.scheduling_strategies").NodeAffinitySchedulingStrategy
        n_cpus, n_gpus = int(node["Resources"]["CPU"]), int(node["Resources"].get("GPU", 0)) if self._work.per_device else 0
        n_seats = 1 if self._work.alone or self._work.per_device else min(self._work.workers or n_cpus, n_cpus)
        options = {
            "num_cpus": n_cpus // max(1, n_gpus) or 1,
            "num_gpus": 1 if n_gpus else 0,
            "max_restarts": 0,
            "max_task_retries": 0,
            "max_concurrency": AHEAD * n_seats + _CALLS_BESIDE,
            "scheduling_strategy": strategy(node["NodeID"], soft=False),
        }
        actor = self._ray.remote(Host).options(**options).remote(self._work, n_seats, *self._order)
        host = _Placed(place, f"{node['NodeManagerHostname']} ({node['NodeID'][:8]})", actor, n_seats)
        self._hosts[place] = host
        self._looking[actor.look.remote()] = host

    def _fill(self, host: _Placed, pending: _Peeked) -> None:
        while host.room > 0:
            batch = self._next(host, pending)
            if batch is None:
                return
            host.batches[host.actor.answer.remote(batch.rows)] = batch

    def _next(self, host: _Placed, pending: _Peeked) -> _Batch | None:
        """What comes back goes first. A row that is asked alone waits for a host with nothing to do."""
        if self._again:
            if self._again[0].alone and host.batches:
                return None
            return self._again.popleft()
        return None if pending.is_empty() else _Batch(next(pending))

    def _hear(self, ref: Any) -> Iterator[Result]:
        """One answer: a batch's, or that of a host that was looked at. What comes of a host that was lost is not heard."""
        if host := self._looking.pop(ref, None):
            self._hear_first(host, ref)
            return
        host = next((one for one in self._hosts.values() if ref in one.batches), None)
        if host is None:
            return
        try:
            answers: list[Answer] | DatakitError = self._ray.get(ref)
        except self._ray.exceptions.RayActorError as error:
            yield from self._lose(host, _first_line(error))
            return
        except self._ray.exceptions.RayError as error:
            raise WorkerError(f"{host.name}: {_first_line(error)}") from error
        if isinstance(answers, DatakitError):
            raise answers
        batch = host.batches.pop(ref)
        for row, answer in zip(batch.rows, answers, strict=True):
            yield Result(row, *answer)

    def _hear_first(self, host: _Placed, ref: Any) -> None:
        """A host begins, or its place is left out. WorkerError where another code would give other verdicts."""
        try:
            seen: Seen = self._ray.get(ref)
        except self._ray.exceptions.RayError as error:
            self._failed[host.place] += 1
            if self._failed[host.place] >= MOST_FAILED:
                self._leave_out(host, f"its hosts end before they begin ({_first_line(error)})")
            elif self._hosts.get(host.place) is host:
                del self._hosts[host.place]
            return
        if other := {name: there for name, there in seen.versions.items() if there != self._own[name]}:
            named = ", ".join(f"{name} {there} ({self._own[name]} here)" for name, there in other.items())
            raise WorkerError(f"{host.name} has {named}: install the same on all nodes, or verdicts would differ")
        if seen.trouble is not None:
            self._leave_out(host, seen.trouble)
        host.is_ready = True

    def _leave_out(self, host: _Placed, why: str) -> None:
        self._left_out[host.place] = why
        self._say(f"{host.name} is left out: {why}", True)
        self._kill(host)
        self._hosts.pop(host.place, None)

    def _lose(self, host: _Placed, why: str) -> Iterator[Result]:
        """Take a host's batches back; a row that was asked alone, and has ended two, is a crash."""
        self._kill(host)
        self._hosts.pop(host.place, None)
        batches, host.batches = list(host.batches.values()), {}
        self._say(f"{host.name} is lost ({why}); {len(batches)} batches go to others", True)
        crashed = []
        for batch in batches:
            batch.lost += 1
            if batch.lost < MOST_LOST:
                self._again.append(batch)
            elif batch.alone:
                crashed.append(Result(batch.rows[0], None, "crash", f"it ended {batch.lost} hosts of the cluster", 0.0))
            else:
                self._again.extend(_Batch([row], alone=True) for row in batch.rows)
        return iter(crashed)

    def _kill(self, host: _Placed) -> None:
        with suppress(self._ray.exceptions.RayError):
            self._ray.kill(host.actor, no_restart=True)


class _Peeked:
    """Batches, and whether there is another one."""

    def __init__(self, batches: Iterator[Rows]) -> None:
        self._batches = batches
        self._first: list[Rows] = []

    def is_empty(self) -> bool:
        if not self._first:
            self._first = [batch for batch in (next(self._batches, None),) if batch is not None]
        return not self._first

    def __next__(self) -> Rows:
        return self._first.pop()


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"[:200]
