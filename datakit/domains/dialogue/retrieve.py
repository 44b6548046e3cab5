"""Retrieve the entities for a conversation: by the values that it shares with each, or by encoders from `train retriever`.

The meta knowledge about what was retrieved is MK-TOD's (arXiv 2310.08877): its rank, the retriever's confidence, and whether
the conversation has named it already.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from datakit.domains.dialogue.knowledge import KnowledgeBase
from datakit.errors import BadInput, needs_extra

SURE = ("low", "middle", "high")
FILE = "retriever.json"
AT_A_TIME = 64  # entities that are encoded at a time


class Retrieved(NamedTuple):
    """An entity: `at` is its index in the knowledge base, `share` the confidence, from 0 to 1."""

    at: int
    share: float
    seen: bool


class Retriever(Protocol):
    """A retriever, which finds entities for a conversation."""

    def find(self, kb: KnowledgeBase, turns: Sequence[tuple[str, str]], top: int) -> list[Retrieved]:
        """Return the best `top` entities, best first; ties in the order of the knowledge base."""
        ...


class Count:
    """A retriever by the number of values that conversation and entity share; an entity with all values has confidence 1."""

    def find(self, kb: KnowledgeBase, turns: Sequence[tuple[str, str]], top: int) -> list[Retrieved]:
        """See Retriever.find."""
        found = set(kb.find(" ".join(text for _, text in turns)))
        shared = kb.count_shared(found)
        order = sorted(range(len(shared)), key=lambda at: (-shared[at], at))[:top]
        return [Retrieved(at, shared[at] / max(1, len(found)), kb.names[at] in found) for at in order]


class Trained:
    """A retriever by the dot product of two BERT encoders, from a folder of `train retriever`; the confidence is the softmax
    over what is retrieved."""

    def __init__(self, folder: Path) -> None:
        described = _described(folder)
        self.columns, self.longest = described["columns"], int(described["max_length"])
        with needs_extra("local", "the retriever"):
            import torch
            from transformers import AutoTokenizer, BertModel
        self.torch = torch
        self.models, self.tokenizers = {}, {}
        for name in ("context_encoder", "entity_encoder"):
            try:
                model: Any = BertModel.from_pretrained(folder / name, add_pooling_layer=False)
                self.models[name] = model.eval()
                self.tokenizers[name] = AutoTokenizer.from_pretrained(folder / name)
            except (OSError, ValueError) as error:
                raise BadInput(f"verify.retriever: {folder / name} cannot be loaded ({str(error).splitlines()[0]})") from error
        self._embedded: tuple[KnowledgeBase, Any] | None = None

    def find(self, kb: KnowledgeBase, turns: Sequence[tuple[str, str]], top: int) -> list[Retrieved]:
        """See Retriever.find."""
        if self._embedded is None or self._embedded[0] is not kb:
            self._embedded = kb, self._embed_entities(kb)
        text = " ".join(f"{'user' if role == 'user' else 'system'}: {said.strip()}" for role, said in turns)
        scores = self._embedded[1] @ self._embed("context_encoder", [text])[0]
        best = scores.topk(min(top, len(kb.entities)))
        found = set(kb.find(text))
        shares = best.values.softmax(dim=0).tolist()
        return [Retrieved(at, share, kb.names[at] in found) for at, share in zip(best.indices.tolist(), shares, strict=True)]

    def _embed_entities(self, kb: KnowledgeBase) -> Any:
        if list(kb.columns) != self.columns:
            raise BadInput(
                f"verify.columns: {', '.join(kb.columns)}; the retriever was trained on {', '.join(self.columns)}: write these"
            )
        texts = [kb.describe(at) for at in range(len(kb.entities))]
        parts = [self._embed("entity_encoder", texts[at : at + AT_A_TIME]) for at in range(0, len(texts), AT_A_TIME)]
        return self.torch.cat(parts)

    def _embed(self, name: str, texts: list[str]) -> Any:
        """Return embeddings [N, D]: scaled means of states; long conversations keep their last tokens
        (train/retriever/modules.py, batches.py)."""
        tokenizer = self.tokenizers[name]
        rows = [tokenizer(text, truncation=False)["input_ids"] for text in texts]
        rows = [row[-self.longest :] if name == "context_encoder" else row[: self.longest] for row in rows]
        longest = max(map(len, rows))
        ids = self.torch.tensor([[*row, *[tokenizer.pad_token_id] * (longest - len(row))] for row in rows])
        mask = self.torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
        with self.torch.no_grad():
            states = self.models[name](input_ids=ids, attention_mask=mask).last_hidden_state
        mean = (states * mask[..., None]).sum(dim=1) / mask.sum(dim=1, keepdim=True)
        return mean / mean.shape[1] ** 0.25


def _described(folder: Path) -> dict[str, Any]:
    try:
        described = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        described = None
    if not isinstance(described, dict) or not {"columns", "max_length"} <= described.keys():
        raise BadInput(f"verify.retriever: {folder} has no readable {FILE}; give `count`, or a folder of train retriever")
    return described


@lru_cache(maxsize=2)
def retriever_at(folder: Path | None) -> Retriever:
    """Return the retriever of a folder; for None the one that counts shared values."""
    return Count() if folder is None else Trained(folder)


def bin_of(share: float, edges: Sequence[float]) -> str:
    """Return low below the first edge, high from the second on, else middle.

    >>> [bin_of(share, (0.25, 0.75)) for share in (0.1, 0.25, 0.75)]
    ['low', 'middle', 'high']
    """
    return SURE[sum(share >= edge for edge in edges)]


def as_text(kb: KnowledgeBase, found: Sequence[Retrieved], edges: Sequence[float] | None) -> str:
    """Return what was retrieved as text, one entity per line. Without edges there is no meta knowledge, not even the order."""
    if not found:
        return "The knowledge base has nothing on this."
    if edges is None:
        lines = [f"- {kb.describe(at)}" for at in sorted(one.at for one in found)]
        return "\n".join(["From the knowledge base:", *lines])
    lines = [
        f"{number}. {kb.describe(one.at)} ({bin_of(one.share, edges)} confidence, {'mentioned before' if one.seen else 'new'})"
        for number, one in enumerate(found, start=1)
    ]
    return "\n".join(["From the knowledge base, the best match first:", *lines])
