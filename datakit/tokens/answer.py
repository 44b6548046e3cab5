"""Finds an answer among the tokens of a conversation, and makes the row of `distributions` for a reading of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from datakit.tokens.vocabulary import Vocabulary

WHITE = b" \t\r\n"


@dataclass(frozen=True)
class Answer:
    """The tokens of an answer, from `first` up to `last`, including the special token that ends its turn, if there is one."""

    first: int
    last: int
    ends: list[int]
    """The byte of the answer at which each token ends; the token that ends the turn ends where the text does."""


def locate(ids: Sequence[int], vocabulary: Vocabulary, text: bytes) -> Answer | None:
    """Return the place of `text`, which has no white space at its ends, as the last turn of a conversation.

    White space that the template puts before it does not belong to it, even if its first token contains some. Return None if
    the tokens do not spell this text: the template writes it differently, or a token reaches beyond its end.
    """
    pieces = [(vocabulary[id] if id < len(vocabulary) else None) for id in ids]
    ends = list(accumulate(len(piece or b"") for piece in pieces))
    joined = b"".join(piece or b"" for piece in pieces)
    begin = joined.rfind(text)
    if begin < 0 or joined[begin + len(text) :].strip(WHITE):
        return None
    end = begin + len(text)
    first = next(at for at, one in enumerate(ends) if one > begin)
    starts = ends[first] - len(pieces[first] or b"")
    last = next(at for at, one in enumerate(ends) if one >= end)
    if joined[starts:begin].strip(WHITE) or ends[last] > end or None in pieces[first:last]:
        return None
    closes = last + 1 < len(ids) and pieces[last + 1] is None
    places = range(first, last + 2 if closes else last + 1)
    return Answer(first, places.stop, [min(ends[at], end) - begin for at in places])


def row_of(
    ids: Sequence[int], answer: Answer, n_bytes: int, logprobs: Sequence[float], top: Sequence[Sequence[tuple[int, float]]]
) -> dict[str, Any]:
    """Return the columns of `distributions` without its key.

    `logprobs` and `top` (id and log-probability, the likeliest first) cover the answer's tokens only; all lists in `top` have
    the same length."""
    return {
        "token_ids": list(ids[answer.first : answer.last]),
        "ends": answer.ends,
        "token_logprobs": [round(value, 6) for value in logprobs],
        "top_ids": [id for row in top for id, _ in row],
        "top_logprobs": [round(value, 4) for row in top for _, value in row],
        "n_bytes": n_bytes,
        "nll": -sum(logprobs),
    }
