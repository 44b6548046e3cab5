"""Early ends of work over clients: no new requests, and a bounded wait for those in flight."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from datakit.wording import counted


class Drainable(Protocol):
    """A client of either kind (Client, BatchClient)."""

    @property
    def in_flight(self) -> int:
        """Requests in flight now."""
        ...

    def drain(self) -> None:
        """Send no more requests."""
        ...


@dataclass
class Drain:
    """The clients and tasks of one piece of work, as an async context manager; leaving it cancels the remaining tasks."""

    grace_s: float
    """Seconds to wait for answers in flight after a signal."""
    say: Callable[[str], None]
    clients: list[Drainable] = field(default_factory=list)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    begun: bool = False
    _wished: bool = False
    _loop: asyncio.AbstractEventLoop | None = None

    async def __aenter__(self) -> Drain:
        self._loop = asyncio.get_running_loop()
        if self._wished:
            self.soon()
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._loop = None
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    def soon(self) -> None:
        """Begin to end, within `grace_s` seconds. Called by a signal, at any moment, even before there is anything to drain."""
        self._wished = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self.begin, "interrupted; once more leaves at once", self.grace_s)

    def begin(self, why: str, grace_s: float | None = None) -> None:
        """Send no new requests, and wait for those in flight as long as their own time limit or `grace_s` allows."""
        if grace_s is not None:
            asyncio.get_running_loop().call_later(grace_s, lambda: [task.cancel() for task in self.tasks])
        elif self.begun:
            return
        self.begun = True
        on_their_way = sum(client.in_flight for client in self.clients)
        if on_their_way:
            limit = "" if grace_s is None else f"up to {grace_s:.0f} s "
            self.say(f"{why}: waiting {limit}for {counted(on_their_way, 'requests')} under way")
        self.send_no_more()

    def send_no_more(self) -> None:
        """Send no new requests, at any of the clients."""
        for client in self.clients:
            client.drain()
