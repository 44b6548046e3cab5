"""START HERE: how a preference dataset is built, top to bottom.

    collect  sources -> prompts                  sample   prompts x models x n -> responses
    verify   responses -> verdicts               score    responses -> scores
    select   SQL -> demos (SFT), pairs (DPO)     (export.py writes them as folders that TRL takes)

Every stage asks only for what is missing (an anti-join of wanted against present ids), so a build goes on wherever it
stopped. Stages tell a Monitor what they do; they never print.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal, Protocol, get_args

import polars as pl

from datakit import remote_scoring, serving
from datakit.client import Drain, read_key
from datakit.collecting import NOT_WANTED, Inputs, prompt_row, read_inputs
from datakit.domains import domain_of, verifying_worker
from datakit.domains.protocol import Domain
from datakit.engine import LocalEngine, available_cores
from datakit.errors import BadInput, BudgetSpent, DatakitError, RecipeError, RunError, SourceStopped
from datakit.gathering import Asked, Gathering, Meter, asked_sources
from datakit.progress import Poll
from datakit.recipe import ArmoRM, Budget, Classifier, EndpointSource, LocalReward, Recipe, Reward, ServeSource, assign, resolve
from datakit.recipe.files import reward_folder
from datakit.resuming import check_same
from datakit.rewards import check as check_reward
from datakit.rewards import find_on_hub, judge_name
from datakit.scoring import Chunk, count_missing, score_missing, self_check
from datakit.selection import chosen_judge, diff_pairs, foreign_window, judge_answers, judges, select_demos, select_pairs
from datakit.signals import Signals
from datakit.spending import Spent, spending, total
from datakit.store import Run, Spool, load_sql
from datakit.tables import TABLES, Row, Rows, failure_row

Stage = Literal["collect", "sample", "verify", "score", "select", "export"]
STAGES: tuple[Stage, ...] = get_args(Stage)
VERIFY_BATCH = 64


class Monitor(Protocol):
    """What a build tells whoever watches it."""

    def stage(self, name: str, totals: dict[str, int], polls: Mapping[str, Poll] | None = None) -> None:
        """A stage begins; for each of its parts (a source model, a judge) how many rows it is to make.

        A part with a poll is asked by it, from another thread; the others are told with `advance`.
        """
        ...

    def advance(self, part: str, done: int, failed: int, note: str) -> None:
        """Rows of a part were made, or became failures; `note` says what else there is to see of it now."""
        ...

    def say(self, text: str, warning: bool = False) -> None:
        """A sentence that stays on the screen."""
        ...


@dataclass(frozen=True)
class Options:
    """How one build is run, beside its recipe."""

    until: Stage = "export"
    limit: int | None = None
    """Read only the first so many prompts."""
    resample: bool = False
    """Go on in a run whose sampled settings differ; its old rows stay."""
    retry_failures: bool = False
    """Ask again also for what failed for good."""
    keep_going: bool = False
    """A source that cannot be used, or a spent budget, ends its own sampling only; what there is goes through all stages."""
    grace_s: float = 20.0
    """How long answers on their way are waited for when the build is to end."""
    selfcheck: bool = False
    """Check the reward models first, on the devices that they will run on."""
    signals: Signals = field(default_factory=Signals)


def build(recipe: Recipe, folder: Path, options: Options, monitor: Monitor) -> list[DatakitError]:
    """Run the stages up to `options.until`, going on where an earlier build of the run folder stopped.

    Gives what ended sampling early although `keep_going` let the build finish.
    """
    recipe = resolve(recipe)
    preflight(recipe)
    if STAGES.index(options.until) >= STAGES.index("score") and not folder.exists():  # an old one may be scored
        find_rewards(recipe)
    if options.selfcheck and (differences := check_scores(recipe, monitor)):
        raise BadInput("the reward models do not give the scores that they must:\n  " + "\n  ".join(differences))
    domain = domain_of(recipe)
    stopped: list[DatakitError] = []
    with Run.create(folder) as run:
        with run.abandoned_if_new():
            prompts = run.spool("prompts")
            inputs = read_prompts(recipe, options.limit, prompts)
            check_same(run, recipe, inputs, prompts, options.resample)
        run.save_recipe(recipe)
        for stage in STAGES[: STAGES.index(options.until) + 1]:
            match stage:
                case "collect":
                    collect(run, recipe, inputs, prompts, monitor)
                case "sample":
                    stopped = sample(run, recipe, options, monitor)
                case "verify":
                    verify(run, domain, recipe.verify.workers or available_cores(), monitor)
                case "score":
                    for reward in recipe.score:
                        stopped += score(run, recipe, reward, options, monitor)
                case "select":
                    select(run, recipe, monitor)
    return stopped


# ---------------------------------------------------------------------------------------------------- before the first row


def preflight(recipe: Recipe) -> None:
    """Find now what would fail after hours: unset keys, broken model folders, missing extras."""
    for at, source in enumerate(recipe.sources):
        if isinstance(source, EndpointSource):
            read_key(source.api_key_env, f"sources.{at}.api_key_env")
        elif isinstance(source, ServeSource):
            serving.check(recipe, source, f"sources.{at}")
    for reward in recipe.score:
        check_reward(reward, reward_folder(recipe, reward))
    chosen_judge(recipe)
    domain_of(recipe).preflight()


def find_rewards(recipe: Recipe) -> None:
    """Look at reward models that lie on the hub: no night of sampling for one that cannot be had or used."""
    for reward in recipe.score:
        if isinstance(reward, ArmoRM | Classifier) and reward_folder(recipe, reward) is None:
            find_on_hub(reward)


def check_scores(recipe: Recipe, monitor: Monitor) -> list[str]:
    """What the self-check of the reward models finds wrong: batches that change scores, scores that are known to be others."""
    differences = []
    for at, reward in enumerate(recipe.score):
        if isinstance(reward, LocalReward):
            checked = self_check(reward, reward_folder(recipe, reward))
        else:
            checked = remote_scoring.self_check(reward)
        for place, findings in checked:
            where = f"score.{at}: {judge_name(reward)} on {place}"
            differences += [f"{where}: {difference}" for difference in findings.differences]
            for note in findings.notes:
                monitor.say(f"{where}: {note}")
    return differences


# --------------------------------------------------------------------------------------------------------------- the stages


def read_prompts(recipe: Recipe, limit: int | None, prompts: Spool) -> Inputs:
    """Read all that the recipe names, the prompts into the spool: errors are met before anything is changed."""
    inputs = read_inputs(recipe, domain_of(recipe).read, limit, lambda prompt: prompts.add(prompt_row(prompt)))
    prompts.finish()
    return inputs


def collect(run: Run, recipe: Recipe, inputs: Inputs, prompts: Spool, monitor: Monitor) -> None:
    """sources -> prompts, and the responses that exist already. Prompts that are no longer wanted stay, marked as dropped."""
    run.replace_by(_with_old_prompts(run, prompts))
    run.replace("sources", inputs.source_frame(recipe))
    run.replace("judges", TABLES["judges"].frame([{"judge": name, "type": kind} for name, kind in judges(recipe).items()]))
    run.append("scores", run.missing("scores", TABLES["scores"].frame(inputs.scores)))
    imported = run.missing("responses", TABLES["responses"].frame(list(inputs.responses.values())))
    run.append("responses", imported.filter(pl.col("text").is_not_null()))
    empty = imported.filter(pl.col("text").is_null()).rename({"response_id": "key"}).with_columns(stage=pl.lit("sample"))
    lost = run.missing("failures", empty).select("key", "model").iter_rows()
    run.append("failures", [failure_row("sample", key, model, "empty", "no text in the imported row") for key, model in lost])
    for note, count in [*inputs.notes.items(), *((f"prompts dropped: {reason}", n) for reason, n in inputs.dropped.items())]:
        monitor.say(f"{count:,} {note}", warning=True)
    kept = len(inputs.prompt_ids) - inputs.dropped.total()
    monitor.say(f"{kept:,} prompts, {len(inputs.responses):,} responses imported")


def _with_old_prompts(run: Run, new: Spool) -> Spool:
    """The new prompts, and those of earlier builds that the recipe has no longer."""
    gone = f"FROM prompts WHERE prompt_id NOT IN (SELECT prompt_id FROM {new.relation})"
    if not run.query(f"SELECT 1 {gone} LIMIT 1").height:
        return new
    both = run.spool("prompts", "both.tmp")
    rows = f"SELECT * FROM {new.relation} UNION ALL BY NAME SELECT * REPLACE ($dropped AS dropped) {gone}"
    for frame in run.stream(rows, {"dropped": NOT_WANTED}, rows=10_000):
        both.extend(frame)
    both.finish()
    new.path.unlink()
    return both


def sample(run: Run, recipe: Recipe, options: Options, monitor: Monitor) -> list[DatakitError]:
    """prompts x models x n -> responses. Servers are started only for sources that miss something.

    Raises SourceStopped and BudgetSpent, or gives them where `keep_going` is set.
    """
    asked = asked_sources(run, recipe, options.retry_failures)
    limited = recipe.budget != Budget()
    meter = Meter(recipe.budget, total(spending(run, recipe)) if limited else Spent())
    gathering = Gathering(run, recipe, meter, options.retry_failures, options.keep_going, options.grace_s, monitor.say)
    stopped: list[DatakitError] = []
    serving.end_orphans(run.folder / "logs", monitor.say)
    monitor.stage("sample", {one.label: one.n_missing for one in asked}, {one.label: one.progress for one in asked})
    try:
        for turn in _turns(asked):
            served = [one.source for one in turn if isinstance(one.source, ServeSource)]
            if served:
                monitor.say(f"starting {len(served)} model servers; their logs are in {run.folder / 'logs'}")
            with serving.serve(recipe, served, run.folder / "logs", monitor.say) as servers:
                gathering.ask(turn, servers, options.signals)
            if gathering.stopped and not options.keep_going:
                raise gathering.stopped[0]
    except BudgetSpent as spent:
        if not options.keep_going:
            raise
        stopped.append(spent)
    _name_copies(run, monitor)
    return [*gathering.stopped, *stopped]


def _turns(asked: list[Asked]) -> Iterator[list[Asked]]:
    """Which sources are asked at the same time: the servers as serving.in_turns has them, endpoints with the first of them."""
    served = [one.source for one in asked if isinstance(one.source, ServeSource)]
    for at, turn in enumerate(serving.in_turns(served) or [[]] if asked else []):
        yield [one for one in asked if one.source in turn or (at == 0 and isinstance(one.source, EndpointSource))]


def _name_copies(run: Run, monitor: Monitor) -> None:
    with closing(run.snapshot()) as snapshot:
        copied = snapshot.query(load_sql("find_copies"))
    for model, prompts, copies in copied.iter_rows():
        monitor.say(
            f"{model}: samples are copies of one text for {copies:,} of {prompts:,} prompts, also when asked again; "
            "does the server honour temperature and seed? (transformers: is do_sample on in generation_config.json?)",
            warning=True,
        )


def verify(run: Run, domain: Domain, workers: int, monitor: Monitor) -> None:
    """responses -> verdicts. A checker that runs out of time or dies costs its own row only."""
    if domain.verifier is None:
        return
    params = {"verifier": domain.verifier}
    n_missing = int(run.query(load_sql("count_missing_verdicts"), params)["n"][0])
    monitor.stage("verify", {domain.verifier: n_missing} if n_missing else {})
    missing = run.stream(load_sql("missing_verdicts"), params, VERIFY_BATCH) if n_missing else iter(())
    with closing(judge(domain, (frame.to_dicts() for frame in missing), workers, monitor)) as judged:
        for row, verdict, duration_s in judged:
            ids = {"response_id": row["response_id"], "reference_digest": row["reference_digest"], "verifier": domain.verifier}
            run.journal("verdicts").append([{**ids, **verdict, "duration_s": round(duration_s, 4)}])
            monitor.advance(domain.verifier, 1, 0, "")
    run.journal("verdicts").close()


def judge(
    domain: Domain, batches: Iterator[Rows], workers: int, monitor: Monitor
) -> Generator[tuple[Row, Row, float], None, None]:
    """Every row with the columns of its verdict and the seconds that it took, in any order.

    Where a domain says so, a timeout is tried once more at the end, alone: slow, or only crowded out?
    """
    late: Rows = []
    start = partial(verifying_worker, domain.name, domain.options)
    for tries, engine in enumerate((LocalEngine(workers, pinned=True), LocalEngine(workers=1))):
        with closing(engine.map(start, batches if tries == 0 else iter([late]), domain.deadline_s)) as results:
            for result in results:
                verdict = result.value or {"outcome": domain.faults[result.fault or "crash"], "detail": result.message}
                if tries == 0 and domain.retries_timeouts and verdict["outcome"] == "timeout":
                    late.append(result.row)
                else:
                    yield result.row, verdict, result.duration_s
        if not late:
            return
        if tries == 0:
            monitor.say(f"{len(late):,} answers took too long; each is tried once more, alone")


def score(run: Run, recipe: Recipe, reward: Reward, options: Options, monitor: Monitor) -> list[DatakitError]:
    """responses -> scores of one judge. What cannot be scored is a row of failures.

    Raises SourceStopped where a judge behind a URL cannot be used, or gives it where `keep_going` is set.
    """
    judge = judge_name(reward)
    if isinstance(reward, ArmoRM) and reward.objectives:
        _name_missing_objectives(run, judge, monitor)

    def store(chunk: Chunk) -> None:
        run.journal("scores").append(chunk.scores)
        run.journal("failures").append(chunk.failures)
        monitor.advance(judge, len(chunk.scores), len(chunk.failures), chunk.note)

    n_missing = count_missing(run, judge, options.retry_failures)
    if not n_missing:
        monitor.stage("score", {})
        return []
    try:
        if isinstance(reward, LocalReward):
            monitor.stage("score", {judge: n_missing})
            with closing(score_missing(run, reward, reward_folder(recipe, reward), options.retry_failures)) as chunks:
                for chunk in chunks:
                    store(chunk)
        else:
            drain = Drain(options.grace_s, monitor.say)
            scoring = remote_scoring.RemoteScoring(run, reward, options.retry_failures, drain, store)
            monitor.stage("score", {judge: n_missing}, {judge: scoring.progress})
            scoring.score(options.signals)
    except SourceStopped as error:
        if not options.keep_going or options.signals.received:
            raise
        return [error]
    finally:
        run.journal("scores").close()
        run.journal("failures").close()
    return []


def _name_missing_objectives(run: Run, judge: str, monitor: Monitor) -> None:
    without = int(run.query(load_sql("count_without_objectives"), {"judge": judge})["n"][0])
    if without:
        said = f"{judge}: {without:,} answers were scored before the recipe asked for objectives, and stay without"
        monitor.say(said, warning=True)


def select(run: Run, recipe: Recipe, monitor: Monitor) -> None:
    """Replace demos and pairs by what the recipe's rule selects."""
    monitor.stage("select", {})
    judge_answers(run, recipe)
    demos, pairs = select_demos(run, recipe), select_pairs(run)
    run.replace("demos", demos)
    run.replace("pairs", pairs)
    monitor.say(f"{demos.height:,} demos for SFT, {pairs.height:,} pairs for DPO")
    if foreign := foreign_window(recipe):
        monitor.say(foreign, warning=True)


# ------------------------------------------------------------------------------------------------- without a whole build


def reselect(folder: Path, settings: list[str], monitor: Monitor) -> None:
    """Select anew in a finished run, with `--set` kept in its recipe.json. No model and no GPU is needed."""
    Run.open(folder).close()  # a misspelt folder is not made
    with Run.create(folder) as run:
        recipe = _reset(run, settings)
        select(run, recipe, monitor)
        run.save_recipe(recipe)


def preview(folder: Path, settings: list[str]) -> pl.DataFrame:
    """What `reselect` would do to the pairs (selection.diff_pairs). Writes nothing."""
    with Run.open(folder) as run:
        recipe = _reset(run, settings)
        judge_answers(run, recipe)
        return diff_pairs(run.frame("pairs"), select_pairs(run))


def _reset(run: Run, settings: list[str]) -> Recipe:
    """The run's recipe with the settings, which may be of select and limits only."""
    old = run.recipe()
    if old is None:
        raise RunError(f"{run.folder}: not a run folder (no recipe.json); make one with: datakit build --out {run.folder}")
    for setting in settings:
        if not setting.startswith(("select.", "limits.")):
            raise RecipeError(f"--set {setting}: only select.* and limits.* may be set here; change the recipe and build again")
    recipe = assign(old, settings)
    chosen_judge(recipe)
    return recipe
