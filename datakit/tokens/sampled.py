"""The distributions that come with a sample: vLLM's `top_logprobs`, so that nothing has to be read again.

A request asks for `logprobs` with tokens written as their ids ("token_id:123", `return_tokens_as_token_ids`). They are raw,
before temperature and penalties, and therefore equal those of a reading of the same text (layout of vLLM 0.32).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from datakit.tokens.answer import locate, row_of
from datakit.tokens.vocabulary import Vocabulary

PREFIX = "token_id:"
WHITE = " \t\r\n"


@dataclass(frozen=True)
class SampledReader:
    """Reads the distributions of one model's own samples."""

    key: Mapping[str, Any]
    """model, revision and reading of a row of `distributions`."""
    vocabulary: Vocabulary
    top_k: int

    @property
    def fields(self) -> dict[str, Any]:
        """The fields that a request for a sample needs."""
        return {"logprobs": True, "top_logprobs": self.top_k, "return_tokens_as_token_ids": True}

    def read(self, choice: Mapping[str, Any], text: str) -> dict[str, Any] | None:
        """Return the columns of a row without its key; None if the choice has no distributions, or those of another text."""
        written = text.strip(WHITE).encode(errors="replace")
        entries = (choice.get("logprobs") or {}).get("content") or []
        try:
            ids = [_id(entry) for entry in entries]
            own = [float(entry["logprob"]) for entry in entries]
            top = [[(_id(one), float(one["logprob"])) for one in entry["top_logprobs"]] for entry in entries]
        except (KeyError, TypeError, ValueError):
            return None  # another server, whose tokens are texts
        place = locate(ids, self.vocabulary, written) if written else None
        if place is None:
            return None
        some = top[place.first : place.last]
        least = min(self.top_k, *map(len, some))
        if not least:
            return None
        likeliest = [sorted(row, key=lambda pair: -pair[1])[:least] for row in some]
        return row_of(ids, place, len(written), own[place.first : place.last], likeliest)


def _id(entry: Mapping[str, Any]) -> int:
    token = entry["token"]
    if not token.startswith(PREFIX):
        raise ValueError(token)
    return int(token.removeprefix(PREFIX))
