"""The hosts of a cluster, seen from the driver: where they run, which batches each has, and what is done when one is lost.

Ray places hosts and carries batches; it does not blame rows. If a host is lost, its batches go to other hosts, so every row is
answered once, whatever ends: a worker, a host, a node. A batch that has lost two hosts is split, and each of its rows is sent
alone to a host; a row that still ends two hosts counts as a crash, and is not sent again.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

from datakit.engine.host import Answer, Host, Seen, versions
from datakit.engine.protocol import Result, Work, Worker
from datakit.errors import DatakitError, WorkerError
from datakit.wording import counted

if TYPE_CHECKING:
    from datakit.tables import Rows

AHEAD = 2
"""Batches per seat that are sent at a time: one more than it works on."""
BATCH_S = 2.0
"""The target duration of a batch on a seat: this much work is lost with a host, and this long others wait at the end."""
FIRST_ROWS = 8
"""Rows per batch while the duration of a row is unknown."""
LOOKS_EVERY_S = 1.0  # interval between looks for nodes that have joined or gone
MOST_LOST = 2  # hosts that a batch, or a row alone, may lose
MOST_FAILED = 3  # hosts of a node that may end before they can take work; then the node is left out
SILENT_S = 30.0  # time without any ready host after which the user is told
_CALLS_BESIDE = 2  # threads of a host for calls other than batches


@dataclass
class Teller:
    """What a build is told about its cluster."""

    say: Callable[[str, bool], None]
    note: str = ""
    """The numbers of nodes and seats at work, as text."""


class Fleet:
    """The hosts of one map, and the batches that each has to answer."""

    def __init__(
        self,
        ray: Any,
        work: Work,
        start: Callable[[], Worker],
        deadline_s: float | None,
        teller: Teller,
        grace_s: float,
    ) -> None:
        self._ray, self._work, self._teller = ray, work, teller
        self._order = (start, deadline_s)
        self._own = versions()
        self._hosts: dict[_Place, _Placed] = {}
        self._looking: dict[Any, _Placed] = {}
        self._asked: dict[Any, _Placed] = {}
        """The host that each awaited reference belongs to."""
        self._again: deque[_Batch] = deque()
        self._failed: Counter[_Place] = Counter()
        self._left_out: dict[_Place, str] = {}
        """Why a place gets no host, by place."""
        self._looks_at = self._began_at = 0.0
        self._grace_s = grace_s
        self._drains = False
        self._ends_at = float("inf")

    def drain(self) -> None:
        """Stop sending batches; wait for those under way. May be called from a signal handler."""
        self._drains = True

    def answer(self, batches: Iterable[Rows]) -> Generator[Result, None, None]:
        """Yield a Result for every row, as batches come back."""
        pending = _Pending(filter(None, batches))
        while not self._is_over(pending):
            if not self._drains:
                yield from self._look_for_nodes()
                for host in list(self._hosts.values()):
                    self._fill(host, pending)
            elif self._ends_at == float("inf"):
                self._begin_to_end()
            for ref in self._heard():
                yield from self._hear(ref, pending)

    def end(self) -> None:
        """End all hosts and their processes."""
        for host in self._hosts.values():
            self._kill(host)
        self._hosts.clear()

    def _is_over(self, pending: _Pending) -> bool:
        if self._drains:
            return not self._asked or time.monotonic() >= self._ends_at
        return not self._asked and not self._again and pending.is_empty()

    def _begin_to_end(self) -> None:
        self._ends_at = time.monotonic() + self._grace_s
        for host in self._hosts.values():
            host.actor.finish.remote()
        said = f"interrupted; once more leaves at once: waiting up to {self._grace_s:.0f} s for rows under way"
        self._teller.say(f"{said} ({self._teller.note})", False)

    def _heard(self) -> list[Any]:
        """Return the references that are ready; wait up to LOOKS_EVERY_S for the first one."""
        waited = [*self._looking, *self._asked]
        limit = min(LOOKS_EVERY_S, max(0.0, self._ends_at - time.monotonic()))
        ready: list[Any] = self._ray.wait(waited, num_returns=1, timeout=limit)[0] if waited else []
        if ready:  # with many seats, many are ready
            ready = self._ray.wait(waited, num_returns=len(waited), timeout=0)[0]
        return ready

    # ------------------------------------------------------------------------------------------------------------- nodes

    def _look_for_nodes(self) -> Iterator[Result]:
        """Start a host wherever one can run, at most once per LOOKS_EVERY_S: on nodes that joined, and where one was lost.

        Yields the crashes of rows on hosts whose node is gone. Raises WorkerError if no node can do the work.
        """
        now = time.monotonic()
        if now < self._looks_at:
            return
        is_first, self._looks_at, self._began_at = self._began_at == 0.0, now + LOOKS_EVERY_S, self._began_at or now
        places = self._places([node for node in self._ray.nodes() if node["Alive"]])
        for place in [place for place in self._hosts if place not in places]:
            yield from self._lose(self._hosts[place], "its node is gone")
        for place, node in places.items():
            is_full = self._work.alone and self._hosts
            if place not in self._hosts and place not in self._left_out and not is_full:
                self._start(place, node, is_first)
        if not self._hosts:
            wants = "no node has a GPU" if self._work.gpu == "must" else "it has no node with a free processor"
            why = "; ".join(dict.fromkeys(self._left_out.values())) or wants
            raise WorkerError(f"no node of the cluster can do this: {why}")
        if now - self._began_at > SILENT_S and not any(host.is_ready for host in self._hosts.values()):
            self._began_at = now
            self._teller.say(f"no node has begun for {SILENT_S:.0f} s: are others using their processors? (ray status)", True)

    def _places(self, nodes: list[dict[str, Any]]) -> dict[_Place, dict[str, Any]]:
        """Return the places for hosts: one per node, or one per GPU (then none on nodes without). Nodes without processors,
        like a head node that does no work, get none."""
        gpus = {node["NodeID"]: int(node["Resources"].get("GPU", 0)) for node in nodes if self._work.gpu != "no"}
        if self._work.gpu == "must" or any(gpus.values()):
            return {(node["NodeID"], at): node for node in nodes for at in range(gpus[node["NodeID"]])}
        return {(node["NodeID"], 0): node for node in nodes if node["Resources"].get("CPU", 0) >= 1}

    def _start(self, place: _Place, node: dict[str, Any], is_first: bool) -> None:
        strategy = import_module("ray.util.scheduling_strategies").NodeAffinitySchedulingStrategy
        resources = node["Resources"]
        n_cpus, n_gpus = int(resources.get("CPU", 0)), int(resources.get("GPU", 0)) if self._work.gpu != "no" else 0
        one = self._work.alone or self._work.gpu != "no"
        n_seats = 1 if one else min(self._work.workers or n_cpus, n_cpus)
        options = {
            "num_cpus": n_cpus // max(1, n_gpus),
            "num_gpus": 1 if n_gpus else 0,
            "max_restarts": 0,
            "max_task_retries": 0,
            "max_concurrency": AHEAD * n_seats + _CALLS_BESIDE,
            "scheduling_strategy": strategy(node["NodeID"], soft=False),
        }
        actor = self._ray.remote(Host).options(**options).remote(self._work, n_seats, *self._order)
        host = _Placed(place, f"{node['NodeManagerHostname']} ({node['NodeID'][:8]})", actor, n_seats, is_first)
        self._hosts[place] = host
        self._looking[actor.look.remote()] = host

    def _hear_first(self, host: _Placed, ref: Any) -> None:
        """Read a host's first message: it begins, or its place is left out.

        Raises WorkerError if its versions differ from the driver's, as its verdicts could differ.
        """
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
            return
        host.is_ready = True
        if not host.is_first:
            self._teller.say(f"{host.name} takes part, with {counted(host.n_seats, 'seats')}", False)
        self._count()

    def _leave_out(self, host: _Placed, why: str) -> None:
        self._left_out[host.place] = why
        self._teller.say(f"{host.name} is left out: {why}", True)
        self._remove(host)

    def _lose(self, host: _Placed, why: str) -> Iterator[Result]:
        """Take the batches of a lost host back; return a crash for each row that was sent alone and has ended MOST_LOST
        hosts."""
        self._remove(host)
        batches, host.batches = host.batches, {}
        for ref in batches:
            del self._asked[ref]
        n_rows = sum(len(batch.rows) for batch in batches.values())
        self._teller.say(f"{host.name} is lost ({why}); others get its {counted(n_rows, 'rows')}", True)
        crashed = []
        for batch in batches.values():
            batch.lost += 1
            if batch.lost < MOST_LOST:
                self._again.append(batch)
            elif batch.alone:
                crashed.append(Result(batch.rows[0], None, "crash", f"it ended {batch.lost} hosts of the cluster", 0.0))
            else:
                self._again.extend(_Batch([row], alone=True) for row in batch.rows)
        return iter(crashed)

    def _remove(self, host: _Placed) -> None:
        self._kill(host)
        self._hosts.pop(host.place, None)
        self._count()

    def _kill(self, host: _Placed) -> None:
        with suppress(self._ray.exceptions.RayError):
            self._ray.kill(host.actor, no_restart=True)

    def _count(self) -> None:
        ready = [host for host in self._hosts.values() if host.is_ready]
        n_nodes, n_seats = len({host.place[0] for host in ready}), sum(host.n_seats for host in ready)
        self._teller.note = f"{counted(n_nodes, 'nodes')}, {counted(n_seats, 'seats')}"

    # ----------------------------------------------------------------------------------------------------------- batches

    def _fill(self, host: _Placed, pending: _Pending) -> None:
        while host.room > 0:
            batch = self._next(host, pending)
            if batch is None:
                return
            ref = host.actor.answer.remote(batch.rows)
            host.batches[ref], self._asked[ref] = batch, host

    def _next(self, host: _Placed, pending: _Pending) -> _Batch | None:
        """Return the next batch for a host: batches of lost hosts first. A row that is sent alone waits for an idle host."""
        if self._again:
            if self._again[0].alone and host.batches:
                return None
            return self._again.popleft()
        return None if pending.is_empty() else _Batch(pending.take())

    def _hear(self, ref: Any, pending: _Pending) -> Iterator[Result]:
        """Read one reply: a batch's results, or a host's first message. Replies of lost hosts are ignored."""
        if first := self._looking.pop(ref, None):
            self._hear_first(first, ref)
            return
        host = self._asked.get(ref)
        if host is None:
            return
        try:
            answers: list[Answer] | DatakitError = self._ray.get(ref)
        except self._ray.exceptions.RayTaskError as error:
            raise WorkerError(f"{host.name}: {_first_line(error)}") from error
        except self._ray.exceptions.RayError as error:  # the host is gone, or its node with an answer
            yield from self._lose(host, _first_line(error))
            return
        if isinstance(answers, DatakitError):
            answers.args = (f"{host.name}: {answers}",)
            raise answers
        batch = host.batches.pop(ref)
        del self._asked[ref]
        pending.learn(answers)
        for row, answer in zip(batch.rows, answers, strict=not self._drains):
            yield Result(row, *answer)


_Place = tuple[str, int]
"""A node's id, and the number of the host on it."""


@dataclass
class _Batch:
    """Rows on their way, and the number of hosts that were lost while they had them."""

    rows: Rows
    lost: int = 0
    alone: bool = False
    """True for a single row that is sent to an idle host, so that a lost host can be blamed on it."""


@dataclass
class _Placed:
    """A host as the driver sees it."""

    place: _Place
    name: str
    actor: Any
    n_seats: int
    is_first: bool
    """True for a host that was started when the work began."""
    is_ready: bool = False
    batches: dict[Any, _Batch] = field(default_factory=dict)
    """The batches that it has, by the reference of their results."""

    @property
    def room(self) -> int:
        """The number of batches that it can take now."""
        if not self.is_ready or any(batch.alone for batch in self.batches.values()):
            return 0
        return AHEAD * self.n_seats - len(self.batches)


class _Pending:
    """The rows that have not been sent yet, cut into batches that take a seat about BATCH_S."""

    def __init__(self, batches: Iterator[Rows]) -> None:
        self._batches = batches
        self._rows: Rows = []
        self._row_s: float | None = None
        """The moving average of seconds per row."""

    def is_empty(self) -> bool:
        self._rows = self._rows or next(self._batches, [])
        return not self._rows

    def take(self) -> Rows:
        n = FIRST_ROWS if self._row_s is None else max(1, int(BATCH_S / max(self._row_s, 1e-9)))
        taken, self._rows = self._rows[:n], self._rows[n:]
        return taken

    def learn(self, answers: list[Answer]) -> None:
        if answers:
            row_s = sum(answer.duration_s for answer in answers) / len(answers)
            self._row_s = row_s if self._row_s is None else 0.8 * self._row_s + 0.2 * row_s


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"[:200]
