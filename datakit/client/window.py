"""How many requests one URL may have in flight: found by trying, between 1 and the recipe's cap.

The window doubles as long as that makes the server answer faster (more in flight at the same latency is a higher rate), steps
back when requests only wait longer, and tries again from time to time. If the server reports how many requests wait in its own
queue (vLLM's /metrics), that decides instead. An overload (429, 503) cuts the window at once.
"""

from __future__ import annotations

FIRST = 32
WORTH = 1.1  # a larger window must bring this many times the rate
TRY_EVERY = 8  # rounds at one size before a larger one is tried again
ROUND_S = 0.25  # seconds: a shorter round has a noisy rate


class Window:
    """Places for requests in flight at one URL. A round is as many answers as there are places; `cap`: the most places."""

    def __init__(self, cap: int) -> None:
        self.cap = cap
        self.size = min(cap, FIRST)
        self.in_flight = 0
        self._starting = True  # doubling, until that does not pay or the server is overloaded
        self._before: int | None = None  # the size that a trial goes back to
        self._rate = 0.0  # answers per second at that size
        self._quiet = 0  # rounds since the last trial
        self._waiting: int | None = None
        self._since_cut = self.size  # answers since the last cut
        self._cut_at = self._began_at = 0.0
        self._begin(0.0)  # the clock starts with the first answer: the wait for it is not a rate

    @property
    def free(self) -> bool:
        """True if one more request may go out."""
        return self.in_flight < self.size

    def take(self) -> None:
        """Take a place for a request."""
        self.in_flight += 1
        self._full |= self.in_flight >= self.size  # once per round is enough: places come free before they are taken again

    def answered(self, now: float) -> None:
        """Count an answer, received at `now` (seconds, monotonic)."""
        self._answers += 1
        self._since_cut += 1
        self._began_at = self._began_at or now
        # A later trial adds half, not as much again: its gain is closer to the noise, so it lasts two rounds.
        wanted = self.size if self._starting or self._before is None else 2 * self.size
        if self._answers > wanted and now - self._began_at >= ROUND_S:
            self._end_round((self._answers - 1) / (now - self._began_at))
            self._begin(now)

    def overloaded(self, sent_at: float, now: float) -> bool:
        """Cut the window, unless the request was sent before the last cut. Return True if it was cut."""
        if sent_at < self._cut_at:  # otherwise the hundred requests that one overload refuses would cut a hundred times
            return False
        self._cut(0.5 if self._starting else 0.8, now)  # while doubling, half was enough before
        return True

    def queue(self, waiting: int, now: float) -> None:
        """Cut the window if the server's own queue, of `waiting` requests, is long and not shorter than last time.

        The effect of a cut is visible only after as many answers as requests were in flight.
        """
        stays = waiting >= (self._waiting or 0)
        self._waiting = waiting
        if stays and waiting > max(2, self.size // 8) and self._since_cut >= self.size:  # a short queue keeps the server busy
            self._cut(0.8, now)

    def restart(self) -> None:
        """Start again after an outage: one request first, then as at the start."""
        self.size, self._starting, self._before, self._rate = 1, True, None, 0.0
        self._begin(0.0)

    def _cut(self, share: float, now: float) -> None:
        """Shrink the window and end any trial: the size before the trial is enough."""
        self.size = max(1, min(int(self.size * share), self._before or self.size))
        self._starting, self._before, self._quiet, self._rate = False, None, 0, 0.0  # the rate was that of an overload
        self._since_cut, self._cut_at = 0, now
        self._begin(now)

    def _begin(self, now: float) -> None:
        self._answers = 1 if now else 0  # the answer that ends a round begins the next; a rate counts those after it
        self._began_at = now
        self._full = self.in_flight >= self.size

    def _end_round(self, rate: float) -> None:
        if not self._full:  # no request needed more places, so the rate says nothing about the size
            return
        pays = self._waiting == 0 if self._waiting is not None else rate > WORTH * self._rate  # the queue is the better measure
        if self._before is not None and not pays:  # back; the rate stays that of the size before
            self.size, self._before, self._starting, self._quiet = self._before, None, False, 0
            return
        self._rate = rate
        self._quiet += not self._waiting  # while requests wait at the server, more of them are useless
        if self.size < self.cap and (self._starting or self._before is not None or self._quiet >= TRY_EVERY):
            self._before, self._quiet = self.size, 0
            self.size = min(self.cap, self.size * 2 if self._starting else max(self.size + 1, self.size * 3 // 2))
        else:
            self._before = None
