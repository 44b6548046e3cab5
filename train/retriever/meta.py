"""Meta knowledge about a retrieved entity: its rank, the retriever's confidence, and whether it was mentioned before.

It is written before the entity as special tokens (`prefix`) or in words (`prompt`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

ORDERED = 5
"""The number of ranks that have names of their own; later ranks are `other`."""
SURE = ("low", "middle", "high")
_ORDINALS = ("first", "second", "third", "fourth", "fifth")


class Meta(NamedTuple):
    """The meta knowledge of one entity. `order` is its rank from 0, `sure` an index into SURE."""

    order: int
    sure: int
    seen: bool

    @property
    def speaks_for_it(self) -> bool:
        """True if a response should be likelier with this entity than without any."""
        return self.order == 0 or self.sure == len(SURE) - 1 or self.seen

    def as_tokens(self) -> str:
        """Return it as special tokens, see TOKENS."""
        order = str(self.order + 1) if self.order < ORDERED else "other"
        return f"<order-{order}> <sure-{SURE[self.sure]}> <{'seen' if self.seen else 'new'}>"

    def as_words(self) -> str:
        """Return it in words."""
        place = _ORDINALS[self.order] if self.order < ORDERED else "later"
        return f"retrieved {place}, {SURE[self.sure]} confidence, {'mentioned before' if self.seen else 'new'}:"


TOKENS = [f"<order-{order}>" for order in (*range(1, ORDERED + 1), "other")] + [
    *(f"<sure-{name}>" for name in SURE),
    "<seen>",
    "<new>",
]


def bin_of(share: float, edges: Sequence[float]) -> int:
    """Return the index into SURE: 0 below the first edge, 1 below the second, else 2.

    >>> [bin_of(share, (0.25, 0.75)) for share in (0.1, 0.25, 0.75)]
    [0, 1, 2]
    """
    return sum(share >= edge for edge in edges)
