"""Meta knowledge of what was retrieved: its order, how sure the retriever is, and whether it was named before.

As tokens of their own in front of an entity (`prefix`), or in words (`prompt`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

ORDERED = 5
"""Places that are told apart; those behind are `other`."""
SURE = ("low", "middle", "high")
_ORDINALS = ("first", "second", "third", "fourth", "fifth")


class Meta(NamedTuple):
    """`order` counts from 0, `sure` is a place in SURE."""

    order: int
    sure: int
    seen: bool

    @property
    def speaks_for_it(self) -> bool:
        """Whether a response should be likelier with this entity than without any."""
        return self.order == 0 or self.sure == len(SURE) - 1 or self.seen

    def as_tokens(self) -> str:
        """In the tokens of TOKENS."""
        order = str(self.order + 1) if self.order < ORDERED else "other"
        return f"<order-{order}> <sure-{SURE[self.sure]}> <{'seen' if self.seen else 'new'}>"

    def as_words(self) -> str:
        """In words."""
        place = _ORDINALS[self.order] if self.order < ORDERED else "later"
        return f"retrieved {place}, {SURE[self.sure]} confidence, {'mentioned before' if self.seen else 'new'}:"


TOKENS = [f"<order-{order}>" for order in (*range(1, ORDERED + 1), "other")] + [
    *(f"<sure-{name}>" for name in SURE),
    "<seen>",
    "<new>",
]


def bin_of(share: float, edges: Sequence[float]) -> int:
    """0, 1 or 2: below the first edge, up to the second, from there on.

    >>> [bin_of(share, (0.25, 0.75)) for share in (0.1, 0.25, 0.75)]
    [0, 1, 2]
    """
    return sum(share >= edge for edge in edges)
