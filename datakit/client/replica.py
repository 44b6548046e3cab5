"""One URL of a model: its connections, its window, and whether it is up.

A replica that cannot be reached or fails repeatedly is down: it gets no requests, and is probed until it answers. One that is
silent while requests are in flight is probed too; if it hangs, they are given up and sent elsewhere.
"""

from __future__ import annotations

import random
import re
import time
import urllib.request
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from datakit.client.access import Access, at, server_url
from datakit.client.faults import Fault, of_exception, of_status
from datakit.client.models import models_of
from datakit.client.window import Window

if TYPE_CHECKING:
    import aiohttp

CONNECT_S = 10.0  # an address that swallows packets is away, however long an answer may take
KEEP_ALIVE_S = 4.0  # servers close idle connections after five seconds or later
PROBE_S = 3.0
FAILURES = 5  # in a row that mean that it is down
LONGEST_PAUSE_S = 30.0
LOCAL = ("127.0.0.1", "localhost", "::1")  # never through a proxy
_WAITING = re.compile(rb"^vllm:num_requests_waiting(?:\{[^}]*\})? ([0-9.e+]+)", re.MULTILINE)


class Replica:
    """One base URL. The client takes and returns places in its window, and reports the outcome of requests."""

    def __init__(self, url: str, access: Access, cap: int, timeout_s: float) -> None:
        self.url = url.rstrip("/")
        self.window = Window(cap)
        self.waiting: int | None = None
        self.up = True
        self.has_answered = False
        self.locked = False
        """True if its last answer rejected our key or account."""
        self.away = False
        """True if nothing was there at the last request."""
        self._failures = self._overloads = 0  # since the last answer
        self.resting_until = 0.0
        self.heard_at = time.monotonic()
        self._outages = 0
        self._access = access
        self._timeout_s = timeout_s
        self._session: aiohttp.ClientSession | None = None
        self._reading: set[aiohttp.ClientResponse] = set()
        """Answers that are being read."""

    @property
    def state(self) -> Literal["up", "resting", "down"]:
        """See progress.ReplicaProgress."""
        if not self.up:
            return "down"
        return "resting" if self.resting_until > time.monotonic() else "up"

    @property
    def in_flight(self) -> int:
        """Requests in flight now."""
        return self.window.in_flight

    @property
    def usable(self) -> bool:
        """True if it may get a request now."""
        return self.up and self.window.free and self.resting_until <= time.monotonic()

    async def post(self, path: str, data: bytes) -> tuple[bytes, Mapping[str, str]]:
        """Return body and headers of a 200. Raise a Fault for everything else."""
        import aiohttp

        try:
            async with self._open().post(at(self.url, path), data=data, allow_redirects=False) as response:
                self._reading.add(response)
                try:
                    body = await response.read()
                finally:
                    self._reading.discard(response)
                if response.status == 200:
                    return body, response.headers
                raise of_status(response.status, self._access.hide(body), response.headers, data, self._access.has_key)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise of_exception(error) from error

    def answered(self, now: float) -> None:
        """Record a usable answer, at `now` (seconds, monotonic)."""
        self.heard_at, self.has_answered, self.locked, self.away = now, True, False, False
        self._failures = self._overloads = self._outages = 0
        self.window.answered(now)

    def failed(self, fault: Fault) -> bool:
        """Record a failure. Return True if the replica is down: nothing is there, or it failed too often in a row."""
        self.away, self.locked = fault.meaning == "away", fault.meaning in ("unusable", "account")
        self._failures += fault.meaning not in ("overload", "forbidden")
        return self.away or self.locked or self._failures >= FAILURES

    def overloaded(self, fault: Fault, sent_at: float) -> float:
        """Record an overload. Return the seconds without new requests: its Retry-After, else longer each time; 0 for none."""
        news = self.window.overloaded(sent_at, time.monotonic())
        self._overloads += news
        if fault.retry_after_s is not None:
            return fault.retry_after_s
        return backoff(self._overloads) if news else 0.0

    def rest(self, seconds: float) -> None:
        """Send no new requests for this many seconds."""
        self.resting_until = max(self.resting_until, time.monotonic() + seconds)

    async def go_down(self) -> None:
        """Stop sending requests; those in flight fail now."""
        self.up = False
        await self.close()

    def come_back(self) -> None:
        """Allow one request, and more once it is answered."""
        self.up, self.heard_at, self.resting_until = True, time.monotonic(), 0.0
        self.window.restart()

    def next_pause(self) -> float:
        """Return the seconds until the next probe: longer each time, with jitter."""
        self._outages += 1
        return backoff(self._outages)

    async def is_alive(self) -> bool:
        """Return True if it answers /health (vLLM's reports a dead engine) or, without one, the list of models."""
        status, _ = await self._get(at(server_url(self.url), "/health"))
        if status is None or (not 200 <= status < 300 and status < 500):
            status, _ = await self._get(at(self.url, "/models"))
        return status is not None and status < 500

    async def read_queue(self) -> bool:
        """Read the length of its queue from vLLM's /metrics; return False if it has none."""
        status, body = await self._get(at(server_url(self.url), "/metrics"))
        found = _WAITING.findall(body) if status == 200 else []
        if not found:
            return status is None or status >= 500  # it did not say this time; try again
        self.waiting = int(sum(map(float, found)))
        self.window.queue(self.waiting, time.monotonic())
        return True

    async def models(self) -> list[str]:
        """Return the names of the models that it lists; empty if it lists none."""
        status, body = await self._get(at(self.url, "/models"))
        try:
            return models_of(body) if status == 200 else []
        except (ValueError, LookupError, TypeError):
            return []

    async def close(self) -> None:
        """Close its connections, including those in use."""
        import aiohttp

        for response in self._reading:  # aiohttp forgets them: they would wait until timeout_s
            response.content.set_exception(aiohttp.ClientConnectionError("given up in the middle of its answer"))
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _get(self, url: str) -> tuple[int | None, bytes]:
        """Return status and body; the status is None if it does not answer."""
        import aiohttp

        timeout = aiohttp.ClientTimeout(total=PROBE_S)
        try:
            async with self._open().get(url, timeout=timeout, allow_redirects=False) as response:
                return response.status, await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None, b""

    def _open(self) -> aiohttp.ClientSession:
        """Return the session, which has no limit of connections of its own: the window is the limit."""
        import aiohttp

        if self._session is None:
            parts = urlsplit(self.url)
            direct = parts.hostname in LOCAL or urllib.request.proxy_bypass(parts.hostname or "")
            self._session = aiohttp.ClientSession(
                cookie_jar=aiohttp.DummyCookieJar(),
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_S),
                timeout=aiohttp.ClientTimeout(total=self._timeout_s, sock_connect=min(CONNECT_S, self._timeout_s)),
                headers={"Content-Type": "application/json", **self._access.headers},
                # Read here, because trust_env would also send what ~/.netrc has for the host.
                proxy=None if direct else urllib.request.getproxies().get(parts.scheme),
            )
        return self._session


def backoff(times: int) -> float:
    """Return the seconds to wait after `times` failures: doubling, with jitter, at most LONGEST_PAUSE_S."""
    return min(LONGEST_PAUSE_S, 0.25 * 2.0 ** min(times, 10)) * random.uniform(0.5, 1.0)
