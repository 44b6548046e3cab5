"""START HERE: how a preference dataset is built, top to bottom.

    collect  sources -> prompts                  sample   prompts x models x n -> responses
    verify   responses -> verdicts               score    responses -> scores
    select   SQL -> demos (SFT), pairs (DPO)     (export.py writes them as folders that TRL takes)

Every stage asks only for what is missing (an anti-join of wanted against present ids), so a build goes on wherever it
stopped. Stages tell a Monitor what they do; they never print.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Iterator, Sequence
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, Protocol, TypeVar, get_args

import polars as pl

from datakit import serving
from datakit.client import ChatClient, read_key
from datakit.collecting import NOT_WANTED, Inputs, read_inputs
from datakit.domains import DOMAINS, Domain, verifying_worker
from datakit.engine import Engine, LocalEngine, available_cores
from datakit.errors import RecipeError, RunError
from datakit.places import model_folder
from datakit.recipe import EndpointSource, Recipe, ResponsesSource, Reward, Sampled, ServeSource, Source, assign
from datakit.resuming import check_same
from datakit.rewards import check as check_reward
from datakit.rewards import judge_name, scoring_worker
from datakit.sampling import Ask, Sampler, Store
from datakit.selection import chosen_judge, diff_pairs, foreign_window, judge_answers, judges, select_demos, select_pairs
from datakit.sources import scores_revision
from datakit.store import Run, load_sql
from datakit.tables import TABLES, Row, Rows, failure_row, fingerprint

Pinned = TypeVar("Pinned", ServeSource, Reward)
Stage = Literal["collect", "sample", "verify", "score", "select", "export"]
STAGES: tuple[Stage, ...] = get_args(Stage)
VERIFY_BATCH = 64
SCORE_BATCH = 256


class Monitor(Protocol):
    """What a build tells whoever watches it."""

    def stage(self, name: str, totals: dict[str, int]) -> None:
        """A stage begins; for each of its parts (a source model, a judge) how many rows it is to make."""
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


def build(recipe: Recipe, folder: Path, options: Options, monitor: Monitor) -> None:
    """Run the stages up to `options.until`, going on where an earlier build of the run folder stopped."""
    recipe = resolve(recipe)
    preflight(recipe)
    domain = DOMAINS[recipe.domain](recipe.verify)
    inputs = read_inputs(recipe, domain.read, options.limit)
    with Run.create(folder) as run:
        check_same(run, recipe, inputs, options.resample)
        run.save_recipe(recipe)
        for stage in STAGES[: STAGES.index(options.until) + 1]:
            match stage:
                case "collect":
                    collect(run, recipe, inputs, monitor)
                case "sample":
                    sample(run, recipe, options.retry_failures, monitor)
                case "verify":
                    verify(run, domain, recipe.verify.workers or available_cores(), monitor)
                case "score":
                    for reward in recipe.score:
                        score(run, recipe, reward, LocalEngine(workers=1), options.retry_failures, monitor)
                case "select":
                    select(run, recipe, monitor)


# ---------------------------------------------------------------------------------------------------- before the first row


def resolve(recipe: Recipe) -> Recipe:
    """The recipe with a revision for every model that is a folder, and for every file with scores that are imported.

    RecipeError for a domain that there is not.
    """
    if recipe.domain not in DOMAINS:
        raise RecipeError(f"domain: there is no domain '{recipe.domain}'; known: {', '.join(DOMAINS)}")

    def pinned(section: Pinned) -> Pinned:
        folder = model_folder(recipe, section.model)
        if folder is None or section.revision is not None:
            return section
        return section.model_copy(update={"revision": fingerprint(folder)})

    def with_revision(source: Source) -> Source:
        if isinstance(source, ResponsesSource) and source.judge is not None:
            return source.model_copy(update={"revision": scores_revision(source, recipe)})
        return pinned(source) if isinstance(source, ServeSource) else source

    sources = [with_revision(source) for source in recipe.sources]
    return recipe.model_copy(update={"sources": sources, "score": [pinned(reward) for reward in recipe.score]})


def preflight(recipe: Recipe) -> None:
    """Find now what would fail after hours: unset keys, broken model folders, missing extras."""
    for at, source in enumerate(recipe.sources):
        if isinstance(source, EndpointSource):
            read_key(source.api_key_env, f"sources.{at}.api_key_env")
        elif isinstance(source, ServeSource):
            serving.check(recipe, source, f"sources.{at}")
    for reward in recipe.score:
        check_reward(reward, model_folder(recipe, reward.model))
    chosen_judge(recipe)
    DOMAINS[recipe.domain](recipe.verify).preflight()


# --------------------------------------------------------------------------------------------------------------- the stages


def collect(run: Run, recipe: Recipe, inputs: Inputs, monitor: Monitor) -> None:
    """sources -> prompts, and the responses that exist already. Prompts that are no longer wanted stay, marked as dropped."""
    new = inputs.prompt_frame()
    old = run.frame("prompts").join(new, on="prompt_id", how="anti").with_columns(dropped=pl.lit(NOT_WANTED))
    run.replace("prompts", pl.concat([new, old]))
    run.replace("sources", inputs.source_frame(recipe))
    run.replace("judges", TABLES["judges"].frame([{"judge": name, "type": kind} for name, kind in judges(recipe).items()]))
    run.append("scores", run.missing("scores", TABLES["scores"].frame(inputs.scores)))
    imported = run.missing("responses", TABLES["responses"].frame(list(inputs.responses.values())))
    run.append("responses", imported.filter(pl.col("text").is_not_null()))
    empty = imported.filter(pl.col("text").is_null()).rename({"response_id": "key"}).with_columns(stage=pl.lit("sample"))
    lost = run.missing("failures", empty).select("key", "model").iter_rows()
    run.append("failures", [failure_row("sample", key, model, "empty", "no text in the imported row") for key, model in lost])
    dropped = new.filter(pl.col("dropped").is_not_null())["dropped"].value_counts()
    for note, count in [*inputs.notes.items(), *((f"prompts dropped: {reason}", n) for reason, n in dropped.iter_rows())]:
        monitor.say(f"{count:,} {note}", warning=True)
    monitor.say(f"{new.height - int(dropped['count'].sum() or 0):,} prompts, {len(inputs.responses):,} responses imported")


def sample(run: Run, recipe: Recipe, retry_failures: bool, monitor: Monitor) -> None:
    """prompts x models x n -> responses. Servers are started only for sources that miss something. Raises SourceStopped."""
    missing = run.query(load_sql("missing_samples"), {"retry_failures": retry_failures})
    wanted = {at: _missing_of(missing, source) for at, source in enumerate(recipe.sampled)}
    asked = [(source, wanted[at]) for at, source in enumerate(recipe.sampled) if wanted[at].height]
    served = [source for source, _ in asked if isinstance(source, ServeSource)]
    if served:
        monitor.say(f"starting {len(served)} model servers; their logs are in {run.folder / 'logs'}")
    try:
        with serving.serve(recipe, served, run.folder / "logs") as servers:
            monitor.stage("sample", {_label(recipe, source): rows.height for source, rows in asked})
            urls = iter(server.base_url for server in servers)
            asyncio.run(_ask_all(run, recipe, asked, urls, monitor))
    finally:
        run.journal("responses").close()
        run.journal("failures").close()
    for model, prompts, copies in run.query(load_sql("find_copies")).iter_rows():
        monitor.say(
            f"{model}: all samples are one text for {copies:,} of {prompts:,} prompts; the server seems to decode greedily "
            "(does it honour temperature? is do_sample on?)",
            warning=True,
        )


def _missing_of(missing: pl.DataFrame, source: Sampled) -> pl.DataFrame:
    mine = (pl.col("model") == source.model) & (pl.col("sampling") == source.sampling_text)
    return missing.filter(mine & pl.col("revision").eq_missing(pl.lit(source.revision, pl.String)))


async def _ask_all(
    run: Run, recipe: Recipe, asked: Sequence[tuple[Sampled, pl.DataFrame]], urls: Iterator[str], monitor: Monitor
) -> None:
    """All sources at once; the first that cannot be used ends the others, with everything received stored."""
    prompts = run.query("SELECT prompt_id, messages FROM prompts")
    async with AsyncExitStack() as stack:
        samplings = []
        for source, missing in asked:
            client = await stack.enter_async_context(_client_of(source, urls))
            sampler = Sampler(source, _requested(recipe, source), client)
            asks = _asks(prompts.join(missing, on="prompt_id", maintain_order="left"))
            store = _store(run, sampler, _label(recipe, source), monitor)
            samplings.append(asyncio.create_task(sampler.sample(asks, store)))
        try:
            await asyncio.gather(*samplings)
        finally:
            for task in samplings:
                task.cancel()
            await asyncio.gather(*samplings, return_exceptions=True)


def _client_of(source: Sampled, urls: Iterator[str]) -> ChatClient:
    """A client of the source's own URLs, or of the server that was started for it."""
    if isinstance(source, EndpointSource):
        key = read_key(source.api_key_env, "api_key_env")
        return ChatClient(source.base_urls, key, source.max_in_flight, source.timeout_s, source.patience_s)
    return ChatClient([next(urls)], None, source.max_in_flight, source.timeout_s, patience_s=30.0)


def _requested(recipe: Recipe, source: Sampled) -> str:
    return serving.requested_name(recipe, source) if isinstance(source, ServeSource) else source.model


def _asks(missing: pl.DataFrame) -> Iterator[Ask]:
    """One Ask a prompt; rows of one prompt stand together."""
    for rows in missing.partition_by("prompt_id", maintain_order=True):
        ids = dict(zip(rows["sample_index"], rows["response_id"], strict=True))
        yield Ask(rows["prompt_id"][0], rows["messages"][0].to_list(), ids)


def _label(recipe: Recipe, source: Sampled) -> str:
    """How the display calls a source: its model, numbered where a recipe samples one model in several ways."""
    ways = [other.sampling_text for other in recipe.sampled if other.model == source.model]
    return source.model if len(ways) == 1 else f"{source.model} ({ways.index(source.sampling_text) + 1})"


def _store(run: Run, sampler: Sampler, label: str, monitor: Monitor) -> Store:
    def store(responses: Rows, failures: Rows) -> None:
        run.journal("responses").append(responses)
        run.journal("failures").append(failures)
        note = f"{sampler.client.in_flight} in flight, {sampler.client.retries} retries, {sampler.n_tokens:,} tokens"
        monitor.advance(label, len(responses), len(failures), note)

    return store


def verify(run: Run, domain: Domain, workers: int, monitor: Monitor) -> None:
    """responses -> verdicts. A checker that runs out of time or dies costs its own row only."""
    if domain.verifier is None:
        return
    missing = run.query(load_sql("missing_verdicts"), {"verifier": domain.verifier})
    monitor.stage("verify", {domain.verifier: missing.height} if missing.height else {})
    with closing(judge(domain, _batches(missing, VERIFY_BATCH), workers, monitor)) as judged:
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


def score(run: Run, recipe: Recipe, reward: Reward, engine: Engine, retry_failures: bool, monitor: Monitor) -> None:
    """responses -> scores of one judge. What cannot be scored is a row of failures."""
    judge = judge_name(reward)
    missing = run.query(load_sql("missing_scores"), {"judge": judge, "retry_failures": retry_failures})
    monitor.stage("score", {judge: missing.height} if missing.height else {})
    start = partial(scoring_worker, reward, model_folder(recipe, reward.model))
    batches = ([_conversation(row) for row in batch] for batch in _batches(missing, SCORE_BATCH))
    with closing(engine.map(start, batches, None)) as results:
        for result in results:
            value = result.value or {"score": None, "error": result.fault, "message": result.message}
            row = {"response_id": result.row["response_id"], "judge": judge}
            if value["score"] is None:
                permanent = result.fault is None
                failure = failure_row("score", row["response_id"], judge, value["error"], value["message"], permanent=permanent)
                run.journal("failures").append([failure])
            else:
                scored = {"score": value["score"], "objectives": value.get("objectives")}
                run.journal("scores").append([row | scored])
            monitor.advance(judge, int(value["score"] is not None), int(value["score"] is None), "")
    run.journal("scores").close()
    run.journal("failures").close()


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


def _batches(rows: pl.DataFrame, size: int) -> Iterator[Rows]:
    return (batch.to_dicts() for batch in rows.iter_slices(size))


def _conversation(row: Row) -> Row:
    answer = {"role": "assistant", "content": row["text"]}
    return {"response_id": row["response_id"], "messages": [*row["messages"], answer]}


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
