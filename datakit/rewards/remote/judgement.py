"""Read the replies of judges that are chat models: the text of a judgement, or why it does not count."""

from __future__ import annotations

from typing import Any, NamedTuple

from datakit.client import is_withheld, read_content
from datakit.tables.answers import CUT_OFF, is_complete, join

UNREADABLE = 20  # unreadable judgements before the first readable one that stop the judge: it or its settings are wrong


class Unread(NamedTuple):
    """Why a judgement cannot be read: one word, and a sentence."""

    error: str
    message: str


def check_layout(answer: Any) -> None:
    """Raise ValueError if the body is not a chat completion with a choice."""
    choices = answer.get("choices") if isinstance(answer, dict) else None
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise ValueError("not a chat completion")


def read_text(choice: dict[str, Any]) -> str | Unread:
    """Return the text of a complete judgement. The judge's thought is left out: it may hold drafts of a verdict."""
    if is_withheld(choice):
        return Unread("content_filter", "the server withheld the judgement (content filter or refusal)")
    reason, content = choice.get("finish_reason"), read_content(choice)
    if reason in CUT_OFF:
        return Unread("cut_off", "the judgement was cut off at max_tokens")
    judgement = join(content.text, content.thinking, content.form)
    if judgement.text is None and judgement.reasoning is not None:
        return Unread("cut_off", "the judge's thought never ended")
    if not is_complete(reason if isinstance(reason, str) else None):
        return Unread("cut_off", f"the judgement ended with '{reason}', which is not known to mean that it is complete")
    return judgement.text or ""
