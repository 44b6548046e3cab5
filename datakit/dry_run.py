"""`datakit build --dry-run`: what a build would ask for, and roughly what that takes. Needs no key and no server.

Nothing is written to the run folder: the run as the build would begin with it is put together in a temporary one, and asked
with the same SQL.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from datakit.collect.begin import begin, collect, warn_of_gone
from datakit.collect.changes import check_same
from datakit.curate import curator
from datakit.domains import domain_of
from datakit.options import Options
from datakit.probe.plan import ReadingPlan, plan_readings
from datakit.progress import Monitor
from datakit.recipe import Budget, ChatJudge, Pairwise, Recipe, RemoteReward, Requested, Sampled, resolve
from datakit.rewards import prompts_of
from datakit.rewards.judges import judge_name
from datakit.sample.one_source import asks_singly
from datakit.sample.spending import Spent, identity, is_priced, source_labels, spent_at, spent_so_far
from datakit.score.judgements import count_judgements
from datakit.score.missing import count_missing
from datakit.store import Run, load_sql
from datakit.tables import IMPORTED, TABLES, Row, Rows

CHARS_A_TOKEN = 4
Verdict = Literal["holds", "may stop the build", "would stop the build", "unknown"]


@dataclass(frozen=True)
class SourcePlan:
    """What one source would be asked for."""

    source: str
    model: str
    n: int
    wanted: int
    there: int
    refused: int
    """Failed for good in an earlier build, and not asked for again."""
    missing: int
    requests: int
    requests_at_least: bool
    """`request: auto` of an endpoint: one that ignores `n` is asked once a sample."""
    in_batches: bool
    """`request: batch`: requests are lines, and the vendor's price of batches is another one."""
    prompt_tokens: int
    prompt_tokens_by: Literal["run", "characters"]
    """run: at the rate of this model's requests in this run. characters: 4 a token, 1.5 of Chinese, Japanese and Korean."""
    completion_tokens: int | None
    """None where nothing says how long an answer may get."""
    completion_tokens_by: Literal["run", "max_tokens", "unknown"]
    """run: the mean of this source's answers in this run. max_tokens: at most so many."""
    cost: float | None
    """None where the recipe has no price for the source."""


@dataclass(frozen=True)
class JudgePlan:
    """What a judge that sees two answers, or grades one by a prompt of its own, would be asked for."""

    judge: str
    wanted: int
    there: int
    missing: int
    prompt_tokens: int
    """At 4 characters a token; answers that are not there yet at most max_tokens each."""
    completion_tokens: int | None
    """At most; None without max_tokens."""
    cost: float | None
    """None where the recipe has no price for it."""


@dataclass(frozen=True)
class BudgetPlan:
    """Whether a budget holds for what is spent and what is planned."""

    limit: float
    spent: float
    planned: float
    verdict: Verdict
    """may: what is planned is an upper bound. unknown: it leaves out answers of no known length."""


@dataclass(frozen=True)
class Plan:
    """What a build would ask for."""

    prompts: int
    """Those that are not dropped."""
    sources: list[SourcePlan]
    spent: Spent
    """What the run's samples and judgements have taken so far."""
    judged: dict[str, int]
    """How many answers each judge behind a URL would be asked to score, at most. They are in no sum and no budget."""
    judging: list[JudgePlan]
    """Judges whose tokens budgets count."""
    budgets: dict[str, BudgetPlan]
    """By name: tokens, cost; only those that the recipe sets."""
    readings: list[ReadingPlan]
    """What the models of the probe stage would read. It is in no sum and no budget."""

    @property
    def planned(self) -> Spent:
        asked: list[SourcePlan | JudgePlan] = [*self.sources, *self.judging]
        return Spent(
            sum(one.prompt_tokens for one in asked),
            sum(one.completion_tokens or 0 for one in asked),
            sum(one.cost or 0.0 for one in asked),
        )


def plan(recipe: Recipe, folder: Path, options: Options, monitor: Monitor) -> Plan:
    """What `build` would ask for with the same arguments. RunError where the build would refuse the run folder."""
    with recipe.named():
        recipe = resolve(recipe)
    labels = source_labels(recipe)
    with _begun(recipe, folder, options, monitor) as run:
        run.make_table("rough_tokens", load_sql("plan/texts"))
        samples = run.query(load_sql("plan/samples"), {"retry_failures": options.retry_failures}).to_dicts()
        rates = run.query(load_sql("plan/rates")).to_dicts()
        sources = [_source_plan(labels[identity(way.source)], way.source, samples, rates) for way in recipe.ways]
        spent = spent_so_far(run, recipe)
        prompts = run.query("SELECT count(*) AS n FROM prompts WHERE dropped IS NULL")["n"][0]
        judging = [judge_plan(run, recipe, one, options) for one in recipe.score if isinstance(one, ChatJudge)]
        judges = [judge_name(one) for one in recipe.score if isinstance(one, RemoteReward) and not isinstance(one, ChatJudge)]
        n_new = sum(source.missing for source in sources)
        means = {one.model: one.completion_tokens / one.missing for one in sources if one.completion_tokens and one.missing}
        means |= {row["model"]: row["mean_completion"] for row in rates if row["mean_completion"]}
        with Run.open(folder) if (folder / "recipe.json").is_file() else nullcontext() as old:
            readings = plan_readings(run, old, recipe, means, options.retry_failures)
        judged = {judge: n_new + count_missing(run, judge, options.retry_failures) for judge in judges}
    planned = Plan(prompts, sources, spent, judged, judging, {}, readings)
    return replace(planned, budgets=_budget_plans(recipe.budget, planned))


@contextmanager
def _begun(recipe: Recipe, folder: Path, options: Options, monitor: Monitor) -> Iterator[Run]:
    """The run as the build would have it before the first request, without the texts of its answers, in a temporary folder."""
    with ExitStack() as stack:
        run = stack.enter_context(Run.create(Path(stack.enter_context(TemporaryDirectory(prefix="datakit-")))))
        old = stack.enter_context(Run.open(folder)) if (folder / "recipe.json").is_file() else None
        begun = begin(run, recipe, domain_of(recipe), options, curator(recipe), old)
        if old is not None:
            check_same(old, recipe, begun, options.resample)
            warn_of_gone(old, begun, monitor)
            run.append("failures", old.frame("failures"))
            remote = [one for one in recipe.score if isinstance(one, RemoteReward) and not isinstance(one, ChatJudge)]
            judges = [judge_name(reward) for reward in remote]
            scored = "SELECT * REPLACE (NULL::DOUBLE[] AS objectives) FROM scores WHERE list_contains($judges, judge)"
            run.append("scores", old.query(scored, {"judges": judges}))
            run.append("judgements", old.query("SELECT * REPLACE (NULL::VARCHAR AS text) FROM judgements"))
            columns = ", ".join(name for name in TABLES["responses"].schema if name != "text")
            there = old.query(
                f"SELECT {columns}, if(text IS NULL, NULL, '') AS text FROM responses WHERE sampling <> '{IMPORTED}'"
            )
            run.append("responses", there)
        collect(run, recipe, begun, monitor)
        yield run


def _source_plan(label: str, source: Sampled, samples: Rows, rates: Rows) -> SourcePlan:
    columns = ("n_wanted", "n_there", "n_refused", "n_missing", "n_prompts", "together", "singly")
    all_dropped: Row = dict.fromkeys(columns, 0)
    asked = next((row for row in samples if _is_of(row, source)), all_dropped)
    singly = asks_singly(source)
    # What the model's requests took over what was guessed of them.
    known = [row for row in rates if row["model"] == source.model and row["rough"]]
    factor = sum(row["prompt_tokens"] for row in known) / sum(row["rough"] for row in known) if known else 1.0
    prompt_tokens = round(asked["singly" if singly else "together"] * factor)
    mean, most = next((row["mean_completion"] for row in rates if _is_of(row, source)), None), source.sampling.max_tokens
    of_one = most if mean is None else mean
    completion_tokens = None if of_one is None else round(of_one * asked["n_missing"])
    price = source.price
    return SourcePlan(
        source=label,
        model=source.model,
        n=source.n,
        wanted=asked["n_wanted"],
        there=asked["n_there"],
        refused=asked["n_refused"],
        missing=asked["n_missing"],
        requests=asked["n_missing"] if singly else asked["n_prompts"],
        in_batches=isinstance(source, Requested) and source.request == "batch",
        requests_at_least=not singly and isinstance(source, Requested) and source.request == "auto" and source.n > 1,
        prompt_tokens=prompt_tokens,
        prompt_tokens_by="run" if known else "characters",
        completion_tokens=completion_tokens,
        completion_tokens_by="run" if mean is not None else "unknown" if most is None else "max_tokens",
        cost=spent_at(price, prompt_tokens, completion_tokens or 0).cost if is_priced(price) else None,
    )


def judge_plan(run: Run, recipe: Recipe, reward: ChatJudge, options: Options) -> JudgePlan:
    """Of all answers that the recipe wants, those that are not there yet too."""
    missing, there = count_judgements(run, recipe, reward, options.retry_failures, "judge/plan_answers")
    means = run.query(load_sql("plan/judged")).to_dicts()[0]
    most = [way.source.sampling.max_tokens or 0 for way in recipe.ways]
    answer = means["answer"] if means["answer"] is not None else max(most, default=0)
    template = max(len(one.template) + len(one.system or "") for one in prompts_of(reward)) / CHARS_A_TOKEN
    n_answers = 2 if isinstance(reward, Pairwise) else 1
    prompt_tokens = round(missing * (template + (means["prompt"] or 0.0) + n_answers * answer))
    longest = reward.sampling.max_tokens
    completion_tokens = None if longest is None else missing * longest
    return JudgePlan(
        judge_name(reward),
        missing + there,
        there,
        missing,
        prompt_tokens,
        completion_tokens,
        spent_at(reward.price, prompt_tokens, completion_tokens or 0).cost if is_priced(reward.price) else None,
    )


def _budget_plans(budget: Budget, planned: Plan) -> dict[str, BudgetPlan]:
    known = {source.completion_tokens_by for source in planned.sources if source.missing}
    known |= {"unknown" if one.completion_tokens is None else "max_tokens" for one in planned.judging if one.missing}
    plans = {}
    for name in ("tokens", "cost"):
        limit, spent, more = (getattr(sums, name) for sums in (budget, planned.spent, planned.planned))
        if limit is None:
            continue
        verdict: Verdict = "unknown" if "unknown" in known else "holds"
        if spent >= limit:
            verdict = "would stop the build"
        elif spent + more >= limit:
            verdict = "would stop the build" if known == {"run"} else "may stop the build"
        plans[name] = BudgetPlan(limit, spent, more, verdict)
    return plans


def as_json(plan: Plan) -> Row:
    """The plan as one object, with its sum."""
    return {**asdict(plan), "planned": asdict(plan.planned)}


def _is_of(row: Row, source: Sampled) -> bool:
    return (row["model"], row["revision"], row["sampling"]) == identity(source)
