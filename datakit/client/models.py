"""The models that a server lists at /models, and a hint for a user who asked for another one."""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence

SHOWN = 5


def models_of(body: bytes) -> list[str]:
    """Return the names in a list of models. Raise ValueError, LookupError or TypeError if the body is no such list."""
    return [str(entry["id"]) for entry in json.loads(body)["data"]]


def what_is_served(model: str, known: Sequence[str]) -> str:
    """Return the end of a message about a model that is not served: some names, and the nearest one.

    >>> what_is_served("org/modle", ["org/model", "other"])
    "it serves org/model, other; did you mean 'org/model'?"
    """
    more = f" and {len(known) - SHOWN} more" if len(known) > SHOWN else ""
    shown = f"it serves {', '.join(known[:SHOWN])}{more}"
    by_end = {name.rpartition("/")[-1].lower(): name for name in known} | {name.lower(): name for name in known}
    written = (model.lower(), model.rpartition("/")[-1].lower())
    near = [name for spelling in written for name in difflib.get_close_matches(spelling, by_end, n=1, cutoff=0.75)]
    return f"{shown}; did you mean '{by_end[near[0]]}'?" if near else shown
