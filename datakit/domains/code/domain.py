"""Code: prompts whose reference is their tests."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from datakit.domains.code.asked import asserts_in, examples_in
from datakit.domains.code.cases import entry_of, load
from datakit.domains.code.formats import STYLES, UnknownFormat, style_of
from datakit.domains.code.verifier import CodeVerifier
from datakit.domains.protocol import Verifier
from datakit.domains.reading import read_prompts
from datakit.errors import BadRow
from datakit.recipe.verify import VerifyCode
from datakit.tables import Message, Prompt, Row

MBPP = frozenset({"test_setup_code", "test_imports", "test_list", "challenge_test_list"})
"""The columns of MBPP that contain statements."""


class Code:
    """The domain of problems with tests: Python, or inputs and outputs as JSON text, a list or a mapping (formats.py)."""

    name = "code"

    def __init__(self, options: VerifyCode) -> None:
        self.verifier: Verifier | None = CodeVerifier(options)

    def read(self, rows: Iterable[Row], source: str) -> Iterator[Prompt]:
        """Yield prompts with their tests as text; those without runnable tests are dropped."""
        texts = ({**row, "reference": _as_text(row.get("reference"))} for row in rows)
        for given in read_prompts(self.name, texts, source):
            prompt = given if given.reference is not None else _with_own_tests(given)
            if prompt.dropped is not None or prompt.reference is None:
                yield replace(prompt, dropped=prompt.dropped or "no tests")
                continue
            entry_point = entry_of(prompt.reference, prompt.entry_point)
            where = f"{source}: prompt {prompt.prompt_id}"
            try:
                style = prompt.test_style or style_of(prompt.reference, entry_point)
            except UnknownFormat as error:
                shows, _, seen = str(error).partition(" (")
                raise BadRow(where, f"its reference {shows}", f" ({seen}") from None
            if style not in STYLES:
                raise BadRow(where, f"test_style must be one of {', '.join(STYLES)}", f" (got {style!r:.40})")
            nameless = style == "humaneval_check" and entry_point is None
            dropped = "no entry_point for check(candidate)" if nameless else None
            yield replace(prompt, test_style=style, entry_point=entry_point, dropped=dropped)

    def gold(self, prompt: Prompt) -> str | None:
        """Return the solution in the form of an answer."""
        if prompt.solution is None or "```" in prompt.solution:
            return prompt.solution
        return f"```python\n{prompt.solution.strip()}\n```"


def _with_own_tests(prompt: Prompt) -> Prompt:
    """Return the prompt with the tests in its text, if any; the function that its examples call is added to the text."""
    asked = prompt.messages[-1]["content"]
    if (asserts := asserts_in(asked)) is not None:
        return replace(prompt, reference=asserts, test_style="asserts")
    if (examples := examples_in(asked, prompt.solution)) is None:
        return prompt
    told = Message(role="user", content=f"{asked}\n\nWrite a Python function `{examples.signature}`.")
    messages = [*prompt.messages[:-1], told]
    return replace(prompt, messages=messages, reference=examples.tests, test_style="asserts", entry_point=examples.entry_point)


def _as_text(reference: Any) -> Any:
    """Return tests as text: statements line by line, from a list (also as JSON) or from several columns; data as JSON."""
    found = load(reference) if isinstance(reference, str) else reference
    if isinstance(found, list) and all(isinstance(test, str) for test in found):
        return "\n".join(found)
    if isinstance(found, dict) and found and found.keys() <= MBPP:
        texts = [_as_text(part) for part in found.values()]
        if all(isinstance(text, str) for text in texts):
            return "\n".join(texts)
    return json.dumps(reference, ensure_ascii=False) if isinstance(reference, list | dict) else reference
