"""Answers through a domain's verifier, in worker processes."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial

from datakit.domains import Domain, verifying_worker
from datakit.engine.protocol import Engines, Work
from datakit.progress import Monitor
from datakit.tables import Row, Rows
from datakit.wording import counted

VERIFY_BATCH = 64


def verdicts(
    domain: Domain, batches: Iterator[Rows], monitor: Monitor, engines: Engines
) -> Generator[tuple[Row, Row, float], None, None]:
    """Every row with the columns of its verdict and the seconds that it took, in any order.

    A thought without an answer (`text` is None) meets no verifier: there is nothing in it to be right or wrong.

    Where a verifier says so, a timeout is tried once more at the end, alone: slow, or only crowded out?
    """
    verifier = domain.verifier
    if verifier is None:
        return
    late: Rows = []
    unanswered: Rows = []

    def answered() -> Iterator[Rows]:
        for rows in batches:
            unanswered.extend(row for row in rows if row["text"] is None)
            if some := [row for row in rows if row["text"] is not None]:
                yield some

    start = partial(verifying_worker, domain.name, verifier.options)
    many = Work(verifier.options.workers, pinned=True, forks=verifier.forks, check=verifier.preflight)
    for tries, work in enumerate((many, replace(many, pinned=False, alone=True))):
        engine = engines.engine(work)
        with closing(engine.map(start, answered() if tries == 0 else iter([late]), verifier.deadline_s)) as results:
            for result in results:
                verdict = result.value or {"outcome": verifier.faults[result.fault or "crash"], "detail": result.message}
                if tries == 0 and verifier.retries_timeouts and verdict["outcome"] == "timeout":
                    late.append(result.row)
                else:
                    yield result.row, verdict, result.duration_s
        for row in unanswered if tries == 0 else ():
            yield row, {"outcome": "unparseable", "detail": "the thought never ended"}, 0.0
        if not late:
            return
        if tries == 0:
            monitor.say(f"{counted(len(late), 'answers')} took too long; each is tried once more, alone")
