"""Transfer sets so that they iterate in the same order on the other side.

That order is the order of slots in a hash table: an item's hash gives its preferred slot, the table's size how much of the hash
counts, and if two want the same slot the first gets it. So the other end makes a table of the same size and inserts the items
one after the other, in an order that leads to these slots. The order is computed here by CPython's rules (Objects/setobject.c)
and then verified: if the result differs, the set crosses as its items alone.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from operator import is_
from typing import Any

_SMALLEST = 8
_ENTRY = 16  # bytes
_AT_ONCE = 9  # LINEAR_PROBES
_PROBES = 40  # slots that are probed for an item
_STEPS, _LAYOUTS = 2_000, 8  # limits of the search for an order
_MOST = 1_000  # maximum number of items
_PER_ITEM = 16  # slots per item above which a set's own growth cannot have made the table


def recipe(value: set[Any] | frozenset[Any], items: list[Any]) -> tuple[int, list[Any]] | None:
    """Return the size of the table and the order of insertion; None if adding the items in their order is enough."""
    if len(items) < 2 or all(map(is_, type(value)(items), items)):
        return None
    size = _size(value)
    if len(items) > _MOST or not _fits(size, len(items)):
        return None
    order = _order(items, size)
    if order is None:
        return None
    made = make(set(), size, order) if type(value) is set else frozen(size, order)
    return (size, order) if all(map(is_, made, items)) else None


def frozen(size: int, order: list[Any]) -> frozenset[Any]:
    """Return a frozenset whose table was made for all items at once (from a dict, which has a length), or has grown, by its
    size."""
    at_once = frozenset(dict.fromkeys(order))
    return at_once if _size(at_once) == size else frozenset(order)


def make(found: set[Any], size: int, order: list[Any]) -> set[Any]:
    """Give an empty set a table of this size, and the items in this order. Raises ValueError for an odd size."""
    if not _fits(size, len(order)):
        raise ValueError("a table of an odd size")
    if size > _SMALLEST:
        # A dict has a length, so the table gets room for twice as many at once. Fillers use up spare room.
        coming = dict.fromkeys(order[: size // 2 - 1])
        fillers = [_Filler() for _ in range(size // 2 - 1 - len(coming))]
        found.update(coming | dict.fromkeys(fillers))
        found.difference_update(fillers)
    found.update(order)
    return found


def _size(value: set[Any] | frozenset[Any]) -> int:
    return max(_SMALLEST, (sys.getsizeof(value) - sys.getsizeof(type(value)())) // _ENTRY)


def _fits(size: int, n_items: int) -> bool:
    return size & (size - 1) == 0 and _SMALLEST <= size <= max(64, _PER_ITEM * n_items) and n_items * 5 <= size * 3


class _Filler:
    """An object that is not equal to anything else."""


def _order(items: list[Any], size: int) -> list[Any] | None:
    """Return an order of insertion that leads to this order of slots, or None."""
    probes = [list(_probed(hash(item), size)) for item in items]
    for places in itertools.islice(_places(probes), _LAYOUTS):
        who = {place: at for at, place in enumerate(places)}
        done: dict[int, None] = {}
        for at in range(len(items)):  # an item comes after those that occupy slots that it probed
            waiting = [at] if at not in done else []
            while waiting and len(waiting) <= len(items):
                before = [who[place] for place in probes[waiting[-1]][: probes[waiting[-1]].index(places[waiting[-1]])]]
                missing = next((one for one in before if one not in done), None)
                if missing is None:
                    done.setdefault(waiting.pop())
                else:
                    waiting.append(missing)
            if waiting:  # a cycle: each waits for another
                break
        else:
            return [items[at] for at in done]
    return None


def _places(probes: list[list[int]]) -> Iterator[list[int]]:
    """Yield ascending slots, each probed by its item after slots that are all taken in the end."""
    chosen: list[int] = []
    choices = [iter(_after(chosen, probes[0]))]
    for _ in range(_STEPS):
        place = next(choices[-1], None)
        if place is None:
            choices.pop()
            if not choices:
                return
            chosen.pop()
            continue
        chosen.append(place)
        if len(chosen) < len(probes):
            choices.append(iter(_after(chosen, probes[len(chosen)])))
            continue
        taken = set(chosen)
        if all(taken.issuperset(wanted[: wanted.index(place)]) for wanted, place in zip(probes, chosen, strict=True)):
            yield list(chosen)
        chosen.pop()


def _after(chosen: list[int], wanted: list[int]) -> list[int]:
    last = chosen[-1] if chosen else -1
    return [place for place in wanted if place > last]


def _probed(number: int, size: int) -> Iterator[int]:
    """Yield the slots that are probed for an item with this hash."""
    mask = size - 1
    rest = number & ((1 << sys.hash_info.width) - 1)
    place = rest & mask
    seen: set[int] = set()
    for _ in range(_PROBES):
        for near in range(place, place + (_AT_ONCE if place + _AT_ONCE <= mask else 0) + 1):
            if near not in seen:
                seen.add(near)
                yield near
        rest >>= 5
        place = (place * 5 + 1 + rest) & mask
