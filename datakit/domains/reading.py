"""Rows of a file, with our column names, into prompts; what is the same for every domain."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from decimal import Decimal

from datakit.errors import BadInput
from datakit.tables import Message, Messages, Prompt, Row, digest_of_messages

_ID_LENGTH = 16
_ROLES = ("system", "user", "assistant")


def read_prompts(domain: str, rows: Iterable[Row], source: str) -> Iterator[Prompt]:
    """One Prompt a row. Raises BadInput that names the row, the column and the value."""
    for number, row in enumerate(rows, start=1):
        where = f"{source}: row {number}"
        given_id = _text(row, "prompt_id", where, numbers=True)
        if given_id is not None:
            where += f" (prompt_id {given_id})"
        messages = _messages(row, where)
        yield Prompt(
            prompt_id=given_id or digest_of_messages(messages)[:_ID_LENGTH],
            domain=domain,
            source=source,
            messages=messages,
            reference=_text(row, "reference", where, numbers=True),
            solution=_text(row, "solution", where),
            test_style=_text(row, "test_style", where),
            entry_point=_text(row, "entry_point", where),
            dropped=None if messages[-1]["content"].strip() else "empty prompt",
        )


def _text(row: Row, column: str, where: str, numbers: bool = False) -> str | None:
    """A column's text; empty text and a missing column are None."""
    value = row.get(column)
    if numbers and isinstance(value, float):
        if math.isnan(value):  # how column readers write an empty cell
            return None
        # As one would write it: 0.5, 0.0000001; 72.0 is 72, as column readers make floats of integers.
        value = format(Decimal(repr(value)), "f").removesuffix(".0") if math.isfinite(value) else str(value)
    if numbers and isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if value is None or isinstance(value, str):
        return value if value and value.strip() else None
    raise BadInput(f"{where}: {column} must be text (got {value!r:.80})")


def _messages(row: Row, where: str) -> Messages:
    """The prompt as the user's message, or messages with role and content only, the last of them the user's."""
    value = row.get("messages")
    if value is not None:
        if not isinstance(value, list) or not value:
            raise BadInput(f"{where}: messages must be a list of {{role, content}} (got {value!r:.80})")
        messages = []
        for at, message in enumerate(value):
            fields = message if isinstance(message, dict) else {}
            role, content = fields.get("role"), fields.get("content")
            if role not in _ROLES or not isinstance(content, str):
                raise BadInput(
                    f"{where}: messages.{at} must have a role ({', '.join(_ROLES)}) and a content of text (got {message!r:.80})"
                )
            messages.append(Message(role=role, content=content))
        if messages[-1]["role"] != "user":
            raise BadInput(f"{where}: messages must end with the user's (the last one is the {messages[-1]['role']}'s)")
        return messages
    prompt = row.get("prompt")
    if prompt is None:
        raise BadInput(
            f"{where}: no prompt and no messages; name the column in `columns: {{prompt: ...}}` "
            f"(there are: {', '.join(sorted(map(str, row)))[:200]})"
        )
    if not isinstance(prompt, str):
        raise BadInput(f"{where}: prompt must be text (got {prompt!r:.80}); a list of messages goes into `messages`")
    return [Message(role="user", content=prompt)]
