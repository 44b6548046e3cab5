"""ArmoRM: a Llama with 19 reward heads and a gate that weighs them by the prompt.

Wang, Xiong, Xie, Zhao, Zhang: "Interpretable Preferences via Multi-Objective Reward Modeling and Mixture-of-Experts"
(arXiv 2406.12845); checkpoint layout of RLHFlow/ArmoRM-Llama3-8B-v0.1. With h the final hidden states,

    rewards = W h[last token]                                                  19 objectives
    gating  = softmax(gate(h[first token of the last assistant header]) / temperature) * logit_scale
    score   = sum over objectives of gating * (rewards T)                      T: published, takes verbosity out

Here the backbone is transformers' own Llama and the heads are plain tensors, always float32: no remote code.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from datakit.rewards.protocol import Score, no_score
from datakit.tables import Messages

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import LlamaModel, PreTrainedTokenizerBase

HEADER = "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
HEADER_TOKENS = ("<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>")


class Encoded(NamedTuple):
    """A conversation as tokens, and where the gate reads it: the first token of the last assistant header."""

    ids: list[int]
    header: int


class Outputs(NamedTuple):
    """A batch's results, float32: score [B], rewards [B, objectives], gating [B, objectives]."""

    score: Tensor
    rewards: Tensor
    gating: Tensor


@dataclass(frozen=True)
class Heads:
    """Everything above the backbone, in float32."""

    regression: Tensor  # [objectives, hidden]
    transform: Tensor  # [objectives, objectives]
    gate: tuple[tuple[Tensor, Tensor], ...]  # weight and bias of each layer, ReLU between them
    logit_scale: Tensor  # [1]
    temperature: float

    def __call__(self, last: Tensor, header: Tensor) -> Outputs:
        """From the hidden states [B, hidden] of the last token and of the header's first token."""
        from torch.nn.functional import linear, relu

        hidden = header.float()
        for at, (weight, bias) in enumerate(self.gate):
            hidden = linear(relu(hidden) if at else hidden, weight, bias)
        gating = (hidden / self.temperature).softmax(dim=-1) * self.logit_scale
        rewards = linear(last.float(), self.regression)
        return Outputs((gating * (rewards @ self.transform)).sum(dim=-1), rewards, gating)


@dataclass(frozen=True)
class ArmoRM:
    """A loaded ArmoRM. Conversations are scored in batches of like length, longest first; see `score`."""

    name: str
    backbone: LlamaModel
    heads: Heads
    tokenizer: PreTrainedTokenizerBase
    header_ids: list[int]
    max_tokens: int
    batch_size: int
    padding: Literal["right", "left"] = "right"

    def score(self, conversations: Sequence[Messages]) -> Iterator[Score]:
        """One Score a conversation, in order: with a float32 backbone the same within 1e-6 in any company.

        No score but an error where the conversation does not end in an answer (`no_answer`), its template refuses it
        (`template`), it is no valid Unicode (`not_unicode`), it has no assistant header (`no_header`) or more tokens
        than the model's positions (`too_long`; nothing is ever cut), or a result is NaN or infinite (`not_finite`).
        """
        found: dict[int, Score] = {}
        encoded: dict[int, Encoded] = {}
        for at, messages in enumerate(conversations):
            result = self.encode(messages)
            if isinstance(result, Score):
                found[at] = result
            else:
                encoded[at] = result
        order = sorted(encoded, key=lambda at: len(encoded[at].ids), reverse=True)
        for first in range(0, len(order), self.batch_size):
            batch = order[first : first + self.batch_size]
            found.update(zip(batch, _scores(self.forward([encoded[at] for at in batch])), strict=True))
        return (found[at] for at in range(len(conversations)))

    def encode(self, messages: Messages) -> Encoded | Score:
        """The conversation through chat template and tokenizer; a Score with an error where that cannot be done.

        As in the published model, a special token's name in a text is that token, and a header written out in the
        answer counts as the last one.
        """
        from jinja2 import TemplateError

        if not messages or messages[-1]["role"] != "assistant":
            return no_score("no_answer", "the conversation does not end with an assistant's answer")
        try:
            text = render(self.tokenizer, messages)
            text.encode()
        except TemplateError as error:
            return no_score("template", f"the chat template refuses the conversation: {error}")
        except UnicodeEncodeError as error:
            return no_score("not_unicode", f"the text is not valid Unicode: {error.reason} at character {error.start}")
        ids: list[int] = self.tokenizer(text, add_special_tokens=False, truncation=False, verbose=False)["input_ids"]
        header = last_match(ids, self.header_ids)
        if header is None:
            return no_score("no_header", "no assistant header follows another turn in the tokenized conversation")
        if len(ids) > self.max_tokens:
            return no_score("too_long", f"{len(ids)} tokens are more than the model's limit of {self.max_tokens}")
        return Encoded(ids, header)

    def forward(self, batch: Sequence[Encoded]) -> Outputs:
        """Score one padded batch. What stands in the padding never reaches a real token.

        Padded right, causal attention alone sees to that and positions count from 0. Padded left, it takes a mask and
        positions that start at each row's first real token.
        """
        import torch

        device = self.heads.transform.device
        width = max(len(row.ids) for row in batch)
        starts = [width - len(row.ids) if self.padding == "left" else 0 for row in batch]
        ids = torch.zeros(len(batch), width, dtype=torch.long)
        for row, start, target in zip(batch, starts, ids, strict=True):
            target[start : start + len(row.ids)] = torch.tensor(row.ids)
        place: dict[str, Tensor] = {}
        if any(starts):
            positions = torch.arange(width) - torch.tensor(starts)[:, None]
            place = {"attention_mask": (positions >= 0).long(), "position_ids": positions.clamp(min=0)}
        with torch.inference_mode():
            inputs = {name: tensor.to(device) for name, tensor in place.items()}
            hidden = self.backbone(input_ids=ids.to(device), use_cache=False, **inputs).last_hidden_state
            ends = [(start + len(row.ids) - 1, start + row.header) for row, start in zip(batch, starts, strict=True)]
            last, header = torch.tensor(ends, device=device).T
            rows = torch.arange(len(batch), device=device)
            return self.heads(hidden[rows, last], hidden[rows, header])


def render(tokenizer: PreTrainedTokenizerBase, messages: Messages) -> str:
    """The conversation as its model's chat template writes it."""
    turns = [{"role": turn["role"], "content": turn["content"]} for turn in messages]
    return str(tokenizer.apply_chat_template(turns, tokenize=False))


def last_match(ids: list[int], pattern: list[int]) -> int | None:
    """Where the last occurrence of the pattern starts.

    >>> last_match([1, 2, 3, 1, 2], [1, 2])
    3
    """
    for start in range(len(ids) - len(pattern), -1, -1):
        if ids[start : start + len(pattern)] == pattern:
            return start
    return None


def _scores(outputs: Outputs) -> Iterator[Score]:
    for score, rewards, gating in zip(*(tensor.tolist() for tensor in outputs), strict=True):
        if all(map(math.isfinite, (score, *rewards, *gating))):
            yield Score(score, tuple(rewards), tuple(gating))
        else:
            yield no_score("not_finite", f"the model gave the score {score}; try dtype: float32")
