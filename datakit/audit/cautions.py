"""Warnings about a run, in sentences: a pure function of the report on it.

The report holds the numbers; warnings say what they mean and what to do next.
"""

from __future__ import annotations

from collections.abc import Iterator

from datakit.audit.report import Judge, Report, Residue, Source
from datakit.collect.reading import Note
from datakit.tables.answers import CUT_OFF
from datakit.wording import counted

MUCH_TRUNCATED = 0.1  # share of a source's responses from which on there is a warning
MUCH_UNJUDGED = 0.1
MUCH_RESIDUE = 0.01
FEW_COMPARISONS = 20  # fewer say nothing about a judge
UNANSWERED = "thought without an answer"  # the name in sql/audit/sources.sql


def caution(report: Report, repeated_keys: dict[str, int]) -> Iterator[str]:
    """Yield the warnings about a run."""
    yield from noted(report)
    for loss in report.funnel[1].lost:
        yield f"{counted(loss.prompts, 'prompts')} dropped: {loss.reason}"
    yield from _pairing_warnings(report)
    for source in report.sources:
        yield from _source_warnings(source)
    yield from _failure_warnings(report)
    if report.run.verifier and (unverified := sum(source.no_verdict or 0 for source in report.sources)):
        yield f"responses without a verdict of {report.run.verifier}: {unverified:,}; build again to go on"
    for judge in report.judges:
        yield from _judge_warnings(judge)
    if report.duplicates and (count := report.duplicates.repeated_prompts):
        yield f"prompts with the same messages as another one: {count:,}; they are asked once, and each is used"
    if report.duplicates and (count := report.duplicates.differing_references):
        yield f"questions under several ids with different reference answers: {count:,}"
    scores = report.scores
    if scores is not None and scores.accuracy_low is not None and scores.accuracy_high is not None:
        low, high, comparisons = scores.accuracy_low, scores.accuracy_high, scores.comparisons
        said = f"ranking accuracy {scores.ranking_accuracy:.2f}, 95 % interval {low:.2f} to {high:.2f}"
        said += f", {counted(comparisons, 'comparisons')}"
        if high < 0.5:
            yield f"the judge scores a wrong answer above a right one more often than not ({said})"
        elif low < 0.5 and comparisons >= FEW_COMPARISONS:
            yield f"the judge tells right from wrong no better than a coin, as far as this run can show ({said})"
    for table, count in repeated_keys.items():
        copied = f"a part was copied into {report.run.folder}/{table}"
        yield f"{table}: {counted(count, 'rows')} with the key of another row; {copied}"


def noted(report: Report) -> Iterator[str]:
    """Yield the peculiarities of the inputs."""
    return (Note(one.things, one.what, one.first).of(one.n) for one in report.notes)


def _failure_warnings(report: Report) -> Iterator[str]:
    imported = {source.model for source in report.sources if source.type == "responses"}
    permanent = [failure for failure in report.failures if failure.permanent]
    empty = sum(failure.count for failure in permanent if failure.stage == "sample" and failure.source in imported)
    if empty:
        yield f"imported rows without a text: {empty:,}; they are failures, and no answers"
    if others := sum(failure.count for failure in permanent) - empty:
        yield f"failures that are not tried again: {others:,}; build --retry-failures does"


def _pairing_warnings(report: Report) -> Iterator[str]:
    """Yield the reasons if the rule cannot give any pair."""
    answered = [source for source in report.sources if source.responses]
    if report.run.judge is None and report.run.verifier is None:
        yield "no pair is possible: the domain has no verifier and the recipe no judge (score: null); add a judge to score"
        return
    if not answered or report.run.any_source:
        return
    if all(source.responses == source.prompts for source in answered):
        yield (
            "no pair is possible: each source gave one response per prompt; same_source needs at least two different answers "
            "of one source: raise n or use pairing: any_source"
        )
    elif all((source.most_distinct or 0) < 2 for source in answered):
        yield (
            "no pair is possible: all samples of a source are copies of one text; same_source needs at least two different "
            "answers of one source: raise the temperature or use pairing: any_source"
        )


def _source_warnings(source: Source) -> Iterator[str]:
    model, prompts, responses = source.model, source.prompts or 0, source.responses or 0
    if responses > prompts and source.distinct == prompts:
        yield (
            f"{model}: all samples of a prompt are the same text, so no pair can come from them; does the server honour "
            "temperature and seed?"
        )
    truncated = source.truncated or 0
    if responses and truncated > MUCH_TRUNCATED * responses:
        yield (
            f"{model}: {truncated / responses:.0%} of the responses were cut off; they are neither chosen nor rejected: "
            "raise sampling.max_tokens"
        )
    unknown = [ending for ending in source.endings or [] if ending.reason not in (*CUT_OFF, UNANSWERED)]
    for ending in unknown:
        yield (
            f"{model}: {counted(ending.responses, 'responses')} ended with '{ending.reason}', neither chosen nor rejected; "
            f"if that means complete, the source's complete: [{ending.reason}] says so"
        )
    for found in source.residue or []:
        if found.choice == "keep" and found.responses >= MUCH_RESIDUE * responses:
            yield f"{model}: residue in {found.responses:,} of {counted(responses, 'answers')}: {_residue(found)}"
    unjudged = sum(count or 0 for count in (source.error, source.unverifiable, source.unparseable))
    if responses and unjudged > MUCH_UNJUDGED * responses:
        yield f"{model}: {unjudged / responses:.0%} of the responses could not be judged; they are in no pair"
    if source.pending:
        yield f"{model}: {source.pending:,} of {counted(source.wanted or 0, 'responses')} not there yet; build again to go on"
    if not responses and not source.pending and source.n != 0:
        yield f"{model}: gave no response at all"


def _residue(found: Residue) -> str:
    held = f"{counted(found.pairs, 'pairs')} with one; " if found.pairs else ""
    strip = (
        "residue: strip leaves it out of exports, " if found.residue in ("role header", "end token", "empty thought") else ""
    )
    return f"{found.residue}; {held}of the source's options {strip}residue: drop leaves such answers out of pairs and demos"


def _judge_warnings(judge: Judge) -> Iterator[str]:
    if (unscored := judge.unscored - judge.failures) > 0 and judge.imported:
        out = "; they are in no pair and no demo" if judge.selects else ""
        yield f"responses that came without a score of {judge.judge}: {unscored:,}{out}"
    elif unscored > 0:
        yield f"responses without a score of {judge.judge}: {unscored:,}; build again to go on"
    if judge.non_finite:
        out = "those answers are in no pair and no demo" if judge.selects else "it cannot select those answers"
        yield f"scores of {judge.judge} that are not finite: {judge.non_finite:,}; {out}"
