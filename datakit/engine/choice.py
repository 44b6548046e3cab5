"""Choose the engines of a build."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

from datakit.engine.local import LocalEngines
from datakit.engine.protocol import Engines
from datakit.signals import Signals


@contextmanager
def engines_of(cluster: str | None, say: Callable[[str, bool], None], signals: Signals, grace_s: float) -> Iterator[Engines]:
    """Yield the engines of this machine, or of the Ray cluster at the address `cluster`, which is disconnected at the end.

    `say(sentence, is_warning)` tells the user. `grace_s`: how many seconds to wait after a signal for rows under way on a
    cluster; on this machine they end at once.
    """
    if cluster is None:
        yield LocalEngines()
        return
    from datakit.engine.ray import RayEngines

    with closing(RayEngines(cluster, say, signals, grace_s)) as engines:
        yield engines
