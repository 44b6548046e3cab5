"""Sequence classifiers of transformers with one label: Skywork-Reward-V2 and the like, on Llama, Qwen, Gemma, Mistral, ...

Their score is the raw logit of a linear head over the final hidden state of the last token: no sigmoid, no bounds. Here the
model's own backbone computes the hidden state and the head is float32; in bfloat16 a logit near 20 changes in steps of 0.125.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datakit import recipe
from datakit.errors import BadInput
from datakit.rewards.local.batching import Budget, Padding, hidden_states, score_all
from datakit.rewards.local.checkpoint import (
    check_tensors,
    check_tokenizer,
    limit_of,
    load_checkpoint,
    positive_fields,
    read_json,
)
from datakit.rewards.local.conversations import Limit, Tokens, render, render_all, tokenize
from datakit.rewards.local.devices import budget_of
from datakit.rewards.protocol import Score, no_score
from datakit.tables import Messages

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn
    from transformers import PreTrainedTokenizerBase

EXAMPLE: Messages = [{"role": "user", "content": "What is 2 + 2?"}, {"role": "assistant", "content": "4"}]


@dataclass(frozen=True)
class Classifier:
    """A loaded classifier."""

    backbone: nn.Module
    head: Tensor  # [1, hidden], float32
    tokenizer: PreTrainedTokenizerBase
    adds_special_tokens: bool
    """True if the tokenizer has to add the beginning-of-text token, because the chat template does not."""
    limit: Limit
    budget: Budget
    padding: Padding = "right"

    def score(self, conversations: Sequence[Messages]) -> Iterator[Score]:
        """Yield one Score per conversation, in order: in float32 the same within rounding in any batch.

        Errors are those of ArmoRM, except `no_header`.
        """
        return score_all(self, conversations, self.budget)

    def encode(self, conversations: Sequence[Messages]) -> list[Tokens | Score]:
        """Render and tokenize the conversations, with exactly one beginning-of-text token if the tokenizer has one."""
        texts = render_all(self.tokenizer, conversations)
        ids = iter(tokenize(self.tokenizer, [text for text in texts if isinstance(text, str)], self.adds_special_tokens))
        encoded: list[Tokens | Score] = []
        for messages, text in zip(conversations, texts, strict=True):
            if isinstance(text, Score):
                encoded.append(text)
                continue
            own = next(ids)
            is_cut = len(own) > self.limit.max_tokens and self.limit.truncate == "left"
            header = self._header(messages, text) if is_cut else 0
            encoded.append(self.limit.fit(Tokens(own, header), self.tokenizer.bos_token_id))
        return encoded

    def _header(self, messages: Messages, text: str) -> int:
        """Return the index of the first token of the last turn, header included; 0 (nothing may be cut) if it is unknown."""
        before = render(self.tokenizer, messages[:-1]) if len(messages) > 1 else ""
        if not text.startswith(before):
            return 0
        spans = self.tokenizer(text, add_special_tokens=self.adds_special_tokens, return_offsets_mapping=True, verbose=False)
        starts = [at for at, (start, end) in enumerate(spans["offset_mapping"]) if start >= len(before) and end > start]
        return starts[0] if starts else 0

    def score_batch(self, batch: Sequence[Tokens]) -> list[Score]:
        """See batching.TokenModel."""
        import torch

        wanted = [(len(row.ids) - 1,) for row in batch]
        with torch.inference_mode():
            hidden = hidden_states(self.backbone, batch, wanted, self.head.device, self.padding)
            logits = (hidden[:, 0] @ self.head.T)[:, 0].tolist()
        return [
            Score(logit, n_tokens=len(row.ids), n_tokens_cut=row.n_cut)
            if math.isfinite(logit)
            else no_score("not_finite", f"the model gave the score {logit}; try dtype: float32")
            for row, logit in zip(batch, logits, strict=True)
        ]


def check(folder: Path, weights: bool = True) -> dict[str, Any]:
    """Refuse a folder that is not a sequence classifier with one label, without torch; return its config.json."""
    config, path = read_json(folder / "config.json"), folder / "config.json"
    architectures = config.get("architectures") or ["none"]
    if "num_objectives" in config:
        raise BadInput(f"{path}: this is an ArmoRM ({architectures[0]}); give it as type: armorm")
    if not str(architectures[0]).endswith("ForSequenceClassification"):
        raise BadInput(f"{path}: architectures is {architectures[0]}; a classifier's ends in ForSequenceClassification")
    n_labels = len(config["id2label"]) if config.get("id2label") else config.get("num_labels", 2)
    if n_labels != 1:
        raise BadInput(f"{path}: {n_labels} labels (id2label, num_labels; 2 where neither is there); a reward model has one")
    sizes = positive_fields(folder, config, ("hidden_size", "max_position_embeddings"))
    if weights:
        check_tensors(folder, {"score.weight": (1, sizes["hidden_size"])})
    check_tokenizer(folder, ())
    return config


def load(reward: recipe.Classifier, device: torch.device) -> Classifier:
    """Load the model onto a device. Raises BadInput if the checkpoint, its tokenizer or its kind of head cannot be used."""
    from torch.nn import Linear
    from transformers import AutoModelForSequenceClassification

    folder, config, tokenizer, model = load_checkpoint(reward, check, AutoModelForSequenceClassification, device)
    head = getattr(model, "score", None)
    if not isinstance(head, Linear) or head.bias is not None:
        raise BadInput(f"{folder}: {type(model).__name__} has no linear score head on its last token; it cannot be used here")
    loaded = Classifier(
        backbone=model.base_model,
        head=head.weight.detach().float(),
        tokenizer=tokenizer,
        adds_special_tokens=not (tokenizer.bos_token and render(tokenizer, EXAMPLE).startswith(tokenizer.bos_token)),
        limit=limit_of(reward, config["max_position_embeddings"]),
        budget=budget_of(reward, model.base_model),
    )
    _check_like(loaded, model, folder)
    return loaded


def _check_like(loaded: Classifier, model: Any, folder: Path) -> None:
    """Refuse a model family whose own forward pass reads anything other than the last token's hidden state."""
    import torch

    [tokens] = loaded.encode([EXAMPLE])
    if isinstance(tokens, Score):
        raise BadInput(f"{folder}: its chat template cannot write a question and an answer: {tokens.message}")
    if len(loaded.tokenizer) > model.get_input_embeddings().num_embeddings:
        n_known = model.get_input_embeddings().num_embeddings
        raise BadInput(f"{folder}: the tokenizer has {len(loaded.tokenizer)} tokens, the model knows {n_known}")
    with torch.inference_mode():
        theirs = model(input_ids=torch.tensor([tokens.ids], device=loaded.head.device), use_cache=False).logits.item()
    ours = loaded.score_batch([tokens])[0].score
    if ours is None or not math.isclose(ours, theirs, rel_tol=0.02, abs_tol=0.02):
        raise BadInput(
            f"{folder}: {type(model).__name__} scores {theirs}, its last token's state {ours}; it cannot be used here"
        )
