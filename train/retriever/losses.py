"""MK-TOD's losses (arXiv 2310.08877), each a function of scores and log-likelihoods."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

MARGIN = 0.01


def marginal_likelihood(scores: Tensor, logps: Tensor) -> Tensor:
    """-log of sum_i q_i p_i, [B]: what the response's likelihood is over all that was retrieved.

    scores, logps: [B, K], the retriever's scores, of which q is the softmax, and log p(response | context, entity i). The
    gradient to log q_i is -q_i p_i / sum.
    """
    import torch

    return -torch.logsumexp(torch.log_softmax(scores, dim=1) + logps, dim=1)


def contrast(means: Tensor, mean_without: Tensor, favoured: Tensor) -> Tensor:
    """[B]: an entity that its meta knowledge speaks for must make the response likelier than no entity does, by MARGIN.

    means: [B, K], log-likelihoods a token with each entity; mean_without: [B], without any; favoured: [B, K], where it counts.
    """
    return ((mean_without[:, None] - means + MARGIN).clamp(min=0) * favoured).sum(dim=1)


def in_batch(contexts: Tensor, entities: Tensor, labels: Tensor) -> Tensor:
    """InfoNCE with in-batch negatives, a scalar: contexts and entities [B, D], of row i entity i is the right one.

    labels: [B], which entity it is: where another row has the same one, that is no negative.
    """
    import torch

    scores = contexts @ entities.T
    same = (labels[:, None] == labels[None, :]) & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    return torch.nn.functional.cross_entropy(
        scores.masked_fill(same, float("-inf")), torch.arange(len(labels), device=labels.device)
    )


def response_logps(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Log-likelihoods of responses: their sum and their mean a token, [N] each.

    logits: [N, T, V]; labels: [N, T] with -100 where there is no token.
    """
    import torch

    kept = labels != -100
    logps = torch.log_softmax(logits.float(), dim=-1).gather(2, labels.clamp(min=0)[..., None])[..., 0] * kept
    return logps.sum(dim=1), logps.sum(dim=1) / kept.sum(dim=1).clamp(min=1)
