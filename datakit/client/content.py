"""The message of a choice: the text of the answer and, separately, the model's thought.

Servers write both in several ways, all seen in practice: `content` is a text (OpenAI) or a list of parts (Mistral's thinking
models, Anthropic's layout behind proxies); a thought is a part of type `thinking` or `reasoning`, or another field of the
message: `reasoning_content` (DeepSeek, SGLang, vLLM until 0.11) or `reasoning` (vLLM since, OpenRouter, Groq). A thought that
is given in two of these ways counts once.
"""

from __future__ import annotations

from typing import Any, NamedTuple

THINKING = ("thinking", "reasoning", "reasoning_content")
UNFINISHED = ("error", "abort")
"""Values of `finish_reason` that mean that the server itself broke off the answer."""


class Content(NamedTuple):
    """An answer's text and thought: empty if there is only white space, and without lone surrogates, so they can be stored."""

    text: str
    thinking: str
    form: str | None = None
    """The place of the thought: a field of the message, or `parts` of its content."""


def read_content(choice: dict[str, Any]) -> Content:
    """Return the content of one choice of a chat completion, whatever else the choice has."""
    message = choice.get("message")
    if not isinstance(message, dict):
        return Content("", "")
    content = message.get("content")
    if isinstance(content, str):
        if not (message.get("reasoning_content") or message.get("reasoning")):  # the usual case
            return Content(_storable(content), "")
        text, thought = content, ""
    else:
        parts = content if isinstance(content, list) else []
        text = "".join(_text_of(part) for part in parts if not _is_thinking(part))
        thought = "".join(_text_of(part) for part in parts if _is_thinking(part))
    form = "reasoning_content" if message.get("reasoning_content") else "reasoning"
    beside = message.get(form)
    if not (isinstance(beside, str) and beside.strip()):
        form, beside = "parts", thought
    thinking = _storable(beside)
    return Content(_storable(text), thinking, form if thinking else None)


def is_withheld(choice: dict[str, Any]) -> bool:
    """True if the server withholds the answer because of its content; a part of it may be there."""
    message = choice.get("message")
    if choice.get("finish_reason") == "content_filter":
        return True
    if not isinstance(message, dict):
        return False
    content = message.get("content")
    return bool(message.get("refusal")) or (
        isinstance(content, list) and any(isinstance(part, dict) and part.get("type") == "refusal" for part in content)
    )


def is_unfinished(choice: dict[str, Any]) -> bool:
    """True if the server failed in the middle: the text so far is no answer, and another try may give one."""
    return bool(choice.get("error")) or choice.get("finish_reason") in UNFINISHED


def _is_thinking(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type") in THINKING


def _text_of(part: Any) -> str:
    """Return the text of a part. A part's `thinking` may itself be a list of parts (Mistral)."""
    if isinstance(part, str):
        return part
    if isinstance(part, list):
        return "".join(map(_text_of, part))
    if not isinstance(part, dict) or part.get("type") == "refusal":
        return ""
    said = next((part[name] for name in ("text", *THINKING) if isinstance(part.get(name), str | list)), "")
    return _text_of(said)


def _storable(text: str) -> str:
    if not text.strip():
        return ""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
