"""The pace of the parts of a stage: their polls, kept for a while, and rates over them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from datakit.progress import Poll, Progress

RECENT_S = 30.0  # window of the rates that are shown
STEADY_S = 300.0  # longer window for the remaining time, because long answers end in bursts
KEPT_EVERY_S = 1.0


@dataclass(frozen=True)
class Pace:
    """A part (or all parts) at one moment; rates are per second."""

    total: int
    """Rows that the run will have in the end, those of earlier builds included."""
    now: Progress
    """Rows that this build has made."""
    rows: float
    requests: float
    tokens: float
    began_at: float
    seen_at: float
    """The time of its last row or of the last look, on the clock of `began_at`."""
    left_s: float | None
    """Remaining seconds; None if no rows come, or none are left."""
    note: str = ""
    there: int = 0
    """Rows that the run had when the stage started."""

    @property
    def done(self) -> int:
        """The rows that the run has now."""
        return self.there + self.now.done

    @property
    def took_s(self) -> float:
        return self.seen_at - self.began_at

    @property
    def finished(self) -> int:
        return self.there + _finished(self.now)

    @property
    def is_done(self) -> bool:
        return self.finished >= self.total


class Part:
    """One part of a stage (a source model, a verifier, a judge).

    A part with a poll starts with the poll's first activity, because servers take turns; one without starts with the stage.
    """

    def __init__(
        self, missing: int, poll: Poll | None = None, clock: Callable[[], float] = time.monotonic, there: int = 0
    ) -> None:
        self.missing = missing
        self.there = there
        self.note = ""
        self._done = self._failed = 0
        self._takes_turns = poll is not None
        self._poll = poll or (lambda: Progress(self._done, self._failed))
        self._clock = clock
        self._at = self._began_at = clock()
        self._now = Progress()
        self._kept: deque[tuple[float, Progress]] = deque([(self._at, self._now)])

    def advance(self, done: int, failed: int) -> None:
        """Count rows of a part without a poll."""
        self._done, self._failed = self._done + done, self._failed + failed

    def look(self) -> None:
        """Read the poll. The clock of a finished part stands still."""
        if self._takes_turns and self._now == Progress():
            self._began_at = self._at
            self._kept = deque([(self._at, self._now)])
        was_done = _finished(self._now) >= self.missing
        self._now = self._poll()
        if was_done:
            return
        self._at = self._clock()
        if self._at - self._kept[-1][0] >= KEPT_EVERY_S:
            self._kept.append((self._at, self._now))
        while len(self._kept) > 1 and self._kept[1][0] <= self._at - STEADY_S:
            self._kept.popleft()

    def pace(self, ended: bool = False) -> Pace:
        """Return the pace at the last look. Rates are recent ones, or means since the start if the stage or the part has
        ended."""
        now = self._now
        over_s = self._at - self._began_at if ended or _finished(now) >= self.missing else RECENT_S
        steady, left = self._rate(_finished, STEADY_S), self.missing - _finished(now)
        return Pace(
            total=self.there + self.missing,
            now=now,
            rows=self._rate(_finished, over_s),
            requests=self._rate(lambda seen: seen.requests, over_s),
            tokens=self._rate(lambda seen: seen.completion_tokens, over_s),
            began_at=self._began_at,
            seen_at=self._at,
            left_s=left / steady if steady > 0 and left > 0 and not ended else None,
            note=self.note,
            there=self.there,
        )

    def _rate(self, count: Callable[[Progress], int], over_s: float) -> float:
        """Return the rate per second over the last `over_s` seconds, or since the start if that is shorter."""
        began = (self._began_at, Progress())
        first = began if over_s >= self._at - self._began_at else self._kept[0]
        since, before = next((kept for kept in reversed(self._kept) if kept[0] <= self._at - over_s), first)
        return (count(self._now) - count(before)) / max(self._at - since, 1e-6)


def together(paces: Sequence[Pace], ended: bool = False) -> Pace:
    """Return the pace of all parts together. They run in parallel, so the slowest one decides the remaining time."""
    nows = [pace.now for pace in paces]
    now = Progress(
        done=sum(now.done for now in nows),
        failed=sum(now.failed for now in nows),
        requests=sum(now.requests for now in nows),
        retries=sum(now.retries for now in nows),
        prompt_tokens=sum(now.prompt_tokens for now in nows),
        completion_tokens=sum(now.completion_tokens for now in nows),
        replicas=tuple(replica for now in nows for replica in now.replicas),
    )
    began_at = min((pace.began_at for pace in paces), default=0.0)
    seen_at = max((pace.seen_at for pace in paces), default=0.0)
    took_s = seen_at - began_at
    going = [pace for pace in paces if not pace.is_done]
    left = [pace.left_s for pace in going]
    return Pace(
        total=sum(pace.total for pace in paces),
        now=now,
        rows=_finished(now) / max(took_s, 1e-6) if ended else sum(pace.rows for pace in going),
        requests=now.requests / max(took_s, 1e-6) if ended else sum(pace.requests for pace in going),
        tokens=now.completion_tokens / max(took_s, 1e-6) if ended else sum(pace.tokens for pace in going),
        began_at=began_at,
        seen_at=seen_at,
        left_s=None if None in left else max((one for one in left if one is not None), default=None),
        there=sum(pace.there for pace in paces),
    )


def _finished(progress: Progress) -> int:
    """Return rows made plus rows that became failures."""
    return progress.done + progress.failed
