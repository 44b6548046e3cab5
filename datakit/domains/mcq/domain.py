"""Multiple choice: prompts that show their choices, and a reference that holds the right letter and the choices as shown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from string import ascii_uppercase

from datakit.domains.mcq.choices import Unusable, read_choices, right_choice, shown_order
from datakit.domains.mcq.verifier import McqVerifier, reference_of
from datakit.domains.protocol import Verifier
from datakit.domains.reading import read_prompt
from datakit.errors import BadRow
from datakit.recipe.template import CHOICES, placeholders
from datakit.recipe.verify import VerifyMcq
from datakit.tables import Prompt, Row, canonical_json

TEMPLATE = "{prompt}\n\n{choices}\n\nEnd with the letter of the one right choice: The answer is (X)."
_SHUFFLED = "shuffled_choices"


class Mcq:
    """The domain of questions with choices, one of which is right."""

    name = "mcq"

    def __init__(self, options: VerifyMcq) -> None:
        self.verifier: Verifier | None = McqVerifier(options)
        self.reference = options.reference

    def read(self, rows: Iterable[Row], source: str) -> Iterator[Prompt]:
        """Yield prompts with the right letter and the choices as their reference; those without either are dropped."""
        for number, row in enumerate(rows, start=1):
            shown, dropped = self._shown(row, f"{source}: row {number}")
            prompt = read_prompt(self.name, shown, source, number)
            yield prompt if dropped is None else replace(prompt, dropped=dropped)

    def gold(self, prompt: Prompt) -> str | None:
        """Return the right letter in the form of an answer."""
        return f"The answer is ({reference_of(prompt.reference)[0]})." if prompt.reference else None

    def _shown(self, row: Row, where: str) -> tuple[Row, str | None]:
        """Return the row with its choices in the order shown and the reference of this domain; and why it is left out, or
        None."""
        template = row.get("template", TEMPLATE if row.get("messages") is None else None)
        named = {} if template is None else {name: row.get(f"{{{name}}}", row.get(name)) for name, _ in placeholders(template)}
        if named.keys() >= set(CHOICES):
            raise BadRow(where, "template: choices and shuffled_choices exclude each other", "; one order is shown")
        shown = row if template is None else {**row, "template": template}
        try:
            listed = read_choices(row.get("choices"), where)
        except Unusable as reason:
            return {**shown, **{name: [] for name in CHOICES}, "reference": None}, str(reason)
        order = [*range(len(listed.texts))]
        if _SHUFFLED in named:
            order = shown_order(listed.texts, canonical_json({name: named[name] for name in named if name != _SHUFFLED}))
        texts = [listed.texts[at] for at in order]
        asked = {**shown, **dict.fromkeys(CHOICES, texts)}  # equal with and without an answer
        try:
            right = right_choice(row.get("reference"), listed, self.reference, where)
        except Unusable as reason:
            return {**asked, "reference": None}, str(reason)
        return {**asked, "reference": canonical_json({"answer": ascii_uppercase[order.index(right)], "choices": texts})}, None
