"""The window, against servers simulated second by second: no clock, no socket, so that laws can be tried on many servers.

A simulated server works on `capacity` requests at once, each for about `latency_s` (lognormal); further ones wait in its
queue, or get 429 where it has none.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datakit.client.window import Window
from tests.helpers.laws import examples

SIGMA = 0.3
SERVERS = {"capacity": st.integers(1, 600), "cap": st.integers(1, 800), "latency_s": st.sampled_from([0.02, 0.3, 2.0])}


@dataclass
class Simulation:
    """An endless supply of requests to one server; its history is a list of what was seen at every answer."""

    window: Window
    capacity: int
    latency_s: float
    queues: bool = True
    metrics: bool = False
    now: float = 1000.0
    sizes: list[int] = field(default_factory=list)
    answered: int = 0
    refused: int = 0
    most_in_flight: int = 0
    queue: deque[float] = field(default_factory=deque)
    working: list[tuple[float, bool, float]] = field(default_factory=list)
    """(when it ends, whether with an answer, when it was sent), a heap."""
    busy: int = 0
    """How many of these end with an answer."""
    chance: random.Random = field(default_factory=lambda: random.Random(1))
    _next_look: float = 1000.0

    def run(self, seconds: float) -> Simulation:
        """Simulate so long."""
        until = self.now + seconds
        while self.now < until:
            while self.window.free:
                self.window.take()
                self._arrive()
            self.most_in_flight = max(self.most_in_flight, self.window.in_flight)
            self.now, good, sent = heapq.heappop(self.working)
            self.window.in_flight -= 1
            self._look()
            if good:
                self.busy -= 1
                self.answered += 1
                self.window.answered(self.now)
                if self.queue:
                    self._begin(self.queue.popleft())
            else:
                self.refused += 1
                self.window.overloaded(sent, self.now)
            self.sizes.append(self.window.size)
        return self

    def _arrive(self) -> None:
        if self.busy < self.capacity:
            self._begin(self.now)
        elif self.queues:
            self.queue.append(self.now)
        else:
            heapq.heappush(self.working, (self.now + 0.005, False, self.now))

    def _begin(self, sent: float) -> None:
        ends = self.now + self.latency_s * self.chance.lognormvariate(-(SIGMA**2) / 2, SIGMA)
        heapq.heappush(self.working, (ends, True, sent))
        self.busy += 1

    def _look(self) -> None:
        if self.metrics and self.now >= self._next_look:
            self._next_look = self.now + 2.0
            self.window.queue(len(self.queue), self.now)


def rate(simulation: Simulation, seconds: float) -> float:
    before = simulation.answered
    simulation.run(seconds)
    return (simulation.answered - before) / seconds


def test_it_starts_small_and_doubles_up_to_the_cap_while_that_pays():
    simulation = Simulation(Window(512), capacity=10_000, latency_s=0.3)
    assert simulation.window.size <= 32
    simulation.run(8)
    assert list(dict.fromkeys(simulation.sizes)) == [32, 64, 128, 256, 512]


@pytest.mark.parametrize("metrics", [False, True], ids=["by the rate", "by the queue"])
@pytest.mark.parametrize("capacity", [8, 40, 200])
def test_where_only_the_latency_grows_it_stays_near_the_capacity(capacity, metrics):
    simulation = Simulation(Window(4096), capacity, latency_s=0.3, metrics=metrics).run(60)
    settled = simulation.sizes[len(simulation.sizes) // 2 :]
    assert max(settled) <= max(64, 4 * capacity), "at most two doublings too far, and back"
    assert 0.9 * capacity <= sorted(settled)[len(settled) // 2] <= max(64, 3 * capacity)


@pytest.mark.parametrize("capacity", [8, 40, 200])
def test_429_cuts_it_at_once_and_it_stays_about_the_capacity(capacity):
    simulation = Simulation(Window(4096), capacity, latency_s=0.3, queues=False).run(20)
    simulation.refused = 0
    assert rate(simulation, 60) >= 0.6 * capacity / 0.3, "the server is kept busy"
    assert simulation.refused <= 0.15 * simulation.answered
    assert max(simulation.sizes[-1000:]) <= 2 * capacity


def test_many_429_of_one_burst_cut_once():
    window = Window(64)
    for _ in range(32):
        window.take()
    for _ in range(32):
        window.overloaded(sent_at=10.0, now=10.5)
    assert window.size == 16
    window.overloaded(sent_at=10.6, now=10.7)
    assert window.size < 16


def test_a_queue_that_is_long_and_grows_means_less():
    window = Window(64)
    for at, waiting in enumerate([0, 2, 1]):
        window.queue(waiting, 100.0 + at)
    assert window.size == 32, "a queue that is short is what keeps a server busy"
    window.queue(40, 110.0)
    window.queue(40, 111.0)
    assert window.size < 32, "it grew"
    size = window.size
    window.queue(39, 112.0)
    assert window.size == size, "it shrinks by itself"


def test_without_work_for_more_it_does_not_grow():
    """Ten requests at a time, fast: the rate says nothing of a larger window."""
    window, now = Window(512), 100.0
    for _ in range(1000):
        for _ in range(10):
            window.take()
        now += 0.1
        for _ in range(10):
            window.in_flight -= 1
            window.answered(now)
    assert window.size == 32


def test_back_from_an_outage_one_request_goes_first():
    simulation = Simulation(Window(256), capacity=10_000, latency_s=0.3).run(8)
    simulation.window.restart()
    assert simulation.window.size == 1
    assert simulation.run(20).window.size == 256


@given(**SERVERS, queues=st.booleans(), metrics=st.booleans())
def test_never_over_the_cap_nor_under_one(capacity, cap, latency_s, queues, metrics):
    simulation = Simulation(Window(cap), capacity, latency_s, queues, metrics).run(20 * latency_s)
    assert simulation.most_in_flight <= cap
    assert min(simulation.sizes) >= 1 and max(simulation.sizes) <= cap


@examples(10)
@given(**SERVERS, metrics=st.booleans())
def test_a_server_that_queues_is_kept_busy(capacity, cap, latency_s, metrics):
    simulation = Simulation(Window(cap), capacity, latency_s, metrics=metrics).run(40 * max(latency_s, 0.3))
    assert rate(simulation, 40 * latency_s) >= 0.8 * min(cap, capacity) / latency_s
