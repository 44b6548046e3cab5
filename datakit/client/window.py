"""How many requests one URL may have in flight: found by trying, between 1 and the recipe's cap.

The window doubles as long as the server answers faster for it (more in flight at the same latency is a higher rate), steps back
where it only waits longer, and then tries now and again. Where the server says how many requests wait in its own queue (vLLM's
/metrics), that is what counts. An overload (429, 503) cuts it at once.
"""

from __future__ import annotations

FIRST = 32
WORTH = 1.1  # a larger window must bring this many times the rate
TRY_EVERY = 8  # rounds at one size before a larger one is tried again
ROUND_S = 0.25  # a round lasts at least so long, or its rate is noise


class Window:
    """Places for requests in flight at one URL. A round is as many answers as there are places."""

    def __init__(self, cap: int) -> None:
        self.cap = cap
        self.size = min(cap, FIRST)
        self.in_flight = 0
        self._starting = True  # doubling, until that does not pay or the server is overloaded
        self._before: int | None = None  # the size that a trial goes back to
        self._rate = 0.0  # answers a second at that size
        self._quiet = 0  # rounds since the last trial
        self._waiting: int | None = None
        self._since_cut = self.size  # answers
        self._cut_at = self._began_at = 0.0
        self._begin(0.0)  # no time: the clock starts with the first answer, for waiting for that one is no rate

    @property
    def free(self) -> bool:
        """Whether one more request may go out."""
        return self.in_flight < self.size

    def take(self) -> None:
        """One request goes out."""
        self.in_flight += 1
        self._full |= self.in_flight >= self.size  # once in a round is enough: places come free before they are taken again

    def answered(self, now: float) -> None:
        """A request was answered at the time `now` (seconds, monotonic)."""
        self._answers += 1
        self._since_cut += 1
        self._began_at = self._began_at or now
        # A later trial adds half, not as much again: its gain is nearer to the noise, and it lasts two rounds.
        wanted = self.size if self._starting or self._before is None else 2 * self.size
        if self._answers > wanted and now - self._began_at >= ROUND_S:
            self._end_round((self._answers - 1) / (now - self._began_at))
            self._begin(now)

    def overloaded(self, sent_at: float, now: float) -> bool:
        """The server had too much. Says whether this is news: one cut stands for all that was sent before it."""
        if sent_at < self._cut_at:  # else the hundred requests that one overload refuses would cut a hundred times
            return False
        self._cut(0.5 if self._starting else 0.8, now)  # while doubling, half is what was enough before
        return True

    def queue(self, waiting: int, now: float) -> None:
        """The server's own queue has `waiting` requests: where it is long, and not shorter than last time, less is enough.

        What a cut does is seen only when so many requests as were in flight have been answered.
        """
        stays = waiting >= (self._waiting or 0)
        self._waiting = waiting
        if stays and waiting > max(2, self.size // 8) and self._since_cut >= self.size:  # a short queue keeps the server busy
            self._cut(0.8, now)

    def restart(self) -> None:
        """Back from an outage: one request first, then as at the start."""
        self.size, self._starting, self._before, self._rate = 1, True, None, 0.0
        self._begin(0.0)

    def _cut(self, share: float, now: float) -> None:
        """Fewer places, and no trial in this round: where one goes on, the size before it is enough."""
        self.size = max(1, min(int(self.size * share), self._before or self.size))
        self._starting, self._before, self._quiet, self._rate = False, None, 0, 0.0  # the rate was that of an overload
        self._since_cut, self._cut_at = 0, now
        self._begin(now)

    def _begin(self, now: float) -> None:
        self._answers = 1 if now else 0  # the answer that ends a round begins the next; a rate counts those after it
        self._began_at = now
        self._full = self.in_flight >= self.size

    def _end_round(self, rate: float) -> None:
        if not self._full:  # nobody asked for more places: the rate says nothing of the size
            return
        pays = self._waiting == 0 if self._waiting is not None else rate > WORTH * self._rate  # see `queue`: it knows better
        if self._before is not None and not pays:  # back; the rate stays that of the size before
            self.size, self._before, self._starting, self._quiet = self._before, None, False, 0
            return
        self._rate = rate
        self._quiet += not self._waiting  # while requests wait at the server, more of them are no use
        if self.size < self.cap and (self._starting or self._before is not None or self._quiet >= TRY_EVERY):
            self._before, self._quiet = self.size, 0
            self.size = min(self.cap, self.size * 2 if self._starting else max(self.size + 1, self.size * 3 // 2))
        else:
            self._before = None
