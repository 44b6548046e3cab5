"""The measures of dialogues: Entity F1, Recall@K, BLEU."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def entity_f1(pairs: Iterable[tuple[Sequence[str], Sequence[str]]]) -> float:
    """Return the micro F1 over turns of (values in the gold answer, values in the model's). Turns without gold values are left
    out, as in the published scripts.

    >>> entity_f1([(["wok", "north"], ["wok"]), (["ask"], ["ask", "west"])])
    0.6666666666666666
    """
    right = wrong = left_out = 0
    for gold, found in pairs:
        if gold:
            n = len(set(gold) & set(found))
            right, wrong, left_out = right + n, wrong + len(set(found)) - n, left_out + len(set(gold)) - n
    return 2 * right / (2 * right + wrong + left_out) if right else 0.0


def recall_at(k: int, ranks: Sequence[int]) -> float:
    """Return the share of turns whose entity is among the first k; ranks count from 0."""
    return sum(rank < k for rank in ranks) / len(ranks) if ranks else 0.0


def rank_of(at: int, scores: Sequence[float]) -> int:
    """Return the rank of item `at` by its score, from 0; of equal scores the earlier item comes first."""
    return sum(score > scores[at] or (score == scores[at] and other < at) for other, score in enumerate(scores))


def bleu(found: Sequence[str], gold: Sequence[str]) -> float:
    """Return sacrebleu's corpus BLEU over lowercase words, 0 to 100. `force`: texts of models from scratch look tokenized."""
    from sacrebleu.metrics.bleu import BLEU

    return float(BLEU(lowercase=True, force=True).corpus_score(list(found), [list(gold)]).score)
