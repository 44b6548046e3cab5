"""MK-TOD's losses by golden values and by hand, and what dialogues are measured by."""

import math

import pytest

from train.retriever.learner import Learner
from train.retriever.losses import contrast, in_batch, marginal_likelihood, response_logps
from train.retriever.measures import bleu, entity_f1, rank_of, recall_at
from train.retriever.meta import TOKENS, Meta, bin_of

torch = pytest.importorskip("torch")


def test_the_marginal_likelihood_and_its_gradient():
    """q (.75, .25), p (.2, .4): sum .25, loss ln 4, and -q_i p_i / sum to log q_i."""
    log_q = torch.tensor([[0.75, 0.25]]).log().requires_grad_()
    loss = marginal_likelihood(log_q, torch.tensor([[0.2, 0.4]]).log())
    assert loss.item() == pytest.approx(1.386294, abs=1e-6)
    direct = -torch.logsumexp(log_q + torch.tensor([[0.2, 0.4]]).log(), dim=1)
    assert torch.autograd.grad(direct.sum(), log_q)[0].tolist() == [pytest.approx([-0.6, -0.4])]
    scores = torch.tensor([[math.log(3) + 5.0, 5.0]], requires_grad=True)
    loss = marginal_likelihood(scores, torch.tensor([[0.2, 0.4]]).log())
    assert loss.item() == pytest.approx(math.log(4))
    assert torch.autograd.grad(loss.sum(), scores)[0].tolist() == [pytest.approx([0.75 - 0.6, 0.25 - 0.4])]


def test_the_contrast_counts_where_meta_knowledge_speaks_for_an_entity():
    means, without = torch.tensor([[-1.0, -3.0, -9.0]]), torch.tensor([-2.0])
    favoured = torch.tensor([[True, True, False]])
    assert contrast(means, without, favoured).item() == pytest.approx(1.01), "the first is better by more than the margin"
    assert contrast(torch.tensor([[-2.0]]), without, torch.tensor([[True]])).item() == pytest.approx(0.01)


def test_negatives_are_the_entities_of_other_turns():
    contexts, entities = torch.eye(3), torch.tensor([[1.0, 0, 0], [1.0, 0, 0], [0, 0, 1.0]])
    e = math.e
    two_rows = [
        math.log(1 + 1 / e),
        math.log(2),
        math.log(1 + 2 / e),
    ]  # rows 0 and 1 have one entity: no negative of each other
    assert in_batch(contexts, entities, torch.tensor([7, 7, 4])).item() == pytest.approx(sum(two_rows) / 3, abs=1e-6)
    three = [math.log(2 + 1 / e), math.log(3), math.log(1 + 2 / e)]
    assert in_batch(contexts, entities, torch.tensor([7, 8, 4])).item() == pytest.approx(sum(three) / 3, abs=1e-6)


def test_the_likelihood_of_a_response_ends_where_it_ends():
    logits = torch.log(torch.tensor([[[0.5, 0.25, 0.25], [0.2, 0.2, 0.6], [0.9, 0.05, 0.05]]]))
    total, mean = response_logps(logits, torch.tensor([[0, 2, -100]]))
    assert total.item() == pytest.approx(math.log(0.3)) and mean.item() == pytest.approx(math.log(0.3) / 2)


TURNS = [  # the values of the gold answer, those of the model's
    (["golden wok", "north"], ["golden wok"]),
    (["ask"], ["ask", "west"]),
    (["cheap"], []),
    ([], ["east"]),  # left out, as the published scripts do
]


def test_entity_f1_is_counted_over_all_turns():
    assert entity_f1(TURNS) == pytest.approx(2 * 2 / (2 * 2 + 1 + 2))
    assert entity_f1([([], ["east"])]) == 0.0 and entity_f1([(["a"], ["a", "a"])]) == 1.0


def test_recall_at_k():
    ranks = [rank_of(at, [3.0, 1.0, 3.0, 0.5]) for at in range(4)]
    assert ranks == [0, 2, 1, 3] and [recall_at(k, ranks) for k in (1, 3, 9)] == [0.25, 0.75, 1.0] and recall_at(1, []) == 0.0


def test_bleu_is_sacrebleus():
    pytest.importorskip("sacrebleu")
    same = ["The phone number of Blue Gull is 555 111."]
    assert bleu(same, [same[0].upper()]) == pytest.approx(100.0) and bleu(["no word of it here"], same) < 5


def test_meta_knowledge_as_tokens_and_words():
    assert Meta(0, 2, True).as_tokens() == "<order-1> <sure-high> <seen>"
    assert Meta(5, 0, False).as_tokens() == "<order-other> <sure-low> <new>"
    assert Meta(1, 1, False).as_words() == "retrieved second, middle confidence, new:"
    assert {token for order in range(6) for sure in range(3) for seen in (0, 1)
            for token in Meta(order, sure, bool(seen)).as_tokens().split()} == set(TOKENS)  # fmt: skip
    speaks = [Meta(0, 0, False), Meta(3, 2, False), Meta(3, 0, True), Meta(3, 1, False)]
    assert [meta.speaks_for_it for meta in speaks] == [True, True, True, False]
    assert [bin_of(share, (0.4, 0.75)) for share in (0.39, 0.4, 0.74, 0.75)] == [0, 1, 1, 2]


def test_each_term_has_its_weight():
    own = type("Own", (), {"nll_weight": 0.5, "mml_weight": 2.0, "ctr_weight": 0.0})()
    learner = Learner(None, own, None)
    assert [learner.weight(name) for name in ("nll", "mml", "ctr", "warm_up")] == [0.5, 2.0, 0.0, 1.0]
