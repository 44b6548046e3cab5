"""Templates: how a row's columns, or a prompt, become the message that models are asked.

`{question}` is replaced by a column. `{choices}` is replaced by the choices of a multiple-choice question, one per line with
its letter, `{shuffled_choices}` by the same in an order that a hash decides; `{choices:(A) }` says how the letter is written.
`{{name}}` is the text `{name}`; all other braces are ordinary text, so `\\boxed{}` needs no escape.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from string import ascii_uppercase
from typing import Annotated, NamedTuple

from pydantic import AfterValidator

CHOICES = ("choices", "shuffled_choices")
_FORM = "A. "
_PLACEHOLDER = re.compile(r"\{\{([^\W\d][\w .-]*)\}\}|\{([^\W\d][\w .-]*)(?::([^{}\n]*))?\}")


class Placeholder(NamedTuple):
    """`{name}` or `{name:form}`."""

    name: str
    form: str | None


def placeholders(template: str) -> Iterator[Placeholder]:
    """Yield the placeholders of a template in order."""
    for found in _PLACEHOLDER.finditer(template):
        if found[2] is not None:
            yield Placeholder(found[2], found[3])


def fill(template: str, values: Mapping[str, str | Sequence[str]]) -> str:
    """Return the template filled with the values; values of choices are lists. KeyError for a name without a value."""

    def filled(found: re.Match[str]) -> str:
        if found[1] is not None:
            return f"{{{found[1]}}}"
        value = values[found[2]]
        return value if isinstance(value, str) else lettered(value, found[3] or _FORM)

    return _PLACEHOLDER.sub(filled, template)


def lettered(choices: Sequence[str], form: str = _FORM) -> str:
    """Return the choices, one per line. `form` is the text before the first choice, and its A the letter."""
    letters = ascii_uppercase[: len(choices)]
    return "\n".join(f"{form.replace('A', letter)}{choice}" for letter, choice in zip(letters, choices, strict=True))


def _as_row_template(template: str) -> str:
    if not any(placeholders(template)):
        raise ValueError("a template must contain a {column} of the file")
    for name, form in placeholders(template):
        if form is not None and name not in CHOICES:
            raise ValueError(f"{{{name}:{form}}}: only {' and '.join(CHOICES)} can have a form; write {{{name}}}")
        if form is not None and form.count("A") != 1:
            raise ValueError(f"{{{name}:{form}}}: the form is the text before the first choice and contains one A: (A) or A.")
    return template


def _as_prompt_template(template: str) -> str:
    found = [*placeholders(template)]
    if unknown := [name for name, form in found if name != "prompt" or form is not None]:
        raise ValueError(
            f"a source's template knows only {{prompt}}, the user's message; write {{{{{unknown[0]}}}}} for the text "
            f"{{{unknown[0]}}}"
        )
    if not found:
        raise ValueError("a source's template must contain {prompt}, the user's message")
    return template


RowTemplate = Annotated[str, AfterValidator(_as_row_template)]
"""A template that makes the user's message from a row's columns."""
PromptTemplate = Annotated[str, AfterValidator(_as_prompt_template)]
"""A template that makes the message to one source from the user's last message."""
