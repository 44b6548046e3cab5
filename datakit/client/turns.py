"""The order of requests: one that is retried goes first, then the oldest, as soon as a replica has a place.

A place that comes free is given to a waiting request at once, so that no later request can take it first.
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
    """True if it was sent before."""
    tried: set[Replica] = field(default_factory=set)
    """Replicas that are used only if no other has a place."""
    handed: asyncio.Future[Replica | None] | None = None
    """The replica with a place for it, once there is one; None if there will be none."""


class Turns:
    """The places at some replicas: no place stays free while a waiting request may use it."""

    def __init__(self, replicas: Sequence[Replica]) -> None:
        self.closed = False
        self.holding = False
        """True if only requests that were sent before may go out."""
        self.n_begun = 0
        """Requests that were sent and have not ended: in flight, or to be retried."""
        self._replicas = replicas
        self._numbers = itertools.count()
        self._waiting: list[tuple[bool, int, Turn]] = []  # a heap: (never sent, number, turn)

    def join(self) -> Turn:
        """Return the turn of a new request; it ends with `leave`."""
        return Turn(next(self._numbers))

    def leave(self, turn: Turn) -> None:
        """End a turn: its request was answered, or will not be retried."""
        self.n_begun -= turn.begun

    async def place(self, turn: Turn) -> Replica | None:
        """Take a place and return its replica, for `give_back`; return None once nothing may go out."""
        while not self.closed:
            if (replica := self._free(turn)) is not None:
                replica.window.take()
                self.n_begun += not turn.begun
                turn.begun = True
                return replica
            await self._wait(turn)
        return None

    def give_back(self, replica: Replica) -> None:
        """Return the place of a request that has ended."""
        replica.window.in_flight -= 1
        self.hand_out()

    def hand_out(self) -> None:
        """Hand free places to waiting requests. Call it whenever places may have come free."""
        while self._waiting:
            turn = self._waiting[0][-1]
            if turn.handed is not None and not turn.handed.done():
                replica = self._free(turn)
                if replica is None:
                    return
                replica.window.take()
                turn.handed.set_result(replica)
            heappop(self._waiting)  # it got a place, or was cancelled

    def close(self) -> None:
        """Let nothing more go out, not even into places that were handed over but are not used yet."""
        self.closed = True
        for *_, turn in self._waiting:
            if turn.handed is not None and not turn.handed.done():
                turn.handed.set_result(None)
        self._waiting.clear()

    async def _wait(self, turn: Turn) -> None:
        """Wait for this turn. The place that was kept is then released, because the replica may be down or resting by now, or
        its window smaller; the waiter looks again before any other request can."""
        waited_before = turn.handed is not None
        turn.handed = handed = asyncio.get_running_loop().create_future()
        heappush(self._waiting, (not turn.begun, turn.number, turn))
        if waited_before:
            self.hand_out()  # the place that was kept for it may be of use to another
        try:
            replica = await handed
        except asyncio.CancelledError:
            if handed.done() and not handed.cancelled() and (kept := handed.result()) is not None:
                self.give_back(kept)  # cancelled between getting the place and using it: the next one gets it
            raise
        if replica is not None:
            replica.window.in_flight -= 1

    def _free(self, turn: Turn) -> Replica | None:
        """Return the replica with a place and the least to do; one that this turn has not tried goes first."""
        if self.holding and not turn.begun:
            return None
        best, least = None, (True, 0.0)
        for replica in self._replicas:
            if replica.usable:
                load = replica in turn.tried, replica.window.in_flight / replica.window.size
                if best is None or load < least:
                    best, least = replica, load
        return best
