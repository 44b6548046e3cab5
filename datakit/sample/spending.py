"""The tokens and the cost of a run's samples and judgements, and the check against the recipe's budget.

Counted are the tokens of stored rows, as reported by the servers, over all sources and all builds of the run. Prices are those
of the current recipe, per million tokens.
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
    """A number of tokens and their cost, in the currency of the recipe's prices."""

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
    """Return what identifies the responses of a source: model, revision, sampling."""
    return source.model, source.revision, source.sampling_text


def source_labels(recipe: Recipe) -> dict[Identity, str]:
    """Return the name of each source for people: its model, numbered if the recipe samples one model in several ways."""
    ways: dict[str, list[Identity]] = {}
    for asked in recipe.ways:
        ways.setdefault(asked.source.model, []).append(identity(asked.source))
    return {
        way: model if len(alike) == 1 else f"{model} ({at})" for model, alike in ways.items() for at, way in enumerate(alike, 1)
    }


def spent_at(price: Price, prompt_tokens: int, completion_tokens: int) -> Spent:
    """Return this many tokens with their cost at a source's price."""
    cost = (price.input * prompt_tokens + price.output * completion_tokens) / MILLION
    return Spent(prompt_tokens, completion_tokens, cost)


def is_priced(price: Price) -> bool:
    """Return True if the recipe gives a price."""
    return price.input > 0 or price.output > 0


@dataclass(frozen=True)
class SourceSpent:
    """The samples of one source, with their tokens and cost, over all builds of the run."""

    model: str
    revision: str | None
    sampling: str
    n_wanted: int | None
    """Samples that the recipe wants; None for a source whose settings it no longer has."""
    n_responses: int
    n_there: int
    """The responses among them that the recipe wants now."""
    n_requests: int
    n_uncounted: int
    """Responses without a token count."""
    prompt_tokens: int
    completion_tokens: int
    label: str | None
    """The source's name for people (source_labels); None for a source whose settings the recipe no longer has."""
    cost: float | None
    """None if the recipe has no price for it."""


def spending(run: Run, recipe: Recipe) -> list[SourceSpent]:
    """Return a row per source. One whose settings have changed since costs what its model costs now."""
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
    """Return the sum over all sources; one without a price costs nothing."""
    return sum((Spent(one.prompt_tokens, one.completion_tokens, one.cost or 0.0) for one in spent), Spent())


def judged(run: Run, recipe: Recipe) -> Spent:
    """Return what judgements took, at the prices of the recipe's judges; former judges count without cost."""
    prices = {judge_name(reward): reward.price for reward in recipe.score if isinstance(reward, ChatJudge)}
    took = run.query(load_sql("sample/judge_spending")).rows()
    return sum((spent_at(prices.get(judge, Price()), given, out) for judge, given, out in took), Spent())


def spent_so_far(run: Run, recipe: Recipe) -> Spent:
    """Return what counts towards a budget: samples and judgements, over all builds."""
    return total(spending(run, recipe)) + judged(run, recipe)


def left_of(budget: Budget, spent: Spent) -> Budget:
    """Return what is left for another run. Raise BudgetSpent if nothing is."""
    if (said := over_budget(budget, spent)) is not None:
        raise BudgetSpent(said.replace("this run has", "the runs before this one have"))
    tokens = None if budget.tokens is None else budget.tokens - spent.tokens
    return Budget(tokens=tokens, cost=None if budget.cost is None else budget.cost - spent.cost)


def within(recipe: Recipe, budget: Budget) -> Recipe:
    """Return the recipe with a budget; a limit of cost applies only if something has a price."""
    return recipe.model_copy(update={"budget": budget if recipe.is_priced else Budget(tokens=budget.tokens)})


def over_budget(budget: Budget, spent: Spent) -> str | None:
    """Return a message for the user if the budget is used up, else None."""
    tokens = f"{spent.prompt_tokens:,} tokens in, {spent.completion_tokens:,} out"
    go_on = "what was received is stored; raise the budget to go on, or use --keep-going to finish with the rows so far"
    if budget.tokens is not None and spent.tokens >= budget.tokens:
        took = f"this run has taken {spent.tokens:,} tokens of {budget.tokens:,}"
        return f"budget.tokens: {took} ({tokens}); {go_on}"
    if budget.cost is not None and spent.cost >= budget.cost:
        took = f"this run has cost {money(spent.cost)} of {money(budget.cost)}"
        return f"budget.cost: {took} ({tokens}); {go_on}"
    return None


def judge_budget(run: Run, recipe: Recipe, reward: Reward) -> Callable[[int, int], str | None]:
    """Return a function of the prompt and completion tokens that a judge takes now: the message if they spend the budget, else
    None. Judgements are counted, scores are not."""
    if recipe.budget == Budget() or not isinstance(reward, ChatJudge):
        return lambda given, out: None
    before, price = spent_so_far(run, recipe), reward.price
    return lambda given, out: over_budget(recipe.budget, before + spent_at(price, given, out))


def money(amount: float) -> str:
    """Format an amount to two decimals, small ones to two digits.

    >>> [money(amount) for amount in (0, 1234.5, 0.5, 0.00123)]
    ['0.00', '1,234.50', '0.50', '0.0012']
    """
    return f"{amount:,.2f}" if amount >= 0.1 or not amount else f"{amount:.2g}" if amount >= 0.0001 else f"{amount:.1e}"


class Meter:
    """The tokens and cost of a run's samples, in this build and earlier ones, and the most that running batches may add."""

    def __init__(self, budget: Budget, before: Spent) -> None:
        self._budget = budget
        self._before = before
        self._exchanges: list[Exchange] = []
        self._taken_on: dict[str, Spent] = {}

    def watch(self, exchange: Exchange) -> None:
        """Count what this exchange takes from now on."""
        self._exchanges.append(exchange)

    def over_budget(self) -> str | None:
        """Return a message for the user if the budget is used up, else None."""
        if self._budget.tokens is None and self._budget.cost is None:
            return None
        return over_budget(self._budget, self._spent())

    def take_on(self, name: str, planned: Spent) -> None:
        """Count what a running batch may take, when another one is to begin: it cannot be stopped."""
        self._taken_on[name] = planned

    def settle(self, name: str) -> None:
        """Drop the estimate of a batch that has ended or was not begun: what it took is counted with the samples."""
        self._taken_on.pop(name, None)

    def no_room(self, planned: Spent, what: str) -> str | None:
        """Return a message for the user if the budget has no room for running batches and `planned` together, else None."""
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
                    "raise the budget, or lower batch.max_lines of the source"
                )
        return None

    def _spent(self) -> Spent:
        spent = (spent_at(one.source.price, one.prompt_tokens, one.completion_tokens) for one in self._exchanges)
        return sum(spent, self._before)
