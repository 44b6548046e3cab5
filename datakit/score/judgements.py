"""The inside of the score stage for judges that see two answers, or one with its reference: find, ask and store what is
missing.

A judgement is a row of `judgements`, whose id is made of the judge, the answers in the order in which they are shown, and the
reference: so the same question is never asked twice, and nothing outdated is mixed in.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from typing import Any

from datakit.client import RequestFailed
from datakit.recipe import ChatJudge, Pairwise, Recipe, ResponsesSource
from datakit.rewards import Judgement, PromptedJudge, Question, judge_name
from datakit.score.local import Chunk
from datakit.score.missing import CHUNK_ROWS, Counts
from datakit.score.remote import RemoteScoring, is_too_long
from datakit.store import Database, Run, load_sql
from datakit.tables import Row, failure_row


@contextmanager
def wanted(run: Run, recipe: Recipe, reward: ChatJudge, answers: str = "judge/find_answers") -> Iterator[Database]:
    """Open the run as it is now, with the temporary table `wanted_judgements`.

    `answers`: the statement that returns the answers to judge.
    """
    judge = judge_name(reward)
    params: dict[str, Any] = {"judge": judge}
    statement = "judge/pair_none"
    if isinstance(reward, Pairwise):
        statement, params = "judge/pair_among", {"judge": judge, "both": reward.orders == "both"}
        if reward.against is not None:
            source = recipe.sources[reward.against]
            revision = None if isinstance(source, ResponsesSource) else source.revision
            statement, params = "judge/pair_against", params | {"model": source.model, "revision": revision}
    with run.snapshot() as snapshot:
        snapshot.make_table("judged_answers", load_sql(answers))
        snapshot.make_table("wanted_judgements", load_sql(statement), params)
        yield snapshot


def count_judgements(run: Run, recipe: Recipe, reward: ChatJudge, retry_failures: bool, answers: str) -> Counts:
    """Return how many judgements of the judge are missing, and how many exist."""
    params = {"judge": judge_name(reward), "retry_failures": retry_failures}
    with wanted(run, recipe, reward, answers) as snapshot:
        return Counts(*map(int, snapshot.query(load_sql("judge/count_judgements"), params).row(0)))


class Judging(RemoteScoring):
    """One judge and its progress. Differs from RemoteScoring in what is asked and what is stored."""

    reward: ChatJudge

    def _has_answered(self, judge: str) -> bool:
        return self.run.query("SELECT 1 FROM judgements WHERE judge = $judge LIMIT 1", {"judge": judge}).height > 0

    def _rows(self, judge: str) -> Generator[Row, None, None]:
        params = {"judge": judge, "retry_failures": self.retry_failures}
        with (
            wanted(self.run, self.run.recipe(), self.reward) as snapshot,
            closing(snapshot.stream(load_sql("judge/missing_judgements"), params, CHUNK_ROWS)) as frames,
        ):
            for frame in frames:
                yield from frame.iter_rows(named=True)

    async def _work(self, judge: str) -> None:
        model = PromptedJudge(self.reward, self.client)
        self.tokens_of = model
        with closing(self._rows(judge)) as rows:
            await self.client.work_through(rows, lambda row: self._judge_row(model, row, judge))
        self.client.check_answered(self.failed, "judgements")

    async def _judge_row(self, model: PromptedJudge, row: Row, judge: str) -> None:
        """Ask for one judgement and store it, or its failure."""
        key, attempts, permanent = row["judgement_id"], 1, True
        answers = (row["first"],) if row["second_id"] is None else (row["first"], row["second"])
        try:
            found = await model.judge(Question(row["messages"], answers, row["reference"], row["category"], key))
        except RequestFailed as failure:
            error = "too_long" if is_too_long(failure) else failure.error
            found = Judgement(None, error=error, message=failure.message)
            attempts, permanent = failure.attempts, failure.permanent and self.client.answered
        if found.value is None:
            failed = failure_row("judge", key, judge, found.error or "", found.message, attempts, permanent)
            self._store(Chunk([], [failed], self._note()))
            return
        ids = {name: row[name] for name in ("judgement_id", "first_id", "second_id", "reference_digest")}
        said = {name: getattr(found, name) for name in ("value", "verdict", "text", "n_prompt_tokens", "n_tokens")}
        self._store(Chunk([{**ids, "judge": judge, **said}], [], self._note()))
