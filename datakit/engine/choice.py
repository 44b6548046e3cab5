"""Which engines a build gets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

from datakit.engine.local import LocalEngines
from datakit.engine.protocol import Engines
from datakit.signals import Signals


@contextmanager
def engines_of(cluster: str | None, say: Callable[[str, bool], None], signals: Signals, grace_s: float) -> Iterator[Engines]:
    """Those of this machine, or of the Ray cluster at an address, which is left at the end. `say`: a sentence, and whether it
    is a warning. `grace_s`: how long a cluster's rows under way are waited for after a signal; here they just end."""
    if cluster is None:
        yield LocalEngines()
        return
    from datakit.engine.ray import RayEngines

    with closing(RayEngines(cluster, say, signals, grace_s)) as engines:
        yield engines
