"""Whose request goes out next: one that is asked again, else the one that came first, as soon as a replica has a place.

A place that comes free is handed to a request that waits in the same moment, so that nobody who comes later takes it first.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush

from datakit.client.replica import Replica


@dataclass(slots=True, eq=False)
class Turn:
    """One request, from its first attempt to its end."""

    number: int
    begun: bool = False
    """Whether it was sent before."""
    tried: set[Replica] = field(default_factory=set)
    """Replicas that are asked only where no other has a place."""
    handed: asyncio.Future[Replica | None] | None = None
    """What it waits for: the replica where a place is kept for it, None where there will be none."""


class Turns:
    """The places at some replicas, for requests that wait for them: no place is free while a request waits that may have it."""

    def __init__(self, replicas: Sequence[Replica]) -> None:
        self.closed = False
        self.holding = False
        """Whether only those that were sent before may go out."""
        self.n_begun = 0
        """Requests that were sent and have not ended: on their way, or to be asked again."""
        self._replicas = replicas
        self._numbers = itertools.count()
        self._waiting: list[tuple[bool, int, Turn]] = []  # a heap: (never sent, number, turn)

    def join(self) -> Turn:
        """The turn of a new request; it ends with `leave`."""
        return Turn(next(self._numbers))

    def leave(self, turn: Turn) -> None:
        """Its request was answered, or will not be asked again."""
        self.n_begun -= turn.begun

    async def place(self, turn: Turn) -> Replica | None:
        """A replica with a place taken, to be given back; None once nothing may go out any more."""
        while not self.closed:
            if (replica := self._free(turn)) is not None:
                replica.window.take()
                self.n_begun += not turn.begun
                turn.begun = True
                return replica
            await self._wait(turn)
        return None

    def give_back(self, replica: Replica) -> None:
        """A request has ended at this replica, one way or another."""
        replica.window.in_flight -= 1
        self.hand_out()

    def hand_out(self) -> None:
        """Keep a place for each that waits, as far as there are any; called whenever there may be more of them."""
        while self._waiting:
            turn = self._waiting[0][-1]
            if turn.handed is not None and not turn.handed.done():
                replica = self._free(turn)
                if replica is None:
                    return
                replica.window.take()
                turn.handed.set_result(replica)
            heappop(self._waiting)  # it has a place, or was cancelled

    def close(self) -> None:
        """Nothing goes out any more, not even where a place was handed over and not used yet."""
        self.closed = True
        for *_, turn in self._waiting:
            if turn.handed is not None and not turn.handed.done():
                turn.handed.set_result(None)
        self._waiting.clear()

    async def _wait(self, turn: Turn) -> None:
        """Until it is this one's turn. The place that was kept is free again then, for the replica may be down by now, resting,
        or its window smaller: who waited looks again, before anyone else can."""
        waited_before = turn.handed is not None
        turn.handed = handed = asyncio.get_running_loop().create_future()
        heappush(self._waiting, (not turn.begun, turn.number, turn))
        if waited_before:
            self.hand_out()  # what was kept for it may be of use to another
        try:
            replica = await handed
        except asyncio.CancelledError:
            if handed.done() and not handed.cancelled() and (kept := handed.result()) is not None:
                self.give_back(kept)  # cancelled between having the place and using it: it is the next one's
            raise
        if replica is not None:
            replica.window.in_flight -= 1

    def _free(self, turn: Turn) -> Replica | None:
        """The replica with a place that has the least to do, one that was not tried yet first."""
        if self.holding and not turn.begun:
            return None
        best, least = None, (True, 0.0)
        for replica in self._replicas:
            if replica.usable:
                load = replica in turn.tried, replica.window.in_flight / replica.window.size
                if best is None or load < least:
                    best, least = replica, load
        return best
