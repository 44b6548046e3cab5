"""x"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

from datakit import serving
from datakit.gathering import Asked
from datakit.progress import Monitor
from datakit.recipe import EndpointSource, ServeSource
from datakit.store import Run, load_sql


def _turns(asked: list[Asked]) -> Iterator[list[Asked]]:
    """Which sources are asked at the same time: the servers as serving.in_turns has them, endpoints with the first of them."""
    served = [one.source for one in asked if isinstance(one.source, ServeSource)]
    for at, turn in enumerate(serving.in_turns(served) or [[]] if asked else []):
        yield [one for one in asked if one.source in turn or (at == 0 and isinstance(one.source, EndpointSource))]


def _name_copies(run: Run, monitor: Monitor) -> None:
    with closing(run.snapshot()) as snapshot:
        copied = snapshot.query(load_sql("find_copies"))
    for model, prompts, copies in copied.iter_rows():
        monitor.say(
            f"{model}: samples are copies of one text for {copies:,} of {prompts:,} prompts, also when asked again; "
            "does the server honour temperature and seed? (transformers: is do_sample on in generation_config.json?)",
            warning=True,
        )
