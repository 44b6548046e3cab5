"""The computation of one step: retrieve entities, let the generator answer with them, and learn from the response."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from train.retriever.batches import Batches, Tokens
from train.retriever.knowledge import KnowledgeBase, Turn
from train.retriever.losses import contrast, in_batch, marginal_likelihood, response_logps
from train.retriever.meta import ORDERED, Meta, bin_of
from train.retriever.modules import respond
from train.retriever.options import RetrieverArguments

if TYPE_CHECKING:
    from torch import Tensor

AT_A_TIME = 64  # entities encoded together when nothing is learnt


class Retrieved(NamedTuple):
    """The retrieved entities. `places` [B][K]: indices, best first; in training the one with the lowest score is last.
    `metas` [B][K]; `scores` [B, K]."""

    places: list[list[int]]
    metas: list[list[Meta]]
    scores: Tensor


@dataclass(frozen=True)
class Learner:
    """Computes the losses of MK-TOD for turns, with a module from modules.py."""

    kb: KnowledgeBase
    own: RetrieverArguments
    batches: Batches
    kept: dict[str, Tensor] = field(default_factory=dict)
    """A cache of the encoded entities, emptied when the encoders learn."""

    def terms(self, module: Any, turns: Sequence[Turn], step: int) -> dict[str, Tensor]:
        """Return the terms of this step's loss: first the retriever's alone, then the generator's, then both."""
        if step < self.own.retriever_steps:
            return {"warm_up": self.warm_up(module, turns)}
        begins = self.own.retriever_steps + self.own.generator_steps
        return self.joint(module, turns, learns=self.own.mml_weight > 0 and step >= begins)

    def weight(self, name: str) -> float:
        """Return the weight of a term."""
        return float(getattr(self.own, f"{name}_weight", 1.0))

    def warm_up(self, module: Any, turns: Sequence[Turn]) -> Tensor:
        """Return the loss by distant supervision, a scalar: a turn's right entity is the one that shares most values with
        it."""
        import torch

        self.kept.clear()
        labelled = [turn for turn in turns if turn.label is not None]
        device = _device(module)
        if not labelled:
            zero: Tensor = sum(parameter.sum() for parameter in module.context_encoder.parameters()) * 0.0
            return zero
        labels = [turn.label or 0 for turn in labelled]
        contexts = module.embed("context_encoder", _to(device, self.batches.contexts(labelled)))
        entities = module.embed("entity_encoder", _to(device, self.batches.entities(labels)))
        return in_batch(contexts, entities, torch.tensor(labels, device=device))

    def joint(self, module: Any, turns: Sequence[Turn], learns: bool) -> dict[str, Tensor]:
        """Return the terms nll, mml and ctr, each the mean over the turns; those of weight 0 are left out.

        `learns`: True if the retriever learns, by the marginal likelihood (mml).
        """
        own, n, device = self.own, len(turns), _device(module)
        found = self.retrieve(module, turns, negative=own.negative, learns=learns)
        tokens = _to(device, self.batches.pairs(turns, found.places, found.metas))
        states, mask, labels = module.read(tokens), tokens["attention_mask"], self.batches.labels(turns).to(device)
        k, terms = len(found.places[0]), {}
        if own.nll_weight:
            logits = module.logits(states.reshape(n, -1, states.shape[-1]), mask.reshape(n, -1), labels)
            terms["nll"] = -response_logps(logits, labels)[0].mean()
        if learns or own.ctr_weight:
            repeated = labels.repeat_interleave(k, dim=0)
            sums, means = response_logps(module.logits(states, mask, repeated), repeated)
            if learns:
                terms["mml"] = marginal_likelihood(found.scores, sums.view(n, k)).mean()
            if own.ctr_weight:
                terms["ctr"] = contrast(means.view(n, k), *self._without(module, turns, found, labels)).mean()
        return {name: term for name, term in terms.items() if self.weight(name)}

    def _without(self, module: Any, turns: Sequence[Turn], found: Retrieved, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean log-likelihood of responses without any entity, [B], and the entities that must do better, [B, K]."""
        import torch

        alone = _to(labels.device, self.batches.alone(turns))
        logits = module.logits(module.read(alone), alone["attention_mask"], labels)
        favoured = torch.tensor([[meta.speaks_for_it for meta in metas] for metas in found.metas], device=labels.device)
        return response_logps(logits, labels)[1], favoured

    def retrieve(self, module: Any, turns: Sequence[Turn], negative: bool, learns: bool) -> Retrieved:
        """Return the `top` entities of the knowledge base by score; to learn, only these are encoded again with gradients."""
        import torch

        every = self.scores(module, turns)
        best = every.topk(min(self.own.top, every.shape[1]), dim=1)
        places, shares = best.indices.tolist(), best.values.softmax(dim=1).tolist()
        metas = [self._metas(*one) for one in zip(turns, places, shares, strict=True)]
        if negative and every.shape[1] > len(places[0]):
            for turn, at, of_turn, meta in zip(turns, every.argmin(dim=1).tolist(), places, metas, strict=True):
                of_turn.append(at)
                meta.append(Meta(ORDERED, 0, self.kb.names[at] in turn.before))
        if not learns:
            return Retrieved(places, metas, every.gather(1, torch.tensor(places, device=every.device)))
        used = sorted({at for of_turn in places for at in of_turn})
        self.kept.clear()
        contexts = module.embed("context_encoder", _to(every.device, self.batches.contexts(turns)))
        entities = module.embed("entity_encoder", _to(every.device, self.batches.entities(used)))
        at_used = {at: number for number, at in enumerate(used)}
        wanted = torch.tensor([[at_used[at] for at in of_turn] for of_turn in places], device=every.device)
        return Retrieved(places, metas, (contexts @ entities.T).gather(1, wanted))

    def scores(self, module: Any, turns: Sequence[Turn]) -> Tensor:
        """Return the score of every entity for every turn, [B, entities], without dropout or gradients."""
        import torch

        training, device = module.training, _device(module)
        module.eval()
        with torch.no_grad():
            contexts = module.embed("context_encoder", _to(device, self.batches.contexts(turns)))
            if not self.kept:
                places = range(len(self.kb.entities))
                some = [places[at : at + AT_A_TIME] for at in range(0, len(places), AT_A_TIME)]
                parts = [module.embed("entity_encoder", _to(device, self.batches.entities(one))) for one in some]
                self.kept["entities"] = torch.cat(parts)
        module.train(training)
        found: Tensor = contexts @ self.kept["entities"].T
        return found

    def answer(self, module: Any, turns: Sequence[Turn], **how: Any) -> list[str]:
        """Return the generator's answers, greedy by default; `how`: do_sample, temperature, ... of `generate`."""
        import torch

        found = self.retrieve(module, turns, negative=False, learns=False)
        tokens = _to(_device(module), self.batches.pairs(turns, found.places, found.metas))
        with torch.no_grad():
            states, n = module.read(tokens), len(turns)
        ids = respond(
            module,
            states.reshape(n, -1, states.shape[-1]),
            tokens["attention_mask"].reshape(n, -1),
            self.own.max_response_length,
            **how,
        )
        texts: list[str] = self.batches.tokenizers["generator"].batch_decode(ids, skip_special_tokens=True)
        return texts

    def _metas(self, turn: Turn, places: list[int], shares: list[float]) -> list[Meta]:
        return [
            Meta(order, bin_of(share, self.own.confidence), self.kb.names[at] in turn.before)
            for order, (at, share) in enumerate(zip(places, shares, strict=True))
        ]


def _device(module: Any) -> Any:
    return next(module.parameters()).device


def _to(device: Any, tokens: Tokens) -> Tokens:
    return {name: tensor.to(device) for name, tensor in tokens.items()}
