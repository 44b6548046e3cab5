"""Sets that give their items in the same order on the other side.

That order is the order of places in a table: an item's hash says where it wants to stand, the table's size how much of the hash
counts, and where two want one place the first has it. So the other end makes a table of the same size and puts the items in one
after the other, in an order that leads to these places. It is worked out here as CPython places them (Objects/setobject.c),
and what came out is looked at: where it is another order after all, the set crosses as its items alone.
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
_PROBES = 40  # places that an item is looked for
_STEPS, _LAYOUTS = 2_000, 8  # how long it is worked out
_MOST = 1_000  # items
_PER_ITEM = 16  # a table with more places an item than a set's own growth makes


def recipe(value: set[Any] | frozenset[Any], items: list[Any]) -> tuple[int, list[Any]] | None:
    """The size of the table and the order of insertion; None where adding the items as they stand does."""
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
    """A frozenset whose table was made for all items at once (a dict says how many), or has grown: its size says which."""
    at_once = frozenset(dict.fromkeys(order))
    return at_once if _size(at_once) == size else frozenset(order)


def make(found: set[Any], size: int, order: list[Any]) -> set[Any]:
    """Give an empty set a table of this size, and the items in this order. Raises ValueError for an odd size."""
    if not _fits(size, len(order)):
        raise ValueError("a table of an odd size")
    if size > _SMALLEST:
        # A dict says how many are coming: the table gets room for twice as many at once. Fillers go where room is left.
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
    """Not equal to anything else."""


def _order(items: list[Any], size: int) -> list[Any] | None:
    """An order of insertion that leads to this order of places."""
    probes = [list(_probed(hash(item), size)) for item in items]
    for places in itertools.islice(_places(probes), _LAYOUTS):
        who = {place: at for at, place in enumerate(places)}
        done: dict[int, None] = {}
        for at in range(len(items)):  # an item comes after those whom it found on places that it wanted
            waiting = [at] if at not in done else []
            while waiting and len(waiting) <= len(items):
                before = [who[place] for place in probes[waiting[-1]][: probes[waiting[-1]].index(places[waiting[-1]])]]
                missing = next((one for one in before if one not in done), None)
                if missing is None:
                    done.setdefault(waiting.pop())
                else:
                    waiting.append(missing)
            if waiting:  # each waits for another
                break
        else:
            return [items[at] for at in done]
    return None


def _places(probes: list[list[int]]) -> Iterator[list[int]]:
    """Places in rising order, each one that its item looks at, after places that are all taken in the end."""
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
    """The places that an item with this hash looks at, one after the other."""
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
