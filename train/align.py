"""From the tokens of a teacher to those of the target, by the bytes that both stand for.

Both read one text, so a token of each ends at a byte of it. A row of a distribution is of the token behind a byte, its context
is all before it: where a token of both begins at the same byte, their rows belong together. What the target's token gets there
is the product of the teacher's over the same bytes (the chain rule); what other candidates get goes to the target's token with
the same bytes, else to the one that stands most often where such a token does, else to the longest that it begins with.
Places without a common byte keep the text's own token. (Wan et al., arXiv 2402.16107 and 2408.07990, align by edit distance.)
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from train.spelling import Vocabulary


@dataclass(frozen=True)
class Tokens:
    """The tokens of a text, and at which byte of it each ends; the token that ends the turn ends where the text does."""

    ids: Sequence[int]
    ends: Sequence[int]

    def start(self, at: int) -> int:
        """At which byte a token begins."""
        return self.ends[at - 1] if at else 0

    @property
    def starts(self) -> list[int]:
        """Where each begins."""
        return [0, *self.ends[:-1]] if self.ends else []


@dataclass(frozen=True)
class Reading:
    """How a teacher reads a text: log-probabilities of its own tokens, and `top` (id, log-probability) in each place."""

    tokens: Tokens
    logprobs: Sequence[float]
    top: Sequence[Sequence[tuple[int, float]]]


class Soft(NamedTuple):
    """What the target is to give in one place: probabilities by token id, which sum to 1."""

    probabilities: Mapping[int, float]
    mass: float
    """The probability that they had before they were made to sum to 1."""
    chained: bool
    """Whether the text's own token was made of whole tokens of the teacher."""


def shared(target: Tokens, source: Tokens) -> Iterator[tuple[int, int]]:
    """The places of both whose tokens begin at the same byte, in order.

    >>> list(shared(Tokens([1, 2, 3], [2, 4, 7]), Tokens([1, 2, 3, 4], [1, 2, 5, 7])))
    [(0, 0), (1, 2)]
    """
    ours, theirs = target.starts, source.starts
    at = other = 0
    while at < len(ours) and other < len(theirs):
        if ours[at] == theirs[other]:
            yield at, other
            at, other = at + 1, other + 1
        elif ours[at] < theirs[other]:
            at += 1
        else:
            other += 1


def run_to(tokens: Tokens, at: int, end: int) -> int | None:
    """How many tokens from `at` on end at this byte exactly. None where none do."""
    n = 1
    while at + n <= len(tokens.ends):
        reached = tokens.ends[at + n - 1]
        if reached >= end:
            return n if reached == end else None
        n += 1
    return None


@dataclass
class Aligner:
    """From one teacher's vocabulary to the target's. First shown all texts (`count`), then asked (`soften`)."""

    source: Vocabulary
    target: Vocabulary
    top_k: int
    counts: dict[int, Counter[int]] = field(default_factory=dict)
    """Of each token of the teacher, the target's tokens that began where it did, and ended together with it or with a run of
    either's tokens that begin so."""

    def __post_init__(self) -> None:
        self._exact = {spelt: at for at, spelt in reversed(list(enumerate(self.target))) if spelt}
        self._longest = max(map(len, self._exact), default=0)
        self._mapped: dict[tuple[int, int, bytes], int | None] = {}

    def count(self, target: Tokens, source: Tokens) -> None:
        """Remember which tokens stand for the same bytes of this text."""
        for at, other in shared(target, source):
            if run_to(source, other, target.ends[at]) or run_to(target, at, source.ends[other]):
                self.counts.setdefault(source.ids[other], Counter())[target.ids[at]] += 1

    def soften(self, target: Tokens, reading: Reading) -> dict[int, Soft]:
        """What the teacher says in the target's places, where both have a token that begins there."""
        source = reading.tokens
        return {at: self._soft(target, at, reading, other) for at, other in shared(target, source)}

    def _soft(self, target: Tokens, at: int, reading: Reading, other: int) -> Soft:
        source, end = reading.tokens, target.ends[at]
        ends_turn = self.target[target.ids[at]] is None
        run = run_to(source, other, end)
        own = sum(reading.logprobs[other : other + (run or 1)])
        found = {target.ids[at]: math.exp(own)}
        last = source.ids[-1] if self.source[source.ids[-1]] is None else None
        target_last = target.ids[-1] if self.target[target.ids[-1]] is None else None
        before = self._spelt_before(self.source, source, other)
        room = b"" if ends_turn else self._lead(target, at)
        for candidate, logprob in reading.top[other]:
            if candidate == source.ids[other]:
                continue
            mapped = target_last if candidate == last else self._map(candidate, before, room)
            if mapped is not None:
                found[mapped] = found.get(mapped, 0.0) + math.exp(logprob)
        kept = sorted(found.items(), key=lambda item: (-item[1], item[0]))[: self.top_k]
        mass = math.fsum(probability for _, probability in kept)
        if mass <= 0:
            return Soft({target.ids[at]: 1.0}, 0.0, bool(run))
        return Soft({token: probability / mass for token, probability in kept}, mass, bool(run))

    @staticmethod
    def _spelt_before(vocabulary: Vocabulary, tokens: Tokens, at: int) -> int:
        """How many bytes of a token stand in front of the text: a space that the template or the tokenizer adds."""
        spelt = vocabulary[tokens.ids[at]]
        return 0 if spelt is None else max(0, len(spelt) - (tokens.ends[at] - tokens.start(at)))

    def _lead(self, target: Tokens, at: int) -> bytes:
        """What stands in front of the text within the target's own first token."""
        spelt = self.target[target.ids[at]] or b""
        return spelt[: self._spelt_before(self.target, target, at)]

    def _map(self, candidate: int, before: int, lead: bytes) -> int | None:
        """The target's token for one of the teacher's; None for a special one and for what no token begins."""
        key = (candidate, before, lead)
        if key not in self._mapped:
            self._mapped[key] = self._find(candidate, before, lead)
        return self._mapped[key]

    def _find(self, candidate: int, before: int, lead: bytes) -> int | None:
        spelt = self.source[candidate] if candidate < len(self.source) else None
        if not spelt:
            return None
        bare = spelt[before:] if spelt[:before].isspace() else spelt
        if (exact := self._exact.get(lead + bare)) is not None:
            return exact
        if seen := self.counts.get(candidate):
            return min(seen, key=lambda token: (-seen[token], token))
        wanted = lead + bare
        for length in range(min(len(wanted), self._longest), len(lead), -1):
            if (found := self._exact.get(wanted[:length])) is not None:
                return found
        return None


def tokens_of(ids: Sequence[int], vocabulary: Vocabulary, text: bytes) -> tuple[int, Tokens]:
    """Which of a completion's tokens are those of its text: the place of the first, and the tokens, as far as they go.

    White space in front of the text, which a template or tokenizer adds, is no part of it, nor is what follows the token that
    ends the turn. No tokens where they do not spell this text.
    """
    pieces = [vocabulary[id] if id < len(vocabulary) else None for id in ids]
    joined = b"".join(piece or b"" for piece in pieces)
    begin = len(joined) - len(joined.lstrip())
    if not (joined[begin:].startswith(text) or text.startswith(joined[begin:])):
        return 0, Tokens([], [])
    first, found, ends, reached = None, [], [], 0
    for at, piece in enumerate(pieces):
        reached += len(piece or b"")
        if reached <= begin:
            continue
        end = reached - begin
        if end > len(text) or (piece is None and end < len(text)):
            break  # a token that goes on behind the text, or a special one within it
        first = at if first is None else first
        found.append(ids[at])
        ends.append(end)
        if piece is None:
            break
    return first or 0, Tokens(found, ends)
