"""Prompts in shards: several machines ask one each, and what they were answered is merged into one run.

A shard's run has all prompts, those of the other shards dropped. So nothing else differs between a shard and a whole run, and
runs that are merged are a union of their rows by key.
"""

from __future__ import annotations

from datakit.options import Shard
from datakit.store import Run, Spool

ELSEWHERE = "in another shard"
OF_SHARD = "('0x' || left(messages_digest, 8))::BIGINT % $n = $number"
"""SQL over a prompt. Prompts that ask the same are of one shard: they have their answers in common."""
ROWS_AT_A_TIME = 5_000


def drop_elsewhere(run: Run, prompts: Spool, shard: Shard) -> tuple[Spool, int]:
    """The prompts with those of other shards dropped, and how many these are. The spool that was given goes."""
    marked, n_elsewhere = run.spool("prompts", "shard.tmp"), 0
    dropped = f"if(dropped IS NULL AND NOT {OF_SHARD}, $reason, dropped)"
    rows = f"SELECT * REPLACE ({dropped} AS dropped) FROM {prompts.relation}"
    for frame in run.stream(rows, {"number": shard.number, "n": shard.n, "reason": ELSEWHERE}, ROWS_AT_A_TIME):
        marked.add(frame)
        n_elsewhere += int((frame["dropped"] == ELSEWHERE).sum())
    marked.finish()
    prompts.path.unlink()
    return marked, n_elsewhere
