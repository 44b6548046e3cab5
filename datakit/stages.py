"""START HERE: how a preference dataset is built, top to bottom.

    collect  inputs -> prompts, curated         sample   prompts x models x n -> responses
    verify   responses -> verdicts               score    responses -> scores
    select   SQL -> demos (SFT), pairs (DPO)     probe    texts x models -> distributions (off unless the recipe has it)
    export   demos | pairs | distributions -> folders that TRL takes

Each stage asks only for what is missing (an anti-join of wanted ids against present ids), so a build resumes wherever it
stopped. The code of a stage is in the room of its name. Stages report to a Monitor; they never print.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import KW_ONLY, dataclass, field, replace
from pathlib import Path

from datakit.audit.curation import describe_curation
from datakit.audit.report import Curation
from datakit.audit.summary import Summary, summarise
from datakit.check.libraries import warn_of_libraries
from datakit.check.preflight import check_run_folder, preflight
from datakit.collect.begin import COUNT_SELECTED, Begun, begin, collect
from datakit.collect.changes import check_same, name_shrunk
from datakit.collect.merge import Merged, check_shards, merge_shards
from datakit.curate import curator
from datakit.domains import Domain, domain_of
from datakit.dry_run import Plan, plan
from datakit.engine.choice import engines_of
from datakit.engine.protocol import Engines
from datakit.errors import BadInput, BudgetSpent, DatakitError, raise_all
from datakit.evaluation.contest import Contest, contest_for
from datakit.evaluation.flips import read_flips
from datakit.evaluation.items import contact, prompts_of
from datakit.evaluation.models import Model
from datakit.evaluation.scores import means_of, read_answers, results_of
from datakit.evaluation.second_turn import second_recipe
from datakit.evaluation.table import Evaluation, Flip, Results
from datakit.evaluation.verdicts import Verdicts, read_verdicts, with_unasked
from datakit.export.folders import write_exports
from datakit.export.fusion import write_fusion
from datakit.export.given import read_given
from datakit.options import Options, Stage
from datakit.probe.all_readings import probe_missing
from datakit.probe.readings import sampled_readers
from datakit.progress import Monitor
from datakit.recipe import Budget, EntityF1, Recipe, resolve
from datakit.recipe.benchmarks import load_suite
from datakit.sample.all_sources import Gathering
from datakit.sample.by_hand import Written, write_lines
from datakit.sample.spending import Spent, judge_budget, left_of, spent_so_far, within
from datakit.score.one_judge import score_missing
from datakit.select.kept import keep_selection, save_selection, with_settings
from datakit.select.rule import Rule, Selected, check_measured, obeying_flags, rule_of
from datakit.select.rule import select as select_answers
from datakit.store import Run, load_sql, mirrored
from datakit.tables import Phase, Row, as_json
from datakit.verify import VERIFY_BATCH, verdicts
from datakit.wording import counted, did_you_mean


def build(recipe: Recipe, folder: Path, options: Options, monitor: Monitor) -> Summary:
    """Run the stages up to `options.until`, resuming where an earlier build of the run folder stopped. The summary's `stopped`
    has the errors that ended sampling early; without `keep_going` no later stage was run."""
    for note in recipe.notes:
        monitor.say(note, warning=True)
    cluster = options.cluster or (recipe.cluster.address if recipe.cluster is not None else None)
    with recipe.named():
        recipe = resolve(recipe)
        domain = domain_of(recipe)
        preflight(recipe, domain, folder, replace(options, cluster=cluster), monitor)
    stopped, exported = list[DatakitError](), dict[Phase, int]()
    selection: Selected | None = None
    with (
        _writing(folder, recipe, options, monitor) as (run, behind),
        engines_of(cluster, monitor.say, options.signals, options.grace_s) as engines,
    ):
        begun = _begin(run, recipe, domain, options)
        recipe = keep_selection(run, recipe, options.recipe_select, monitor)
        with recipe.named():
            rule = rule_of(recipe, domain)
        warn_of_libraries(run, recipe, begun, monitor)
        for stage in options.stages:
            if stopped and not options.keep_going:
                break
            match stage:
                case "collect":
                    collect(run, recipe, begun, monitor)
                    check_measured(run, recipe.select)
                case "sample":
                    stopped += sample(run, recipe, options, monitor)
                case "verify":
                    verify(run, domain, monitor, engines)
                case "score":
                    stopped += score(run, recipe, options, monitor, engines)
                case "select":
                    rule = obeying_flags(run, rule)  # also those that came while it was building
                    selection = select(run, rule, monitor)
                case "probe":
                    stopped += probe_missing(run, recipe, options, monitor)
                case "export":
                    exported = export(run, recipe, rule, monitor, selection)
        selected = rule if "select" in options.stages and (options.keep_going or not stopped) else None
        summary = summarise(run, recipe, exported, stopped, selected, options.report)
        return replace(summary, warnings=[*summary.warnings, *name_shrunk(run, begun)], behind=behind)


@contextmanager
def _writing(
    folder: Path, recipe: Recipe | None, options: Options, monitor: Monitor
) -> Iterator[tuple[Run, list[DatakitError]]]:
    """Open the run for writing and keep its mirror up to date; yield the run and a list.

    At the end the list holds the error that kept the mirror behind, if there was one. `recipe` may name the mirror."""
    mirror = recipe.mirror if recipe is not None else None
    url = options.mirror_url(mirror.url if mirror is not None else None)
    every_s = mirror.every_s if mirror is not None else None
    with Run.create(folder) as run, mirrored(run, url, monitor.say, every_s, options.grace_s) as behind:
        yield run, behind


def _begin(run: Run, recipe: Recipe, domain: Domain, options: Options) -> Begun:
    """Read the inputs. If they do not fit the run, an old run is left unchanged and a new one is removed."""
    with recipe.named(), run.abandoned_if_new():
        begun = begin(run, recipe, domain, options, curator(recipe))
        check_same(run, recipe, begun, options.resample)
        return begun


def sample(run: Run, recipe: Recipe, options: Options, monitor: Monitor) -> list[DatakitError]:
    """prompts x models x n -> responses. Return the errors that ended it early: an unusable source, a spent budget."""
    with closing(Gathering(run, recipe, options, monitor, sampled_readers(recipe))) as gathering:
        gathering.end_orphans()
        asked = gathering.asked()
        monitor.stage(
            "sample",
            {one.label: one.n_missing for one in asked},
            {one.label: one.progress for one in asked},
            {one.label: one.n_there for one in asked},
        )
        for turn in gathering.turns(asked):
            gathering.ask(turn)
            if gathering.is_over:
                break
        else:
            gathering.name_copies()
            if "select" not in options.stages:  # otherwise the warnings at the end of the build include this
                gathering.name_endings()
    return gathering.stopped


def verify(run: Run, domain: Domain, monitor: Monitor, engines: Engines) -> None:
    """responses -> verdicts. A checker that times out or dies loses only its own row."""
    if domain.verifier is None:
        return
    verifier = domain.verifier.name
    params = {"verifier": verifier}
    n_missing, n_there = run.query(load_sql("missing/count_missing_verdicts"), params).row(0)
    monitor.stage("verify", {verifier: n_missing} if n_missing else {}, there={verifier: n_there})
    missing = run.stream(load_sql("missing/missing_verdicts"), params, VERIFY_BATCH) if n_missing else iter(())
    with closing(verdicts(domain, (frame.to_dicts() for frame in missing), monitor, engines)) as found:
        for row, verdict, duration_s in found:
            ids = {"response_id": row["response_id"], "reference_digest": row["reference_digest"], "verifier": verifier}
            run.journal("verdicts").append([{**ids, **verdict, "duration_s": round(duration_s, 4)}])
            monitor.advance(verifier, 1, 0, engines.note)
    run.journal("verdicts").close()


def score(run: Run, recipe: Recipe, options: Options, monitor: Monitor, engines: Engines) -> list[DatakitError]:
    """responses -> scores or judgements of every judge. Return what ended some early: an unusable URL, a spent budget."""
    stopped: list[DatakitError] = []
    for reward in recipe.score:
        if isinstance(reward, EntityF1):
            continue  # counted from verdicts by the view `scores`
        if not stopped or options.keep_going:
            stopped += score_missing(run, recipe, reward, options, monitor, engines, judge_budget(run, recipe, reward))
    return stopped


def select(run: Run, rule: Rule, monitor: Monitor) -> Selected:
    """Replace demos and pairs with what the recipe's rule selects."""
    monitor.stage("select", {})
    before = run.query(COUNT_SELECTED).row(0)
    selected = select_answers(run, rule, whole=True)  # the summary at the end reads the same answers
    run.replace("demos", selected.demos)
    run.replace("pairs", selected.pairs)
    n_demos, n_pairs = selected.demos.height, selected.pairs.height
    was = f" (before: {before[0]:,} and {before[1]:,})" if any(before) and before != (n_demos, n_pairs) else ""
    monitor.say(f"{counted(n_demos, 'demos')} for SFT, {counted(n_pairs, 'pairs')} for DPO{was}")
    return selected


def export(run: Run, recipe: Recipe, rule: Rule, monitor: Monitor, selected: Selected | None) -> dict[Phase, int]:
    """demos and pairs -> sft/ and dpo/ (or wrpo/) in the run folder, distributions -> fusion/; return the rows of sft and dpo.

    `selected` is the selection that was just made, if any."""
    monitor.stage("export", {})
    given = read_given(run, recipe, rule, selected=selected)
    counts = write_exports(given, run.folder)
    pairs, called = ("wrpo", "triples") if recipe.select.target is not None else ("dpo", "pairs")
    monitor.say(
        f"{run.folder / 'sft'}: {counted(counts['sft'], 'demos')}    {run.folder / pairs}: {counted(counts['dpo'], called)}"
    )
    fusion = write_fusion(run, recipe, given, run.folder)
    for said, is_warning in fusion.sentences(run.folder) if fusion is not None else ():
        monitor.say(said, warning=is_warning)
    return counts


# --------------------------------------------------------------------------------------------- outside of a whole build


@dataclass(frozen=True)
class Asked:
    """The arguments of one evaluation."""

    suite: str
    """The name or the file of a suite or a benchmark."""
    models: list[Model]
    _: KW_ONLY
    out: Path | None = None
    """The folder that gets one run folder per benchmark; by default runs/eval/<suite>."""
    base: str | None = None
    """The model that the others are compared with; by default the first."""
    data: Sequence[Path] = ()
    """Runs and exports that are checked for benchmark prompts."""
    flips: bool = False
    """True to list also the prompts that the base got right and a model wrong, and the reverse."""
    judge: Row | None = None
    """The judge's address, for benchmarks whose answers are judged."""
    baseline: Model | None = None
    """The model whose answers a pairwise judge compares the others with; by default the benchmark's own."""
    budget: Budget = field(default_factory=Budget)
    """The budget of the whole evaluation."""


def evaluate(
    asked: Asked, options: Options, monitor: Monitor, ended: Callable[[Summary], object]
) -> tuple[Evaluation, list[DatakitError]]:
    """Build each benchmark; return the evaluation, which is also written to eval.json, and the errors that stopped some builds.
    `ended` is called with the summary of each build. Faulty files are reported before the first request."""
    models, names = asked.models, [model.name for model in asked.models]
    base = asked.base or names[0]
    if base not in names:
        raise BadInput(f"--base {base}: no --model has this name; known: {', '.join(names)}{did_you_mean(base, names)}")
    suite, found = load_suite(asked.suite)
    contests = [contest_for(one, models, asked.judge, asked.baseline) for one in found]
    if asked.budget.cost is not None and not any(contest.recipe.is_priced for contest in contests):
        raise BadInput(
            "--budget-cost: nothing has a price; write price: {input: ..., output: ...} into JUDGE.yaml or SOURCE.yaml"
        )
    texts = {data: prompts_of(data) for data in asked.data}
    series = Series(asked.out or Path("runs") / "eval" / suite, asked.budget, options, monitor, ended)
    results, flips = list[Results](), list[Flip]()
    for contest in contests:
        benchmark = contest.benchmark
        monitor.say(f"{benchmark.name} ({benchmark.version})")
        for model in models:
            if model.departs_from(benchmark):
                said = "is asked without prefill: `transformers serve` cannot go on with an answer"
                monitor.say(f"{model.name} {said}", warning=True)
        try:
            with series.built(contest.recipe, benchmark.name) as run:
                met = [contact(data, prompts, benchmark) for data, prompts in texts.items()]
                if benchmark.judge:
                    from datakit.evaluation.judged import judged_results  # imports numpy, which no build needs to begin

                    results.append(judged_results(contest, series.verdicts(contest, run), run, base, met))
                    continue
                answered = read_answers(run, benchmark, models)
                results.append(results_of(run, benchmark, models, base, answered, met))
                flips += read_flips(run, benchmark, base, names, answered) if asked.flips else []
        except BudgetSpent as spent:
            if not (options.keep_going and results):
                raise
            left_out = ", ".join(one.benchmark.name for one in contests[len(results) :])
            series.stopped.append(BudgetSpent(f"left out: {left_out}; {spent}"))
            break
    evaluation = Evaluation(suite, base if len(names) > 1 else None, names, results, means_of(results), flips)
    (series.folder / "eval.json").write_text(as_json(evaluation.as_json()) + "\n", encoding="utf-8")
    return evaluation, series.stopped


def plan_evaluation(asked: Asked, options: Options, monitor: Monitor) -> dict[str, Plan]:
    """Return what an evaluation would ask for, by benchmark, without asking or writing. Second turns cannot be planned yet."""
    suite, found = load_suite(asked.suite)
    folder, options = asked.out or Path("runs") / "eval" / suite, replace(options, resample=True)
    plans = {}
    for one in found:
        contest = contest_for(one, asked.models, asked.judge, asked.baseline)
        plans[one.benchmark.name] = plan(within(contest.recipe, asked.budget), folder / one.benchmark.name, options, monitor)
        if one.benchmark.second is not None:
            monitor.say(f"{one.benchmark.name}: a second turn follows, about as large, and longer to read", warning=True)
    return plans


@dataclass
class Series:
    """The runs of an evaluation, one after the other, with one budget for all."""

    folder: Path
    budget: Budget
    options: Options
    monitor: Monitor
    ended: Callable[[Summary], object]
    """Called with the summary of each build."""
    stopped: list[DatakitError] = field(default_factory=list)
    _spent: Spent = field(default_factory=Spent)

    @contextmanager
    def built(self, recipe: Recipe, name: str) -> Iterator[Run]:
        """Build a run up to the judging of its answers, and yield it. Without `keep_going`, raise what stopped the build."""
        until: Stage = "score" if recipe.score else "verify"
        recipe = within(recipe, left_of(self.budget, self._spent))
        summary = build(recipe, self.folder / name, replace(self.options, until=until, resample=True), self.monitor)
        self.ended(summary)
        self.stopped += summary.stopped
        if self.stopped and not self.options.keep_going:
            raise_all(self.stopped)
        with Run.open(self.folder / name) as run:
            self._spent += spent_so_far(run, recipe)
            yield run

    def verdicts(self, contest: Contest, run: Run) -> Verdicts:
        """Return the judge's verdicts on a benchmark, including second turns, for which each model has a run of its own."""
        benchmark, turn = contest.benchmark, contest.benchmark.second
        baseline = None if contest.baseline is None else contest.baseline.name
        found = read_verdicts(run, benchmark, contest.contestants, baseline)
        for model in contest.models:
            if turn is None:
                break
            name = f"{benchmark.name}.second/{model.name}"
            self.monitor.say(f"{benchmark.name}, second turn of {model.name}")
            recipe = second_recipe(run, contest, turn, model, self.folder / f"{name}.jsonl")
            with self.built(recipe, name) as second:
                found += with_unasked(read_verdicts(second, benchmark, [model], None), found, model)
        return found


def curate(recipe: Recipe, folder: Path, options: Options, monitor: Monitor) -> Curation | None:
    """Run the collect stage alone, in a new or existing run folder: decide again which prompts are kept. No model is asked."""
    check_run_folder(folder)
    with recipe.named():
        recipe, domain = resolve(recipe), domain_of(recipe)
    with _writing(folder, recipe, options, monitor) as (run, _):
        begun = _begin(run, recipe, domain, options)
        collect(run, keep_selection(run, recipe, options.recipe_select, monitor), begun, monitor)
        return describe_curation(run)


def merge(folder: Path, shards: Sequence[Path], monitor: Monitor) -> Merged:
    """Merge the runs of shards (Options.shard) into one run, new or existing. Selection waits for its next build."""
    check_run_folder(folder)
    with ExitStack() as stack:
        opened = [stack.enter_context(Run.open(shard)) for shard in shards]
        check_shards(folder, opened)
        run, _ = stack.enter_context(_writing(folder, None, Options(), monitor))
        with run.abandoned_if_new():
            merged = merge_shards(run, opened)
    for shard in merged.waiting:
        monitor.say(f"{shard}: its batches are not finished; build it again, and merge again", warning=True)
    if merged.lacking:
        lacking = counted(merged.lacking, "prompts of other shards")
        monitor.say(f"{lacking} are not among these; the next build of {folder} asks them", warning=True)
    return merged


def reselect(folder: Path, settings: list[str], monitor: Monitor) -> Summary:
    """Select and export again in a finished run, and keep the `--set` values in its recipe.json. Needs no model and no GPU."""
    Run.open(folder).close()  # fails for a misspelt folder, which would be created below
    with _writing(folder, None, Options(), monitor) as (run, _):
        for note in run.recipe().notes:
            monitor.say(note, warning=True)
        recipe, rule = with_settings(run, settings)
        selected = select(run, rule, monitor)
        save_selection(run, recipe)
        return summarise(run, recipe, export(run, recipe, rule, monitor, selected), [], rule)


def write_batch(
    folder: Path, recipe: Recipe | None, path: Path, max_lines: int | None, options: Options, monitor: Monitor
) -> list[Written]:
    """Write the run's missing requests as lines of the batch format. If a recipe is given, its prompts are read first."""
    if recipe is None:
        with Run.open(folder) as run:
            return write_lines(run, run.recipe(), path, max_lines, options.retry_failures)
    check_run_folder(folder)
    with recipe.named():
        recipe = resolve(recipe)
    with _writing(folder, recipe, options, monitor) as (run, _):
        begun = _begin(run, recipe, domain_of(recipe), options)
        recipe = keep_selection(run, recipe, options.recipe_select, monitor)
        collect(run, recipe, begun, monitor)
        return write_lines(run, recipe, path, max_lines, options.retry_failures)
