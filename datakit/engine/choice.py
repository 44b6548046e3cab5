"""Which engines a build gets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

from datakit.engine.local import LocalEngines
from datakit.engine.protocol import Engines


@contextmanager
def engines_of(cluster: str | None, say: Callable[[str, bool], None]) -> Iterator[Engines]:
    """Those of this machine, or of the Ray cluster at an address, which is left at the end. `say`: a sentence, and whether it
    is a warning."""
    if cluster is None:
        yield LocalEngines()
        return
    from datakit.engine.ray import RayEngines

    with closing(RayEngines(cluster, say)) as engines:
        yield engines
