"""Score many conversations with a model on this machine: batches cut by tokens; the next are tokenized meanwhile."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import accumulate, takewhile
from typing import TYPE_CHECKING, Literal, Protocol

from datakit.rewards.local.conversations import Tokens
from datakit.rewards.protocol import Score, no_score
from datakit.tables import Messages

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

WINDOW = 256  # conversations that are tokenized, sorted and cut into batches together
Padding = Literal["right", "left"]


class TokenModel(Protocol):
    """A model with the two halves of scoring: tokens on the CPU, and a pass on the model's device."""

    def encode(self, conversations: Sequence[Messages]) -> list[Tokens | Score]:
        """Return each conversation as tokens, or a Score with an error. Runs in a thread of its own."""
        ...

    def score_batch(self, batch: Sequence[Tokens]) -> list[Score]:
        """Return one Score each, from one pass of the model."""
        ...


@dataclass
class Budget:
    """How many tokens a batch may have, padding included. It only shrinks, when memory runs out."""

    tokens: int
    exact: bool = False
    """True for one conversation per batch."""
    padding: int | None = None
    """How many of its tokens may be padding: at best as many as one more pass of the model costs. None: no limit."""

    def cut(self, batch: Sequence[Tokens]) -> Iterator[Sequence[Tokens]]:
        """Cut conversations, longest first, into batches within the budget; one that exceeds it is a batch of its own."""
        while batch:
            n = self._fitting(batch)
            yield batch[:n]
            batch = batch[n:]

    def _fitting(self, batch: Sequence[Tokens]) -> int:
        width = len(batch[0].ids)
        most = 1 if self.exact else max(1, min(len(batch), self.tokens // width))
        padding = accumulate(width - len(row.ids) for row in batch[:most])
        return most if self.padding is None else sum(1 for _ in takewhile(self.padding.__ge__, padding))

    def halve(self, batch: Sequence[Tokens]) -> None:
        """Shrink the budget to half the tokens of this batch, which did not fit into memory."""
        self.tokens = max(1, min(self.tokens, len(batch) * len(batch[0].ids)) // 2)


def score_all(model: TokenModel, conversations: Sequence[Messages], budget: Budget) -> Iterator[Score]:
    """Yield one Score per conversation, in order. While one window of them is scored the next is tokenized."""
    windows = [conversations[at : at + WINDOW] for at in range(0, len(conversations), WINDOW)]
    with ThreadPoolExecutor(max_workers=1) as thread:
        ahead = thread.submit(model.encode, windows[0]) if windows else None
        for following in [*windows[1:], None]:
            if ahead is not None:
                encoded = ahead.result()
                ahead = None if following is None else thread.submit(model.encode, following)
                yield from _score_window(model, encoded, budget)


def _score_window(model: TokenModel, window: Sequence[Tokens | Score], budget: Budget) -> list[Score]:
    found: dict[int, Score] = {at: row for at, row in enumerate(window) if isinstance(row, Score)}
    tokens = {at: row for at, row in enumerate(window) if isinstance(row, Tokens)}
    order = sorted(tokens, key=lambda at: len(tokens[at].ids), reverse=True)
    scores = (score for batch in budget.cut([tokens[at] for at in order]) for score in _score_batch(model, batch, budget))
    found.update(zip(order, scores, strict=True))
    return [found[at] for at in range(len(window))]


def _score_batch(model: TokenModel, batch: Sequence[Tokens], budget: Budget) -> Iterator[Score]:
    """Score the batch. If it fails, score smaller parts when memory ran out, else single rows to find the faulty one."""
    import torch

    try:
        yield from model.score_batch(batch)
        return
    except RuntimeError as error:  # torch.OutOfMemoryError is one; on a CPU it is a plain one
        too_much, message = _is_out_of_memory(error), f"{type(error).__name__}: {error}".splitlines()[0]
    if too_much and torch.cuda.is_available():
        torch.cuda.empty_cache()
    if len(batch) == 1:
        alone = f"{len(batch[0].ids)} tokens alone are more than the memory holds; set max_tokens"
        yield no_score("out_of_memory", alone) if too_much else no_score("model_error", message)
        return
    if too_much:
        budget.halve(batch)
    for part in budget.cut(batch) if too_much else ([row] for row in batch):
        yield from _score_batch(model, part, budget)


def _is_out_of_memory(error: RuntimeError) -> bool:
    import torch

    words = ("out of memory", "ALLOC_FAILED", "DefaultCPUAllocator")  # CUDA and MPS; cuBLAS; CPU
    return isinstance(error, torch.OutOfMemoryError) or any(word in str(error) for word in words)


def hidden_states(
    backbone: nn.Module,
    batch: Sequence[Tokens],
    wanted: Sequence[tuple[int, ...]],
    device: torch.device,
    padding: Padding,
) -> Tensor:
    """Return the final hidden states [B, wanted, hidden], float32, at the wanted positions of each conversation.

    Padding never influences a real token. Padded right, causal attention ensures that, and positions count from 0. Padded left,
    it takes a mask, and positions start at each row's first real token.
    """
    import torch

    width = max(len(row.ids) for row in batch)
    starts = [width - len(row.ids) if padding == "left" else 0 for row in batch]
    ids = torch.zeros(len(batch), width, dtype=torch.long)
    for row, start, target in zip(batch, starts, ids, strict=True):
        target[start : start + len(row.ids)] = torch.tensor(row.ids)
    place: dict[str, Tensor] = {}
    if any(starts):
        positions = torch.arange(width) - torch.tensor(starts)[:, None]
        place = {"attention_mask": (positions >= 0).long(), "position_ids": positions.clamp(min=0)}
    inputs = {name: tensor.to(device) for name, tensor in place.items()}
    hidden: Tensor = backbone(input_ids=ids.to(device), use_cache=False, **inputs).last_hidden_state
    places = torch.tensor([[start + at for at in row] for start, row in zip(starts, wanted, strict=True)], device=device)
    return hidden[torch.arange(len(batch), device=device)[:, None], places].float()
