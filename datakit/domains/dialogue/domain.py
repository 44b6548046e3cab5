"""Conversations with what was retrieved for them in their last message, and the values of the gold answer as reference."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import dropwhile
from typing import Any

from datakit.domains.dialogue.knowledge import KnowledgeBase, kb_of_row, load, turns_of
from datakit.domains.dialogue.retrieve import as_text, retriever_at
from datakit.domains.dialogue.verifier import DialogueVerifier, reference_of
from datakit.domains.protocol import Verifier
from datakit.domains.reading import read_prompt
from datakit.errors import BadRow
from datakit.recipe.verify import VerifyDialogue
from datakit.tables import Prompt, Row, canonical_json

NO_VALUES = "no value of the knowledge base in the reference answer"
Turns = Sequence[tuple[str, str]]


class Dialogue:
    """The domain of task-oriented dialogue over a knowledge base."""

    name = "dialogue"

    def __init__(self, options: VerifyDialogue) -> None:
        self.verifier: Verifier | None = DialogueVerifier(options)
        self.options = options

    def read(self, rows: Iterable[Row], source: str) -> Iterator[Prompt]:
        """Yield one prompt per row of messages that end with the user's; for a whole dialogue one per answer in it.

        A prompt is dropped if the gold answer has no value of the knowledge base: nothing could be right or wrong then.
        """
        kb = load(self.options)
        for number, row in enumerate(rows, start=1):
            where = f"{source}: row {number}"
            if "template" in row:
                raise BadRow(where, "template: domain dialogue writes prompts itself", "; leave it out")
            known = self._knowledge(row["knowledge"], where) if "knowledge" in row else kb
            if known is None:
                hint = ": name a file in verify.kb, or the column that has it in columns.knowledge"
                raise BadRow(where, "no knowledge", hint, may_drop=True)
            turns, is_dialogue = _turns(row)
            if turns is None or not is_dialogue:
                yield self._prompt(row, turns, row.get("reference"), known, source, number)
                continue
            for at in range(1, len(turns)):
                if turns[at][0] == "assistant" and turns[at - 1][0] == "user":
                    own_id = {"prompt_id": f"{row['prompt_id']}/{at // 2}"} if "prompt_id" in row else {}
                    yield self._prompt({**row, **own_id}, turns[:at], turns[at][1], known, source, number)

    def gold(self, prompt: Prompt) -> str | None:
        """Return the gold answer unchanged."""
        found: str | None = reference_of(prompt.reference).get("response")
        return found

    def _knowledge(self, value: Any, where: str) -> KnowledgeBase:
        entities = canonical_json(_entities(value, where))
        return kb_of_row(entities, tuple(self.options.columns), tuple(sorted(self.options.spellings.items())))

    def _prompt(self, row: Row, turns: Turns | None, answer: Any, kb: KnowledgeBase, source: str, number: int) -> Prompt:
        """Return one prompt; read_prompt refuses what is not a conversation."""
        if turns is None or not turns[-1][1].strip():
            prompt = read_prompt(self.name, row, source, number)
            if prompt.dropped is None:
                hint = "; a system prompt is said by the sources (system: ...)"
                raise BadRow(f"{source}: row {number}", "messages must be the user's and the assistant's alone", hint)
            return prompt
        options = self.options
        found = retriever_at(options.retriever_path).find(kb, turns, options.top)
        knowledge = as_text(kb, found, options.confidence if options.meta else None)
        said = [{"role": role, "content": text} for role, text in turns]
        said[-1] = {"role": "user", "content": f"{knowledge}\n\n{turns[-1][1]}"}
        values = kb.find(answer) if isinstance(answer, str) else []
        reference = None
        if values:
            held = {"entities": _about(kb, values, turns), "response": answer, "values": values}
            reference = canonical_json({**held, "kb": list(kb.entities)} if "knowledge" in row else held)
        plain = {name: value for name, value in row.items() if name not in ("prompt", "messages", "reference")}
        prompt = read_prompt(self.name, {**plain, "messages": said, "reference": reference}, source, number)
        return prompt if values else replace(prompt, dropped=NO_VALUES)


def _about(kb: KnowledgeBase, values: Sequence[str], turns: Turns) -> list[str]:
    """Return the names of the entities that a gold answer is about: those that it names, else the one that was named last."""
    names = set(kb.names)
    named = [value for value in values if value in names]
    before = [value for _, text in turns for value in kb.find(text) if value in names]
    return named or before[-1:]


def _turns(row: Row) -> tuple[Turns | None, bool]:
    """Return the conversation of a row, from its messages in any published form or its prompt; and whether it is a whole
    dialogue.

    {role, content} is a whole dialogue if it ends with the assistant's turn; the other forms always are. It begins with the
    user's.
    """
    value = row.get("messages", row.get("prompt"))
    if isinstance(value, str):
        given = None
        if value.lstrip().startswith("["):
            with suppress(ValueError):
                given = json.loads(value)
        if not isinstance(given, list):
            return [("user", value)], False
        value = given
    turns = turns_of(value) if isinstance(value, list) else None
    if not turns or not isinstance(value, list):
        return None, False
    last = value[-1]
    begun = list(dropwhile(lambda turn: turn[0] != "user", turns))
    return begun or None, turns[-1][0] != "user" or "role" not in last


def _entities(value: Any, where: str) -> list[dict[str, Any]]:
    """Return a row's own knowledge: a list of objects, also as JSON text; a missing one is an empty list."""
    given = value
    if isinstance(value, str):
        try:
            given = json.loads(value)
        except ValueError:
            given = None
    if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
        raise BadRow(where, "knowledge must be a list of objects, an entity each", f" (got {value!r:.80})")
    return given
