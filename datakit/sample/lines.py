"""A sample as one line of OpenAI's batch format, which `vllm run-batch` reads too; and the result of such a line.

A line's custom_id is the id of the response that it asks for, so that positions do not matter. It may be followed by the number
of earlier tries that came back without text, on which the seed depends.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from datakit.client import Fault, RequestFailed, of_answer, of_status
from datakit.recipe import Requested, Sampled
from datakit.sample.exchange import Exchange, Manner, check_answer
from datakit.sample.one_source import EMPTY, Ask
from datakit.store import Line, Run, Sample, load_sql
from datakit.tables import Messages, Row, make_seed

URL = "/v1/chat/completions"
_CUSTOM_ID = re.compile(r"([0-9a-f]{24})(?:-([0-9]{1,6}))?")


class LineId(NamedTuple):
    """A custom_id."""

    response_id: str
    attempt: int = 0
    """The number of earlier tries that came back without text."""

    def __str__(self) -> str:
        return f"{self.response_id}-{self.attempt}" if self.attempt else self.response_id

    @property
    def seed(self) -> int:
        """The seed of the line's request."""
        return make_seed(self.response_id, self.attempt)


def read_id(custom_id: Any) -> LineId | None:
    """Parse a custom_id; return None for one that datakit does not write.

    >>> read_id("0123456789abcdef01234567-2"), read_id("request-1")
    (LineId(response_id='0123456789abcdef01234567', attempt=2), None)
    """
    found = _CUSTOM_ID.fullmatch(custom_id) if isinstance(custom_id, str) else None
    return None if found is None else LineId(found[1], int(found[2] or 0))


def lines_of(run: Run, source: Sampled, asks: Iterable[Ask], url: str) -> Iterator[Line]:
    """Yield a line for every missing sample, in the order of the asks."""
    exchange, attempts = Exchange(source), dict(run.query(load_sql("sample/count_empty")).iter_rows())
    for ask in asks:
        for index, key in ask.missing.items():
            line_id = LineId(key, attempts.get(key, 0))
            body = exchange.body(ask.messages, 1, line_id.seed, ask.manner)
            body = source.without_omitted(body) if isinstance(source, Requested) else body
            tokens = rough_tokens(body["messages"])
            line = {"custom_id": str(line_id), "method": "POST", "url": url, "body": body}
            yield Line(json.dumps(line).encode() + b"\n", key, Sample(ask.prompt_id, ask.messages_digest, index), tokens)


def rough_tokens(messages: Messages) -> float:
    """Estimate tokens as sql/plan/texts.sql does: 4 characters per token, 1.5 for Chinese, Japanese and Korean."""
    text = "".join(message["content"] for message in messages)
    n_cjk = (len(text.encode("utf-8", "replace")) - len(text)) / 2
    return (len(text) - n_cjk) / 4 + n_cjk / 1.5


class Result(NamedTuple):
    """A line of a file of results."""

    custom_id: Any
    content: dict[str, Any]

    def answer(self, asked: Callable[[], bytes]) -> dict[str, Any]:
        """Return the chat completion in it. Raise Fault if there is none; `asked` returns the request that it answers."""
        error, response = self.content.get("error"), self.content.get("response")
        if not isinstance(response, dict):
            code = str(error.get("code") or "no_answer") if isinstance(error, dict) else "no_answer"
            raise Fault("broken", code, _words(error) or "the line came back without an answer")
        status, body = response.get("status_code", 200), response.get("body")
        if status != 200 or not isinstance(body, dict):
            if body is None and isinstance(error, str):  # vllm run-batch: what its engine raised
                raise Fault("broken", f"http_{status}", error[:300])
            said = json.dumps(body if body is not None else error).encode()
            raise of_status(status if isinstance(status, int) and status != 200 else 500, said, {}, asked())
        if (fault := of_answer(body, {}, asked())) is not None:
            raise fault
        try:
            check_answer(body)
        except ValueError as malformed:
            raise Fault("broken", "malformed", str(malformed)) from malformed
        return body


class Requests:
    """The requests in a file of lines; the file is read only when one is looked up."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._places: dict[str, int] | None = None

    def has(self, line_id: LineId) -> bool:
        """Return True if the file has this request."""
        return str(line_id) in self._found()

    def body(self, line_id: LineId) -> bytes:
        """Return the line of the request; empty if the file does not have it."""
        place = self._found().get(str(line_id))
        if place is None:
            return b""
        with self._path.open("rb") as file:
            file.seek(place)
            return file.readline()

    def _found(self) -> dict[str, int]:
        if self._places is None:
            self._places, place = {}, 0
            with self._path.open("rb") as file:
                for line in file:
                    self._places[json.loads(line)["custom_id"]] = place
                    place += len(line)
        return self._places


def read_lines(path: Path) -> Iterator[Result | None]:
    """Yield the lines of a file of results; None for a line without a custom_id, or without response and error."""
    with path.open("rb") as file:
        for line in file:
            if line.strip():
                try:
                    content = json.loads(line)
                except (ValueError, RecursionError):
                    content = None
                keys = content.keys() if isinstance(content, dict) else set()
                yield Result(content["custom_id"], content) if "custom_id" in keys and {"response", "error"} & keys else None


def row_of(exchange: Exchange, line_id: LineId, result: Result, asked: Callable[[], bytes], manner: Manner) -> Row:
    """Return the row of a response, without the ids of prompt and sample.

    Raise RequestFailed if there is no answer, and Fault if the reason may concern more than this line.
    """
    rows = exchange.rows(result.answer(asked), 1, line_id.seed, None, manner)
    if not rows:
        raise RequestFailed("empty", EMPTY, line_id.attempt + 1, permanent=False)
    return rows[0] | {"response_id": line_id.response_id}


def _words(error: Any) -> str:
    return str(error.get("message") or "")[:300] if isinstance(error, dict) else str(error or "")[:300]
