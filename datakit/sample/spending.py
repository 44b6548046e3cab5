"""What the samples of a run took, and its judgements: requests, tokens, cost; and whether that comes to the recipe's budget.

Counted are the tokens of what is stored, as the servers count them, over all sources and all builds of the run. Prices are
the current recipe's, per million tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from datakit.errors import BudgetSpent
from datakit.recipe import Budget, ChatJudge, Price, Recipe, Reward, Sampled
from datakit.rewards import judge_name
from datakit.sample.exchange import Exchange
from datakit.store import Run, load_sql

MILLION = 1_000_000
Identity = tuple[str, str | None, str]
"""model, revision, sampling."""


@dataclass(frozen=True)
class Spent:
    """A sum of tokens and what they cost."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: Spent) -> Spent:
        return Spent(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.cost + other.cost,
        )


def identity(source: Sampled) -> Identity:
    """What tells the responses of one source from those of another."""
    return source.model, source.revision, source.sampling_text


def source_labels(recipe: Recipe) -> dict[Identity, str]:
    """How people are told of a source: by its model, numbered where a recipe samples one model in several ways."""
    ways: dict[str, list[Identity]] = {}
    for asked in recipe.ways:
        ways.setdefault(asked.source.model, []).append(identity(asked.source))
    return {
        way: model if len(alike) == 1 else f"{model} ({at})" for model, alike in ways.items() for at, way in enumerate(alike, 1)
    }


def spent_at(price: Price, prompt_tokens: int, completion_tokens: int) -> Spent:
    """So many tokens at a source's price."""
    cost = (price.input * prompt_tokens + price.output * completion_tokens) / MILLION
    return Spent(prompt_tokens, completion_tokens, cost)


def is_priced(price: Price) -> bool:
    """Whether the recipe gives a price at all."""
    return price.input > 0 or price.output > 0


@dataclass(frozen=True)
class SourceSpent:
    """What the samples of one source took, over all builds of the run."""

    model: str
    revision: str | None
    sampling: str
    n_wanted: int | None
    """Samples that the recipe wants; None of a source whose settings it no longer has."""
    n_responses: int
    n_there: int
    """Of them, those that the recipe wants now."""
    n_requests: int
    n_uncounted: int
    """Responses that came without a token count."""
    prompt_tokens: int
    completion_tokens: int
    label: str | None
    """How people are told of it (source_labels); None of a source whose settings the recipe no longer has."""
    cost: float | None
    """None where the recipe has no price for it."""


def spending(run: Run, recipe: Recipe) -> list[SourceSpent]:
    """A row a source. One whose settings have changed since then costs what its model costs now."""
    exact = {identity(way.source): way.source.price for way in recipe.ways}
    by_model = {source.model: source.price for source in reversed(recipe.sampled)}
    labels = source_labels(recipe)
    spent = []
    for row in run.query(load_sql("sample/source_spending")).iter_rows(named=True):
        key = (row["model"], row["revision"], row["sampling"])
        price = exact.get(key, by_model.get(row["model"], Price()))
        cost = spent_at(price, row["prompt_tokens"], row["completion_tokens"]).cost if is_priced(price) else None
        spent.append(SourceSpent(**row, label=labels.get(key), cost=cost))
    return spent


def total(spent: Iterable[SourceSpent]) -> Spent:
    """All sources together; what has no price costs nothing."""
    return sum((Spent(one.prompt_tokens, one.completion_tokens, one.cost or 0.0) for one in spent), Spent())


def judged(run: Run, recipe: Recipe) -> Spent:
    """What judgements took, at the prices of the recipe's judges; those of earlier judges cost nothing that is known."""
    prices = {judge_name(reward): reward.price for reward in recipe.score if isinstance(reward, ChatJudge)}
    took = run.query(load_sql("sample/judge_spending")).rows()
    return sum((spent_at(prices.get(judge, Price()), given, out) for judge, given, out in took), Spent())


def spent_so_far(run: Run, recipe: Recipe) -> Spent:
    """What a budget counts: samples and judgements, over all builds."""
    return total(spending(run, recipe)) + judged(run, recipe)


def left_of(budget: Budget, spent: Spent) -> Budget:
    """What is left for another run. BudgetSpent where nothing is."""
    if (said := over_budget(budget, spent)) is not None:
        raise BudgetSpent(said.replace("this run has", "the runs before this one have"))
    tokens = None if budget.tokens is None else budget.tokens - spent.tokens
    return Budget(tokens=tokens, cost=None if budget.cost is None else budget.cost - spent.cost)


def within(recipe: Recipe, budget: Budget) -> Recipe:
    """The recipe under a budget; one of cost holds only where something has a price."""
    return recipe.model_copy(update={"budget": budget if recipe.is_priced else Budget(tokens=budget.tokens)})


def over_budget(budget: Budget, spent: Spent) -> str | None:
    """The sentence for the user where the budget is used up, else None."""
    tokens = f"{spent.prompt_tokens:,} tokens in, {spent.completion_tokens:,} out"
    go_on = "what was received is stored; a larger budget goes on, --keep-going finishes with what there is"
    if budget.tokens is not None and spent.tokens >= budget.tokens:
        took = f"this run has taken {spent.tokens:,} tokens of {budget.tokens:,}"
        return f"budget.tokens: {took} ({tokens}); {go_on}"
    if budget.cost is not None and spent.cost >= budget.cost:
        took = f"this run has cost {money(spent.cost)} of {money(budget.cost)}"
        return f"budget.cost: {took} ({tokens}); {go_on}"
    return None


def judge_budget(run: Run, recipe: Recipe, reward: Reward) -> Callable[[int, int], str | None]:
    """Of so many tokens that a judge takes now, in and out: the sentence for the user where they spend the budget, else None.
    Scores are not counted, judgements are."""
    if recipe.budget == Budget() or not isinstance(reward, ChatJudge):
        return lambda given, out: None
    before, price = spent_so_far(run, recipe), reward.price
    return lambda given, out: over_budget(recipe.budget, before + spent_at(price, given, out))


def money(amount: float) -> str:
    """To the hundredth, of small amounts to two digits.

    >>> [money(amount) for amount in (0, 1234.5, 0.5, 0.00123)]
    ['0.00', '1,234.50', '0.50', '0.0012']
    """
    return f"{amount:,.2f}" if amount >= 0.1 or not amount else f"{amount:.2g}" if amount >= 0.0001 else f"{amount:.1e}"


class Meter:
    """What the run's samples take, from what earlier builds took on; and what batches may take that are answered now."""

    def __init__(self, budget: Budget, before: Spent) -> None:
        self._budget = budget
        self._before = before
        self._exchanges: list[Exchange] = []
        self._taken_on: dict[str, Spent] = {}

    def watch(self, exchange: Exchange) -> None:
        """Count what this one takes from now on."""
        self._exchanges.append(exchange)

    def over_budget(self) -> str | None:
        """The sentence for the user where the budget is used up, else None."""
        if self._budget.tokens is None and self._budget.cost is None:
            return None
        return over_budget(self._budget, self._spent())

    def take_on(self, name: str, planned: Spent) -> None:
        """A batch is being answered: nobody can stop it, so what it may take counts when another one is to begin."""
        self._taken_on[name] = planned

    def settle(self, name: str) -> None:
        """A batch has ended, or was not begun: what it took is counted like everything else."""
        self._taken_on.pop(name, None)

    def no_room(self, planned: Spent, what: str) -> str | None:
        """The sentence for the user where the budget has no room for what is answered now and this as well, else None."""
        whole = sum(self._taken_on.values(), self._spent() + planned)
        for name, limit, may, written in (
            ("tokens", self._budget.tokens, whole.tokens, "{:,}".format),
            ("cost", self._budget.cost, whole.cost, money),
        ):
            if limit is not None and may > limit:
                took = self._spent()
                spent, more = (took.tokens, planned.tokens) if name == "tokens" else (took.cost, planned.cost)
                return (
                    f"budget.{name}: {what} may take {written(more)} more, and {written(spent)} of {written(limit)} are spent; "
                    "a larger budget goes on, or a smaller batch.max_lines of the source"
                )
        return None

    def _spent(self) -> Spent:
        spent = (spent_at(one.source.price, one.prompt_tokens, one.completion_tokens) for one in self._exchanges)
        return sum(spent, self._before)
