"""Answers through a domain's verifier, in worker processes."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import closing
from dataclasses import replace
from functools import partial

from datakit.domains import Domain, Verifier, verifying_worker
from datakit.engine.protocol import Engines, Work
from datakit.progress import Monitor
from datakit.tables import Row, Rows
from datakit.wording import counted

VERIFY_BATCH = 64

Judged = Generator[tuple[Row, Row, float], None, None]
"""A row, the columns of its verdict, and the seconds that this took."""


def verdicts(domain: Domain, batches: Iterable[Rows], monitor: Monitor, engines: Engines) -> Judged:
    """Yield every row with its verdict, in any order.

    If the verifier says so, rows that time out are tried once more at the end, alone: slow, or only crowded out?
    """
    verifier = domain.verifier
    if verifier is None:
        return
    work = Work(verifier.options.workers, pinned=True, forks=verifier.forks, check=verifier.preflight)
    late: Rows = []
    with closing(_judged(domain.name, verifier, batches, engines, work)) as judged:
        for row, verdict, duration_s in judged:
            if verifier.retries_timeouts and verdict["outcome"] == "timeout":
                late.append(row)
            else:
                yield row, verdict, duration_s
    if late:
        monitor.say(f"{counted(len(late), 'answers')} took too long; each is tried once more, alone")
        yield from _judged(domain.name, verifier, [late], engines, replace(work, pinned=False, alone=True))


def _judged(name: str, verifier: Verifier, batches: Iterable[Rows], engines: Engines, work: Work) -> Judged:
    start = partial(verifying_worker, name, verifier.options)
    with closing(engines.engine(work).map(start, batches, verifier.deadline_s)) as results:
        for result in results:
            verdict = result.value or {"outcome": verifier.faults[result.fault or "crash"], "detail": result.message}
            yield result.row, verdict, result.duration_s
