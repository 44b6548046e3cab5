"""The losses of MK-TOD (arXiv 2310.08877) as functions of scores and log-likelihoods."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

MARGIN = 0.01


def marginal_likelihood(scores: Tensor, logps: Tensor) -> Tensor:
    """Return -log sum_i q_i p_i, [B]: the negative marginal log-likelihood of the response over the retrieved entities.

    scores [B, K]: the retriever's scores, q is their softmax; logps [B, K]: log p_i = log p(response | context, entity i). The
    gradient with respect to log q_i is -q_i p_i / sum.
    """
    import torch

    return -torch.logsumexp(torch.log_softmax(scores, dim=1) + logps, dim=1)


def contrast(means: Tensor, mean_without: Tensor, favoured: Tensor) -> Tensor:
    """Return a hinge loss, [B]: a favoured entity must make the response likelier than no entity does, by MARGIN.

    means [B, K]: mean log-likelihood per token with each entity; mean_without [B]: without any; favoured [B, K]: True for
    entities that their meta knowledge speaks for.
    """
    return ((mean_without[:, None] - means + MARGIN).clamp(min=0) * favoured).sum(dim=1)


def in_batch(contexts: Tensor, entities: Tensor, labels: Tensor) -> Tensor:
    """Return InfoNCE with in-batch negatives, a scalar. contexts and entities: [B, D]; entity i is the right one of row i.

    labels [B]: the entities' indices; another row with the same entity is not a negative.
    """
    import torch

    scores = contexts @ entities.T
    same = (labels[:, None] == labels[None, :]) & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    return torch.nn.functional.cross_entropy(
        scores.masked_fill(same, float("-inf")), torch.arange(len(labels), device=labels.device)
    )


def response_logps(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the log-likelihoods of responses: the sum and the mean per token, [N] each.

    logits: [N, T, V]; labels: [N, T], -100 for padding.
    """
    import torch

    kept = labels != -100
    logps = torch.log_softmax(logits.float(), dim=-1).gather(2, labels.clamp(min=0)[..., None])[..., 0] * kept
    return logps.sum(dim=1), logps.sum(dim=1) / kept.sum(dim=1).clamp(min=1)
