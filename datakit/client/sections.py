"""A Client with the limits of a recipe's section."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from datakit.client.access import Access
from datakit.client.calls import Client
from datakit.errors import Origin


class Section(Protocol):
    """What a section of a recipe says of how its model is asked."""

    model: str
    max_in_flight: int
    timeout_s: float
    patience_s: float
    omit: list[str]

    @property
    def origin(self) -> Origin:
        """Where the section was written."""
        ...


def client_for(
    section: Section,
    base_urls: Sequence[str],
    access: Access,
    proven: bool,
    trouble: Callable[[], str | None] | None = None,
    most: int | None = None,
) -> Client:
    """Return a client with the section's limits; with at most `most` requests in flight at each URL. See Client."""
    return Client(
        section.model,
        base_urls,
        access,
        max_in_flight=section.max_in_flight if most is None else min(section.max_in_flight, most),
        timeout_s=section.timeout_s,
        patience_s=section.patience_s,
        proven=proven,
        trouble=trouble,
        origin=section.origin,
        omit=section.omit,
    )
