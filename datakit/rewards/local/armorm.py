"""ArmoRM: a Llama with 19 reward heads and a gate that weighs them by the prompt.

Wang, Xiong, Xie, Zhao, Zhang: "Interpretable Preferences via Multi-Objective Reward Modeling and Mixture-of-Experts"
(arXiv 2406.12845); checkpoint layout of RLHFlow/ArmoRM-Llama3-8B-v0.1. With h the final hidden states,

    rewards = W h[last token]                                                  19 objectives
    gating  = softmax(gate(h[first token of the last assistant header]) / temperature) * logit_scale
    score   = sum over objectives of gating * (rewards T)                      T: published, removes verbosity

Here the backbone is transformers' own Llama and the heads are plain tensors, always float32: no remote code.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from datakit.rewards.local.batching import Budget, Padding, hidden_states, score_all
from datakit.rewards.local.conversations import Limit, Tokens, render_all, tokenize
from datakit.rewards.protocol import Score, no_score
from datakit.tables import Messages

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import LlamaModel, PreTrainedTokenizerBase

HEADER = "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
HEADER_TOKENS = ("<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>")


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
        """Compute the outputs from the hidden states [B, hidden], float32, of the last token and the header's first token."""
        from torch.nn.functional import linear, relu

        hidden = header
        for at, (weight, bias) in enumerate(self.gate):
            hidden = linear(relu(hidden) if at else hidden, weight, bias)
        gating = (hidden / self.temperature).softmax(dim=-1) * self.logit_scale
        rewards = linear(last, self.regression)
        return Outputs((gating * (rewards @ self.transform)).sum(dim=-1), rewards, gating)


@dataclass(frozen=True)
class ArmoRM:
    """A loaded ArmoRM."""

    backbone: LlamaModel
    heads: Heads
    tokenizer: PreTrainedTokenizerBase
    header_ids: list[int]
    limit: Limit
    budget: Budget
    padding: Padding = "right"

    def score(self, conversations: Sequence[Messages]) -> Iterator[Score]:
        """Yield one Score per conversation, in order: with a float32 backbone the same within 1e-6 in any batch.

        A Score has an error instead if the conversation does not end in an answer (`no_answer`), the template refuses it
        (`template`), it is not valid Unicode (`not_unicode`), it has no assistant header (`no_header`) or more tokens
        than the limit (`too_long`; see Limit), it does not fit into memory (`out_of_memory`), the model fails on it
        alone (`model_error`), or a result is NaN or infinite (`not_finite`).
        """
        return score_all(self, conversations, self.budget)

    def encode(self, conversations: Sequence[Messages]) -> list[Tokens | Score]:
        """Render and tokenize the conversations; a Score with an error for each one that cannot be encoded.

        As in the published model, a special token's name in a text is that token, and a header written out in the
        answer counts as the last one.
        """
        texts = render_all(self.tokenizer, conversations)
        ids = iter(tokenize(self.tokenizer, [text for text in texts if isinstance(text, str)]))
        return [text if isinstance(text, Score) else self._located(next(ids)) for text in texts]

    def _located(self, ids: list[int]) -> Tokens | Score:
        header = last_match(ids, self.header_ids)
        if header is None:
            return no_score("no_header", "no assistant header follows another turn in the tokenized conversation")
        return self.limit.fit(Tokens(ids, header), self.tokenizer.bos_token_id)

    def score_batch(self, batch: Sequence[Tokens]) -> list[Score]:
        """See batching.TokenModel."""
        scores = []
        for tokens, score, rewards, gating in zip(batch, *(tensor.tolist() for tensor in self.forward(batch)), strict=True):
            if all(map(math.isfinite, (score, *rewards, *gating))):
                scores.append(Score(score, tuple(rewards), tuple(gating), len(tokens.ids), tokens.n_cut))
            else:
                scores.append(no_score("not_finite", f"the model gave the score {score}; try dtype: float32"))
        return scores

    def forward(self, batch: Sequence[Tokens]) -> Outputs:
        """Run one padded batch through backbone and heads, read at the last token and at the first of the last header."""
        import torch

        wanted = [(len(row.ids) - 1, row.header) for row in batch]
        with torch.inference_mode():
            hidden = hidden_states(self.backbone, batch, wanted, self.heads.transform.device, self.padding)
            return self.heads(hidden[:, 0], hidden[:, 1])


def last_match(ids: list[int], pattern: list[int]) -> int | None:
    """Return the index where the last occurrence of the pattern starts, None if there is none.

    >>> last_match([1, 2, 3, 1, 2], [1, 2])
    3
    """
    for start in range(len(ids) - len(pattern), -1, -1):
        if ids[start : start + len(pattern)] == pattern:
            return start
    return None
