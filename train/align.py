"""Map a teacher's distributions to the target's tokens, by the bytes that the tokens of both stand for.

Both models read the same text, so every token begins and ends at a byte of it. A row of a distribution predicts the token that
begins at a byte from all bytes before it: if tokens of both models begin at the same byte, their rows have the same context.
The probability of the target's own token is the product of the teacher's over the same bytes (the chain rule). The probability
of another candidate goes to the target's token with the same bytes, else to the token most often seen at such a candidate's
place, else to the longest token that the candidate's bytes begin with. Positions where only the target has a token keep the
text's own. (Wan et al., arXiv 2402.16107 and 2408.07990, align by edit distance.)
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
    """The tokens of a text, and the byte of it at which each ends; the end-of-turn token ends where the text does."""

    ids: Sequence[int]
    ends: Sequence[int]

    def start(self, at: int) -> int:
        """Return the byte at which the token at index `at` begins."""
        return self.ends[at - 1] if at else 0

    @property
    def starts(self) -> list[int]:
        """The byte at which each token begins."""
        return [0, *self.ends[:-1]] if self.ends else []


@dataclass(frozen=True)
class Reading:
    """A teacher's reading of a text: per token its log-probability, and the likeliest (id, log-probability) at its place."""

    tokens: Tokens
    logprobs: Sequence[float]
    top: Sequence[Sequence[tuple[int, float]]]


class Soft(NamedTuple):
    """The soft label of one of the target's tokens: probabilities by token id, which sum to 1."""

    probabilities: Mapping[int, float]
    mass: float
    """The sum of the probabilities before they were normalized."""
    chained: bool
    """True if the text's own token consists of whole tokens of the teacher."""


def shared(target: Tokens, source: Tokens) -> Iterator[tuple[int, int]]:
    """Yield the pairs of indices (target, source) whose tokens begin at the same byte, in order.

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
    """Return the number of tokens from index `at` to the one that ends exactly at byte `end`; None if no token ends there."""
    n = 1
    while at + n <= len(tokens.ends):
        reached = tokens.ends[at + n - 1]
        if reached >= end:
            return n if reached == end else None
        n += 1
    return None


@dataclass
class Aligner:
    """Maps one teacher's vocabulary to the target's: call `count` with every text first, then `soften`."""

    source: Vocabulary
    target: Vocabulary
    top_k: int
    counts: dict[int, Counter[int]] = field(default_factory=dict)
    """By token of the teacher: how often each token of the target began at the same byte and ended with it, or with a run of
    tokens of either model that begin there."""

    def __post_init__(self) -> None:
        self._exact = {spelt: at for at, spelt in reversed(list(enumerate(self.target))) if spelt}
        self._longest = max(map(len, self._exact), default=0)
        self._mapped: dict[tuple[int, int, bytes], int | None] = {}

    def count(self, target: Tokens, source: Tokens) -> None:
        """Count which tokens stand for the same bytes of this text."""
        for at, other in shared(target, source):
            if run_to(source, other, target.ends[at]) or run_to(target, at, source.ends[other]):
                self.counts.setdefault(source.ids[other], Counter())[target.ids[at]] += 1

    def soften(self, target: Tokens, reading: Reading) -> dict[int, Soft]:
        """Return the soft labels by index of the target's tokens, for those that begin where a token of the teacher begins."""
        source = reading.tokens
        return {at: self._soft(target, at, reading, other) for at, other in shared(target, source)}

    def _soft(self, target: Tokens, at: int, reading: Reading, other: int) -> Soft:
        """Return the soft label of the target's token at index `at`, which begins where the teacher's at `other` does.

        The text's own token gets the product of the probabilities of the teacher's tokens that end where it ends, or of the
        first of these alone if none ends there. The teacher's candidates at `other`, except its own token of the text, are
        mapped (`_map`); the end of the turn is mapped to the end of the turn. The `top_k` likeliest are kept and normalized. If
        nothing has any probability, the label is the text's own token.
        """
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
        """Return how many bytes of a token lie before the text: a space that the template or the tokenizer adds."""
        spelt = vocabulary[tokens.ids[at]]
        return 0 if spelt is None else max(0, len(spelt) - (tokens.ends[at] - tokens.start(at)))

    def _lead(self, target: Tokens, at: int) -> bytes:
        """Return the bytes before the text within the target's token at index `at`."""
        spelt = self.target[target.ids[at]] or b""
        return spelt[: self._spelt_before(self.target, target, at)]

    def _map(self, candidate: int, before: int, lead: bytes) -> int | None:
        """Return the target's token for a candidate of the teacher, None for a special one or if no token is a prefix of its
        bytes.

        `before` bytes of the candidate lie before the text; `lead` are the bytes that the target's tokens have there.
        """
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
    """Return the tokens of `text` within a completion: the index of the first one in `ids`, and the tokens.

    White space before the text, which a template or tokenizer adds, does not count, nor does anything after the end-of-turn
    token. A truncated completion gives the tokens that are left. No tokens are returned if they do not spell this text.
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
            break  # a token that ends after the text, or a special one within it
        first = at if first is None else first
        found.append(ids[at])
        ends.append(end)
        if piece is None:
            break
    return first or 0, Tokens(found, ends)
