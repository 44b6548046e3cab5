"""Whose request goes out next: laws over any order of events, without a server and without a clock.

Requests are tasks that wait for a place and keep it until the test ends them; what a replica's window, health and rest do to
them is set by hand. Between two events the loop runs as often as the example says, so that what was handed over and not used
yet is met as well.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datakit.client import OPEN, Answer, Client, Replica, calls
from datakit.client.turns import Turn, Turns
from tests.helpers.asking import ask, number_of, with_client
from tests.helpers.fake_endpoint import Body, Fake, running
from tests.helpers.laws import examples

FOR_EVER_S = 1e9


@dataclass
class Play:
    """Some replicas, the requests that want places there, and what became of them."""

    turns: Turns
    replicas: list[Replica]
    requests: list[tuple[Turn, asyncio.Task[Replica | None]]] = field(default_factory=list)
    out: dict[int, tuple[Turn, Replica]] = field(default_factory=dict)
    """Requests on their way, by number."""
    went: list[int] = field(default_factory=list)
    """Numbers of those that went out, in order; one that is asked again goes out again."""

    def come(self) -> None:
        """A new request."""
        self._want(self.turns.join())

    def _want(self, turn: Turn) -> None:
        self.requests.append((turn, asyncio.ensure_future(self._go(turn))))

    async def _go(self, turn: Turn) -> Replica | None:
        replica = await self.turns.place(turn)
        if replica is not None:
            assert replica.up and replica.resting_until < time.monotonic(), "nothing goes to one that is down or rests"
            assert replica.in_flight <= replica.window.size, "never more than the window"
            self.out[turn.number] = turn, replica
            self.went.append(turn.number)
        return replica

    def waiting(self) -> list[Turn]:
        return [turn for turn, task in self.requests if not task.done()]

    def come_together(self, n: int) -> None:
        for _ in range(n):
            self.come()

    def end(self, which: int, again: bool = False) -> None:
        """One of those on their way ends."""
        if self.out:
            self.finish(sorted(self.out)[which % len(self.out)], again)

    def finish(self, number: int, again: bool = False) -> None:
        """It is answered, or fails and is asked again."""
        turn, replica = self.out.pop(number)
        self.turns.give_back(replica)
        if again:
            turn.tried = {replica} if replica not in turn.tried else set()
            self._want(turn)
        else:
            self.turns.leave(turn)

    def cancel(self, which: int) -> None:
        """Whoever wanted the request is gone; it may have its place already, and not know."""
        waiting = [(turn, task) for turn, task in self.requests if not task.done() and not task.cancelling()]
        if waiting:
            turn, task = waiting[which % len(waiting)]
            task.cancel()
            self.turns.leave(turn)

    def replica(self, which: int) -> Replica:
        return self.replicas[which % len(self.replicas)]

    def grow(self, which: int) -> None:
        """By several places at once."""
        self.replica(which).window.size += 2
        self.turns.hand_out()

    def shrink(self, which: int) -> None:
        """An overload: less than are on their way, it may be."""
        window = self.replica(which).window
        window.size = max(1, window.size // 2)

    def come_back(self, which: int) -> None:
        """After an outage or a rest."""
        self.replica(which).come_back()
        self.turns.hand_out()

    def check_settled(self) -> None:
        """What holds when everyone who was woken has had a moment."""
        taken = {replica: sum(at is replica for _, at in self.out.values()) for replica in self.replicas}
        assert taken == {replica: replica.in_flight for replica in self.replicas}, "every place has its request"
        assert self.turns.n_begun == len({turn.number for turn in self.waiting() if turn.begun} | set(self.out))
        usable = any(replica.usable for replica in self.replicas)
        allowed = [turn for turn in self.waiting() if turn.begun or not self.turns.holding]
        assert not (usable and allowed), "no place is idle while somebody waits"


async def settle(rounds: int = 10) -> None:
    for _ in range(rounds):
        await asyncio.sleep(0)


EVENTS: dict[str, Callable[[Play, int], Any]] = {
    "come": lambda play, which: play.come_together(1 + which % 3),
    "answered": lambda play, which: play.end(which),
    "fails": lambda play, which: play.end(which, again=True),
    "cancelled": lambda play, which: play.cancel(which),
    "down": lambda play, which: setattr(play.replica(which), "up", False),
    "rests": lambda play, which: play.replica(which).rest(FOR_EVER_S),
    "shrinks": lambda play, which: play.shrink(which),
    "grows": lambda play, which: play.grow(which),
    "back": lambda play, which: play.come_back(which),
}


def play(work: Callable[[Play], Any], windows: list[int]) -> None:
    """Do the work over fresh replicas with these windows."""

    async def main() -> None:
        replicas = [Replica(f"http://{at}/v1", OPEN, size, 1.0) for at, size in enumerate(windows)]
        played = Play(Turns(replicas), replicas)
        await work(played)
        played.turns.close()
        await asyncio.gather(*(task for _, task in played.requests), return_exceptions=True)
        for _, task in played.requests:
            assert task.cancelled() or task.exception() is None, task.exception()

    asyncio.run(main())


@examples(200)
@given(
    windows=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    events=st.lists(st.tuples(st.sampled_from([*EVENTS, "come", "come"]), st.integers(0, 29), st.integers(0, 3)), max_size=60),
)
def test_whatever_happens_no_place_is_lost_nor_idle_nor_used_twice(windows, events):
    async def work(played: Play) -> None:
        for name, which, rounds in events:
            EVENTS[name](played, which)
            await settle(rounds)
            if rounds == 3:
                await settle()
                played.check_settled()
        for replica in played.replicas:
            replica.come_back()
        played.turns.hand_out()
        for _ in range(4 * len(played.requests)):
            await settle(3)
            played.end(0)
        assert not played.waiting() and not played.out, "and everyone has had a turn"
        assert played.turns.n_begun == 0 and all(replica.in_flight == 0 for replica in played.replicas)

    play(work, windows)


@given(windows=st.lists(st.integers(1, 8), min_size=1, max_size=3), chance=st.randoms(use_true_random=False))
def test_beside_an_endless_stream_everyone_has_a_turn(windows, chance: random.Random):
    """A worker that is done comes again at once. One that is asked again is the next to go out, a new one waits its turn."""

    async def work(played: Play) -> None:
        workers = sum(windows) + 5
        for _ in range(workers):
            played.come()
        await settle()
        for step in range(100):
            number = chance.choice(sorted(played.out))
            played.finish(number, again=step % 10 == 9)
            played.come()
            await settle()
            if step % 10 == 9 and number not in played.out:
                at = len(played.went)
                played.finish(chance.choice(sorted(played.out)))
                await settle()
                assert played.went[at] == number, "the next place is its"
                played.come()
            played.check_settled()
        first = list(dict.fromkeys(played.went))
        assert first == sorted(first), "first come, first served"

    play(work, windows)


def test_who_was_cancelled_with_a_place_in_hand_passes_it_on():
    """The place is handed over before it is used; nothing else would wake the next one."""

    async def work(played: Play) -> None:
        for _ in range(3):
            played.come()
        await settle()
        assert played.went == [0]
        played.end(0)
        played.requests[1][1].cancel()
        await settle()
        assert played.went == [0, 2]

    play(work, [1])


@pytest.mark.parametrize("change", ["down", "rests", "smaller", "held", "closed"])
def test_a_place_in_hand_is_not_used_where_that_is_no_longer_right(change):
    async def work(played: Play) -> None:
        replica = played.replicas[0]
        for _ in range(3):
            played.come()
        await settle()
        played.end(0)
        match change:
            case "down":
                replica.up = False
            case "rests":
                replica.rest(FOR_EVER_S)
            case "smaller":
                replica.window.size = 1
            case "held":
                played.turns.holding = True
            case "closed":
                played.turns.close()
        await settle()
        assert played.went == [0, 1] and replica.in_flight == 1
        if change == "held":
            played.end(0, again=True)
            await settle()
            assert played.went == [0, 1, 1], "what was sent before may go out"

    play(work, [2])


# ------------------------------------------------------------------------------------------------------ over a real server


@pytest.mark.parametrize("urls", [1, 2])
def test_requests_go_out_in_the_order_in_which_they_came(urls):
    """A worker that has its answer does not overtake those who wait."""
    cap = 4

    async def work(client: Client) -> None:
        async def answer(number: int) -> None:
            await ask(client, number)

        await client.work_through(iter(range(200)), answer)

    with running(Fake()) as one, running(Fake()) as other:
        with_client([one, other][:urls], work, max_in_flight=cap)
        for fake in [one, other][:urls]:
            numbers = [number_of(body) for body in fake.requests]
            late = [max(numbers[: at + 1]) - number for at, number in enumerate(numbers)]
            assert max(late) <= 3 * cap * urls, "at most as late as answers overtake each other"


def test_what_is_asked_again_does_not_wait_for_the_stream_to_end(monkeypatch):
    monkeypatch.setattr(calls, "backoff", lambda times: 0.0)
    cap, failed = 4, set[int]()

    def once(_: int, body: Body) -> str | None:
        number = number_of(body)
        if number % 20 == 7 and number not in failed:
            failed.add(number)
            return "500"
        return None

    async def work(client: Client) -> list[Answer]:
        answers: list[Answer] = []

        async def answer(number: int) -> None:
            answers.append(await ask(client, number))

        await client.work_through(iter(range(200)), answer)
        return answers

    with running(Fake(fault=once)) as fake:
        assert len(with_client(fake, work, max_in_flight=cap)) == 200
    numbers = [number_of(body) for body in fake.requests]
    for number in failed:
        first = numbers.index(number)
        assert numbers.index(number, first + 1) - first <= 3 * cap, "about a window of others, not the rest of them"
