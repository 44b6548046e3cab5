"""Prompts in shards: several machines ask one shard each, and their answers are merged into one run.

A shard's run has all prompts, with those of other shards dropped. Nothing else differs from a whole run, so merging is a union
of rows by key.
"""

from __future__ import annotations

from datakit.options import Shard
from datakit.store import Run, Spool

ELSEWHERE = "in another shard"
OF_SHARD = "('0x' || left(messages_digest, 8))::BIGINT % $n = $number"
"""SQL over a prompt. Equal prompts belong to the same shard, because they share their answers."""
ROWS_AT_A_TIME = 5_000


def drop_elsewhere(run: Run, prompts: Spool, shard: Shard) -> tuple[Spool, int]:
    """Return the prompts with those of other shards dropped, and the number of these. The given spool is deleted."""
    marked, n_elsewhere = run.spool("prompts", "shard.tmp"), 0
    dropped = f"if(dropped IS NULL AND NOT {OF_SHARD}, $reason, dropped)"
    rows = f"SELECT * REPLACE ({dropped} AS dropped) FROM {prompts.relation}"
    for frame in run.stream(rows, {"number": shard.number, "n": shard.n, "reason": ELSEWHERE}, ROWS_AT_A_TIME):
        marked.add(frame)
        n_elsewhere += int((frame["dropped"] == ELSEWHERE).sum())
    marked.finish()
    prompts.path.unlink()
    return marked, n_elsewhere
