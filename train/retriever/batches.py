"""Turns as tensors: the inputs of the encoders, the generator's input per retrieved entity, and the responses."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from train.retriever.knowledge import KnowledgeBase, Turn
from train.retriever.meta import Meta
from train.retriever.options import RetrieverArguments

if TYPE_CHECKING:
    from torch import Tensor

Tokens = dict[str, "Tensor"]


class Batches:
    """Tokens of one knowledge base and its dialogues, each text tokenized once."""

    def __init__(self, kb: KnowledgeBase, own: RetrieverArguments, tokenizers: dict[str, Any]) -> None:
        self.kb, self.own, self.tokenizers = kb, own, tokenizers
        self._ids = cache(lambda name, text: tokenizers[name](text, truncation=False)["input_ids"])

    def entities(self, places: Sequence[int]) -> Tokens:
        """Return the entity encoder's input for these entities."""
        longest = self.own.max_retriever_length
        return self._padded("entity_encoder", [self._of("entity_encoder", self.kb.describe(at))[:longest] for at in places])

    def contexts(self, turns: Sequence[Turn]) -> Tokens:
        """Return the context encoder's input: the last tokens of each conversation."""
        longest = self.own.max_retriever_length
        return self._padded("context_encoder", [self._of("context_encoder", turn.text)[-longest:] for turn in turns])

    def pairs(self, turns: Sequence[Turn], places: Sequence[Sequence[int]], metas: Sequence[Sequence[Meta]]) -> Tokens:
        """Return the generator's input, [B * K, T]: meta knowledge, entity and conversation, per turn and entity."""
        rows = []
        for turn, of_turn, meta in zip(turns, places, metas, strict=True):
            said = self._of("generator", turn.text)[-self.own.max_context_length :]
            rows += [self._entity(at, one) + said for at, one in zip(of_turn, meta, strict=True)]
        return self._padded("generator", rows)

    def alone(self, turns: Sequence[Turn]) -> Tokens:
        """Return the generator's input without retrieved entities, [B, T]."""
        return self._padded("generator", [self._of("generator", turn.text)[-self.own.max_context_length :] for turn in turns])

    def labels(self, turns: Sequence[Turn]) -> Tensor:
        """Return the responses' tokens, [B, L], with -100 after their ends."""
        longest, end = self.own.max_response_length, self.tokenizers["generator"].eos_token_id
        rows = [self._ids("generator", turn.response) for turn in turns]
        cut = [row if len(row) <= longest else [*row[: longest - 1], end] for row in rows]
        padded = self._padded("generator", cut)
        return padded["input_ids"].masked_fill(padded["attention_mask"] == 0, -100)

    def _entity(self, at: int, meta: Meta) -> list[int]:
        said = "" if self.own.meta == "none" else meta.as_tokens() if self.own.meta == "prefix" else meta.as_words()
        known = self._of("generator", self.kb.describe(at))[: self.own.max_entity_length]
        return [*(self._of("generator", said) if said else []), *known]

    def _of(self, name: str, text: str) -> list[int]:
        """Return the tokens of a text that another text follows: without the end token."""
        ids: list[int] = self._ids(name, text)
        end = self.tokenizers[name].eos_token_id
        return ids[:-1] if name == "generator" and ids and ids[-1] == end else ids

    def _padded(self, name: str, rows: Sequence[Sequence[int]]) -> Tokens:
        import torch

        pad, longest = self.tokenizers[name].pad_token_id, max(map(len, rows))
        ids = torch.tensor([[*row, *[pad] * (longest - len(row))] for row in rows])
        mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
        return {"input_ids": ids, "attention_mask": mask}
