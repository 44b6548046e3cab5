"""START HERE: how a preference dataset is built, top to bottom.

    collect  sources -> prompts                  sample   prompts x models x n -> responses
    verify   responses -> verdicts               score    responses -> scores
    select   SQL -> demos (SFT), pairs (DPO)     (export.py writes them as folders that TRL takes)

Every stage asks only for what is missing (an anti-join of wanted against present ids), so a build goes on wherever it
stopped. Stages tell a Monitor what they do; they never print.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import polars as pl

from datakit import serving
from datakit.check.preflight import check_scores, find_rewards, preflight
from datakit.client import Drain
from datakit.collect.begin import collect, read_prompts
from datakit.collect.changes import check_same
from datakit.domains import domain_of
from datakit.domains.protocol import Domain
from datakit.errors import BadInput, BudgetSpent, DatakitError, RecipeError, RunError, SourceStopped
from datakit.machine import available_cores
from datakit.options import STAGES, Options
from datakit.progress import Monitor
from datakit.recipe import ArmoRM, Budget, LocalReward, Recipe, Reward, ServeSource, assign, resolve
from datakit.recipe.files import reward_folder
from datakit.rewards.judges import chosen_judge, foreign_window, judge_name
from datakit.sample.all_sources import Gathering, _name_copies, _turns
from datakit.sample.missing import asked_sources
from datakit.sample.spending import Meter, Spent, spending, total
from datakit.score import remote
from datakit.score.local import Chunk, score_missing
from datakit.score.missing import count_missing
from datakit.select.rule import diff_pairs, judge_answers, select_demos, select_pairs
from datakit.store import Run, load_sql
from datakit.verify import VERIFY_BATCH, verdicts


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


# --------------------------------------------------------------------------------------------------------------- the stages


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


def verify(run: Run, domain: Domain, workers: int, monitor: Monitor) -> None:
    """responses -> verdicts. A checker that runs out of time or dies costs its own row only."""
    if domain.verifier is None:
        return
    params = {"verifier": domain.verifier}
    n_missing = int(run.query(load_sql("missing/count_missing_verdicts"), params)["n"][0])
    monitor.stage("verify", {domain.verifier: n_missing} if n_missing else {})
    missing = run.stream(load_sql("missing/missing_verdicts"), params, VERIFY_BATCH) if n_missing else iter(())
    with closing(verdicts(domain, (frame.to_dicts() for frame in missing), workers, monitor)) as judged:
        for row, verdict, duration_s in judged:
            ids = {"response_id": row["response_id"], "reference_digest": row["reference_digest"], "verifier": domain.verifier}
            run.journal("verdicts").append([{**ids, **verdict, "duration_s": round(duration_s, 4)}])
            monitor.advance(domain.verifier, 1, 0, "")
    run.journal("verdicts").close()


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
            scoring = remote.RemoteScoring(run, reward, options.retry_failures, drain, store)
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
    without = int(run.query(load_sql("missing/count_without_objectives"), {"judge": judge})["n"][0])
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
