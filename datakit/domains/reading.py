"""Turn rows of a file, with datakit's column names, into prompts; the part that all domains share."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

from datakit.errors import BadRow
from datakit.recipe.template import CHOICES, fill, placeholders
from datakit.tables import Message, Messages, Prompt, Row, canonical_json, digest_of_messages

_ID_LENGTH = 16
_ROLES = ("system", "user", "assistant")
_TURN = re.compile(r"\n?<extra_id_1>(User|Assistant)\n")
_SHAREGPT_ROLES = {"human": "user", "gpt": "assistant"}


def read_prompts(domain: str, rows: Iterable[Row], source: str) -> Iterator[Prompt]:
    """Yield one Prompt per row. Raises BadRow, which names the row, the column and the value."""
    for number, row in enumerate(rows, start=1):
        yield read_prompt(domain, row, source, number)


def read_prompt(domain: str, row: Row, source: str, number: int) -> Prompt:
    """Return the Prompt of one row, the `number`th of its source. Raises BadRow."""
    where = f"{source}: row {number}"
    given_id = _text(row, "prompt_id", where, numbers=True)
    if given_id is not None:
        where += f" (prompt_id {given_id})"
    messages = _messages(row, where)
    return Prompt(
        prompt_id=given_id or digest_of_messages(messages)[:_ID_LENGTH],
        domain=domain,
        source=source,
        messages=messages,
        reference=_text(row, "reference", where, numbers=True),
        solution=_text(row, "solution", where),
        test_style=_text(row, "test_style", where),
        entry_point=_text(row, "entry_point", where),
        category=value if isinstance(value := row.get("category"), str) and value.strip() else None,
        dropped=None if messages[-1]["content"].strip() else "empty prompt",
        labels=canonical_json(row["labels"]) if row.get("labels") else None,
    )


def _text(row: Row, column: str, where: str, numbers: bool = False) -> str | None:
    """Return a column's text; None for empty text and a missing column."""
    value = row.get(column)
    if numbers:
        value = number_as_text(value)
    if value is None or isinstance(value, str):
        return value if value and value.strip() else None
    raise BadRow(where, f"{column} must be text", f" (got {value!r:.80})")


def number_as_text(value: Any) -> Any:
    """Return a number as one would write it: 0.5, 0.0000001, and 72 for 72.0, because readers turn integers into floats. Other
    values are returned unchanged."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return value
    if isinstance(value, int):
        return str(value)
    if not math.isfinite(value):
        return None if math.isnan(value) else str(value)  # readers write an empty cell as NaN
    text = format(value if isinstance(value, Decimal) else Decimal(repr(value)), "f")
    return text.rstrip("0").removesuffix(".") if "." in text else text


def _messages(row: Row, where: str) -> Messages:
    """Return the prompt as the user's message, or its messages with role and content only, the last of them the user's.

    If the row has a template, the template makes the user's message from the row.
    """
    if (template := row.get("template")) is not None:
        return [Message(role="user", content=fill(template, _values(row, template, where)))]
    value = row.get("messages")
    if value is not None:
        return _conversation(value, where)
    prompt = row.get("prompt")
    if prompt is None:
        there = f"; name the column in `columns: {{prompt: ...}}` (there are: {', '.join(sorted(map(str, row)))[:200]})"
        raise BadRow(where, "no prompt and no messages", there, may_drop=True)
    if not isinstance(prompt, str):
        raise BadRow(where, "prompt must be text", f" (got {prompt!r:.80}); a list of messages goes into `messages`")
    return _turns(prompt, where) if _TURN.search(prompt) else [Message(role="user", content=prompt)]


def _turns(text: str, where: str) -> Messages:
    """Split turns that are written in one text, as in HelpSteer2: <extra_id_1>Assistant, <extra_id_1>User."""
    first, *others = _TURN.split(text)
    messages = [Message(role="user", content=first.strip())] if first.strip() else []
    for name, content in zip(others[::2], others[1::2], strict=True):
        messages.append(Message(role=name.lower(), content=content.strip()))
    return _conversation(messages, where)


def _values(row: Row, template: str, where: str) -> dict[str, Any]:
    """Return the values of the names in a template: texts, and lists of choices."""
    values: dict[str, Any] = {}
    for name, _ in placeholders(template):
        value = row.get(f"{{{name}}}", row.get(name))
        if value is None:
            hint = "; choices are read by domain mcq, from columns.choices" if name in CHOICES else ""
            raise BadRow(where, f"template: nothing in '{name}'", hint, may_drop=True)
        is_number = isinstance(value, int | float | Decimal) and not isinstance(value, bool)
        text = number_as_text(value) if is_number else value
        if name not in CHOICES and not isinstance(text, str):
            raise BadRow(where, f"template: '{name}' must be text", f" (got {value!r:.80})")
        values[name] = text
    return values


def _conversation(value: object, where: str) -> Messages:
    """Read a list of {role, content}, or of ShareGPT's {from, value}, or either of them as JSON text."""
    given = value
    if isinstance(value, str):
        try:
            given = json.loads(value) if value.strip() else []
        except ValueError:
            given = None
    if not isinstance(given, list) or not given:
        raise BadRow(where, "messages must be a list of {role, content}", f" (got {value!r:.80})", isinstance(given, list))
    messages = []
    for at, message in enumerate(given):
        fields = message if isinstance(message, dict) else {}
        role, content = fields.get("role"), fields.get("content")
        if role is None and content is None:
            sender, content = fields.get("from"), fields.get("value")
            role = _SHAREGPT_ROLES.get(sender, sender) if isinstance(sender, str) else sender
        if role not in _ROLES or not isinstance(content, str):
            what = f"messages.{at} must have a role ({', '.join(_ROLES)}) and a content of text"
            raise BadRow(where, what, f" (got {message!r:.80})", may_drop=role in _ROLES and content is None)
        messages.append(Message(role=role, content=content))
    if messages[-1]["role"] != "user":
        detail = f" (the last one is the {messages[-1]['role']}'s)"
        raise BadRow(where, "messages must end with the user's", detail)
    return messages
