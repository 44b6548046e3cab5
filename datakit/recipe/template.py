"""Templates: how a row's columns, or a prompt, become the message that models are asked.

`{question}` stands for a column. `{choices}` stands for the choices of a question of multiple choice, one a line with its
letter, `{shuffled_choices}` for the same in an order that a hash decides; `{choices:(A) }` says how the letter is written.
`{{name}}` is the text `{name}`; all other braces are text, so `\\boxed{}` needs no care.
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
    """Those of a template, in its order."""
    for found in _PLACEHOLDER.finditer(template):
        if found[2] is not None:
            yield Placeholder(found[2], found[3])


def fill(template: str, values: Mapping[str, str | Sequence[str]]) -> str:
    """The template's text with the values in it; the choices among them are lists. KeyError for a name without a value."""

    def filled(found: re.Match[str]) -> str:
        if found[1] is not None:
            return f"{{{found[1]}}}"
        value = values[found[2]]
        return value if isinstance(value, str) else lettered(value, found[3] or _FORM)

    return _PLACEHOLDER.sub(filled, template)


def lettered(choices: Sequence[str], form: str = _FORM) -> str:
    """The choices, one a line; `form` is what stands before the first, and its A the letter."""
    letters = ascii_uppercase[: len(choices)]
    return "\n".join(f"{form.replace('A', letter)}{choice}" for letter, choice in zip(letters, choices, strict=True))


def _as_row_template(template: str) -> str:
    if not any(placeholders(template)):
        raise ValueError("a template needs a {column} of the file in it")
    for name, form in placeholders(template):
        if form is not None and name not in CHOICES:
            raise ValueError(f"{{{name}:{form}}}: only {' and '.join(CHOICES)} are written in a form; write {{{name}}}")
        if form is not None and form.count("A") != 1:
            raise ValueError(f"{{{name}:{form}}}: the form is what stands before the first choice, with one A: (A) or A.")
    return template


def _as_prompt_template(template: str) -> str:
    found = [*placeholders(template)]
    if unknown := [name for name, form in found if name != "prompt" or form is not None]:
        raise ValueError(
            f"a source's template has {{prompt}} only, which stands for what the user asks; {{{{{unknown[0]}}}}} is the text "
            f"{{{unknown[0]}}}"
        )
    if not found:
        raise ValueError("a source's template needs {prompt} in it, which stands for what the user asks")
    return template


RowTemplate = Annotated[str, AfterValidator(_as_row_template)]
"""A row's columns -> the user's message."""
PromptTemplate = Annotated[str, AfterValidator(_as_prompt_template)]
"""What the user asks last -> the same as one source is asked it."""
