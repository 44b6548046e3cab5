"""Which answers become pairs and demos: a pure function of the other tables and the recipe's `select`, in SQL.

FuseChat-3.0 (README, section on data construction): DPO pairs are the best right answer against the worst wrong answer of the
same source model, SFT demos the right answer with the highest score. The rules are in sql/select/.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace

import polars as pl

from datakit.domains import Domain
from datakit.errors import BadInput
from datakit.recipe import MEAN_RANK, Quantiles, Recipe, Select
from datakit.recipe.curate import Answers
from datakit.recipe.select import LengthDifference
from datakit.rewards.judges import chosen_judge, foreign_window, judges
from datakit.select.lengths import slopes as slopes_of
from datakit.store import Run, load_sql
from datakit.tables import FLAGGED, TABLES, canonical_json, digest
from datakit.tables.letters import TRADITIONAL
from datakit.wording import counted, did_you_mean

FEW_DEMOS = 0.02  # demos per pair below which the user is warned
NUMBERS = (
    *("prompt_no", "model_no", "id", "n_chars", "n_tokens", "text_hash", "score", "claim", "repeated"),
    *("is_right", "is_wrong", "may_be_chosen", "may_be_rejected", "may_be_demo"),
)
"""The columns of an answer that selection needs: no text, about fifty bytes per row."""
OF_VERDICTS, OF_RANKS = ("passed", "failed"), ("scored", "flagged")
"""The further columns that are needed if answers are verified, and for mean ranks."""


AS_SCORED = 'SELECT *, NULL::DOUBLE AS slope, score AS value, rowid AS "row" FROM answers'
"""The view `valued` if no slope is removed: the same columns without a join and a logarithm per answer."""


@dataclass(frozen=True)
class Rule:
    """Everything that decides which answers become pairs and demos: the recipe's `select`, and the names that it refers to."""

    select: Select
    verifier: str | None
    """The verifier whose verdicts count; None if the domain has none."""
    wrong: tuple[str, ...]
    """The outcomes that make an answer wrong."""
    judges: Mapping[str, str]
    """All judges of the recipe: name -> type."""
    judge: str | None
    """The judge whose scores select: one of `judges`, mean_rank, or None."""
    answers: Answers = field(default_factory=Answers)
    """Which answers are left out whatever their score."""
    excluded: pl.DataFrame = field(default_factory=lambda: TABLES["flags"].frame()[:, :5], compare=False)
    """What people have excluded, as sql/select/find_excluded.sql gives it."""

    @property
    def any_source(self) -> bool:
        """True if a pair's two answers may come from different source models."""
        return self.select.pairing != "same_source" or self.select.target is not None

    @property
    def matching(self) -> dict[str, bool]:
        """The parameters of statements that pair answers."""
        by_source = not self.any_source
        return {"by_source": by_source, "verified": self.verifier is not None, "ranked": self.judge == MEAN_RANK}

    @property
    def looks_at_answers(self) -> bool:
        """True if there is a verifier or a judge."""
        return self.verifier is not None or self.judge is not None

    @property
    def foreign_window(self) -> str | None:
        """A warning if the margin window was made for another type of judge, else None."""
        return foreign_window(self.select.margin, self.judge, self.judges)


def rule_of(recipe: Recipe, domain: Domain) -> Rule:
    """Return the rule of a recipe.

    Raises BadInput if `select.judge` does not name one of its judges, or if a field needs a verifier and there is none.
    """
    verifier = domain.verifier
    if verifier is None and recipe.select.pass_rate_min is not None:
        raise BadInput("select.pass_rate_min must be null: no verifier judges answers of this domain")
    return Rule(
        select=recipe.select,
        verifier=verifier.name if verifier is not None else None,
        wrong=tuple(sorted(verifier.wrong)) if verifier is not None else (),
        judges=judges(recipe),
        judge=chosen_judge(recipe),
        answers=recipe.curate.answers,
    )


def rule_in(run: Run, recipe: Recipe, domain: Domain) -> Rule:
    """Return the rule of a recipe for a run that is only read, or selected again.

    If the current verifier has no verdicts in the run, those of its latest version that has some count.
    """
    rule = obeying_flags(run, rule_of(recipe, domain))
    if rule.verifier is None:
        return rule
    name, _, version = rule.verifier.partition("@")
    options = version.partition("+")[2]
    known = {str(one) for one in run.query("SELECT DISTINCT verifier FROM verdicts")["verifier"]}
    others = [one for one in known if one.partition("@")[0] == name and one.partition("+")[2] == options]
    if rule.verifier in known or not others:
        return rule
    return replace(rule, verifier=max(others, key=lambda one: int(one.partition("@")[2].partition("+")[0])))


def obeying_flags(run: Run, rule: Rule) -> Rule:
    """Return the rule with what people have excluded until now, unless its recipe ignores flags."""
    if rule.select.flags == "ignore":
        return rule
    run.look_again()
    return replace(rule, excluded=run.query(load_sql("select/find_excluded")))


def excluded_in(rule: Rule) -> dict[str, int | str]:
    """Return how many prompts, responses and pairs people have excluded from the rule, and a digest of their ids."""
    counts = dict(rule.excluded["target"].value_counts().iter_rows())
    named = canonical_json([list(row) for row in rule.excluded.iter_rows()])
    return {f"{target}s": counts.get(target, 0) for target in FLAGGED} | {"digest": digest(named)}


def make_candidates(run: Run, rule: Rule, whole: bool = False) -> None:
    """Make the temporary tables `answers` (one row per response) and `pair_candidates` (one row per prompt and source).

    `whole`: keep all columns of sql/select/mark_answers.sql in `answers`, for the audit.
    """
    match_answers(run, rule, whole)
    choose_pairs(run, rule)


def match_answers(run: Run, rule: Rule, whole: bool = False) -> None:
    """Make the temporary tables `answers` and `matched`, the candidates before any rule about margins or lengths."""
    mark_answers(run, rule, whole)
    match_marked(run, rule)


def mark_answers(run: Run, rule: Rule, whole: bool = False, prompt_no: int | None = None) -> None:
    """Make the temporary table `answers`: everything that does not depend on the rules about margins and lengths.

    `prompt_no`: only the answers to this prompt.
    """
    run.hold("numbered_prompts")  # most statements read it, and it sorts all prompts
    run.keep("excluded", rule.excluded)
    find_faults(run, rule.answers)
    if rule.excluded.height:
        run.make_table("faults", load_sql("select/flag_answers"))
    judge, target = rule.judge, rule.select.target
    counted = list(rule.judges) if judge == MEAN_RANK else [judge] if judge is not None else []
    marks = {"verifier": rule.verifier, "wrong": list(rule.wrong), "judges": counted, "target": target}
    named = rule.select.sides
    _check_sources(run, rule.select)
    marks |= {"chosen": named.chosen if named else None, "rejected": named.rejected if named else None}
    needed = (*NUMBERS, *(OF_VERDICTS if rule.verifier is not None else ()), *(OF_RANKS if judge == MEAN_RANK else ()))
    columns = "*" if whole else ", ".join(needed)
    only = "" if prompt_no is None else f" WHERE prompt_no = {prompt_no}"
    run.make_table("answers", f"SELECT {columns} FROM ({load_sql('select/mark_answers')}){only}", marks, as_written=True)
    run.change_table(load_sql("select/mark_copies"))
    if rule.select.pass_rate_min is not None:
        run.change_table(load_sql("select/mark_lucky"), {"pass_rate_min": rule.select.pass_rate_min})
    if judge == MEAN_RANK:
        run.change_table(load_sql("select/rank_answers"), {"judges": counted})
    run.make_table("flagged_pairs", load_sql("select/find_flagged_pairs"))


def match_marked(run: Run, rule: Rule) -> None:
    """Make the temporary table `matched` from `answers`: the first pair of each prompt and source."""
    slopes = length_slopes(run, rule)
    run.keep("length_slopes", slopes)
    run.make_view("valued", load_sql("select/value_answers") if slopes.height else AS_SCORED)
    run.make_table("matched", load_sql("select/match_answers"), rule.matching)
    if rule.select.length_tier is not None:
        run.make_table("matched", load_sql("select/tier_answers"), {**rule.matching, "tier": rule.select.length_tier})
    if rule.verifier is None and (rule.select.length_adjust or rule.select.length_tier):
        no_rules = dict.fromkeys(("margin_low", "margin_high", "length_ratio_max", "chars_max", "tokens_max"))
        search_pairs(run, {**rule.matching, **no_rules, "rules": False})
        run.make_table("matched", load_sql("select/take_found"))
    if "pair" in rule.excluded["target"]:
        run.make_table("matched", load_sql("select/flag_pairs"))


def search_pairs(run: Run, params: Mapping[str, object], sides: str = "SELECT * FROM matched") -> None:
    """Make the temporary table `found` for the sides of `matched` that the query `sides` returns."""
    run.make_view("searched_sides", sides)
    run.make_table("found", load_sql("select/search_pairs"), params)


def choose_pairs(run: Run, rule: Rule) -> None:
    """Make the temporary table `pair_candidates` from `matched`, by the rules about margins and lengths."""
    select = rule.select
    rules = obeyed(run, rule)
    if rules["tokens_max"] is not None:
        _refuse(run.query(load_sql("select/count_tokenless")))
    run.make_view("settled", "SELECT * FROM matched")
    if select.search == "feasible":
        search_pairs(run, {**rule.matching, **rules, "rules": True})
        run.make_table("searched", load_sql("select/take_found"))
        run.make_view("settled", "SELECT * FROM searched")
    run.make_table("placed", load_sql("select/place_prompts"), {"sft_below": select.sft_below})
    run.make_table("source_answers", load_sql("select/find_source_answers"), {"target": select.target})
    params = {
        **rules,
        "triples": select.target is not None,
        "one_per_source": select.per_prompt == "one_per_source",
        "sft_share": select.sft_share if select.split == "share" else None,
        "length_bins": select.length_bins,
    }
    run.make_table("pair_candidates", load_sql("select/select_pairs"), params)


def obeyed(run: Run, rule: Rule) -> dict[str, float | None]:
    """Return what a pair must obey, as SQL parameters: the window (for the margins of `matched`) and the rules about
    lengths."""
    low, high = margin_window(run, rule)
    difference = rule.select.length_difference_max or LengthDifference()
    lengths = {"length_ratio_max": rule.select.length_ratio_max, "chars_max": difference.chars, "tokens_max": difference.tokens}
    return {"margin_low": low, "margin_high": high, **lengths}


def length_slopes(run: Run, rule: Rule) -> pl.DataFrame:
    """Return what the rule removes from scores per unit of ln characters: model_no, slope; no rows if it removes nothing."""
    share = rule.select.length_adjust
    found = [share * slope for slope in slopes_of(run, by_source=not rule.any_source)] if share else []
    return pl.DataFrame(
        {"model_no": range(1, len(found) + 1), "slope": found}, schema={"model_no": pl.UInt16, "slope": pl.Float64}
    )


def _check_sources(run: Run, select: Select) -> None:
    """Raise BadInput if the rule names a model that is not a source of the run."""
    if select.named_sources:
        known = run.query("SELECT DISTINCT model FROM sources ORDER BY model")["model"].to_list()
        check_named(select, known, "not a source of this run; the sources are")


def check_named(select: Select, known: Collection[str], else_is: str) -> None:
    """Raise BadInput if the rule names a model that is not among the known source models."""
    for place, models in select.named_sources.items():
        for model in models:
            if model not in known:
                raise BadInput(f"select.{place}: '{model}' is {else_is} {', '.join(known)}{did_you_mean(model, known)}")


def check_measured(run: Run, select: Select) -> None:
    """Raise BadInput if the rule limits tokens, and answers that exist before sampling have no token count."""
    if select.length_difference_max is not None and select.length_difference_max.tokens is not None:
        models = {*select.sides.chosen, *select.sides.rejected} if select.sides is not None else None
        _refuse(run.query(load_sql("select/count_unmeasured"), {"models": sorted(models) if models else None}))


def _refuse(lacking: pl.DataFrame) -> None:
    if lacking.height:
        model, n = lacking.row(0)
        without = f"{counted(n, 'answers')} of {model} without a count of tokens"
        raise BadInput(f"select.length_difference_max.tokens: {without}; write {{chars: N}}")


def find_faults(run: Run, answers: Answers) -> None:
    """Make the temporary table `faults`: the answers that the recipe's `curate.answers` leaves out, and why."""
    if answers == Answers():
        run.make_table(
            "faults", "SELECT NULL::VARCHAR AS prompt_id, NULL::VARCHAR AS response_id, NULL::VARCHAR AS fault LIMIT 0"
        )
        return
    length = answers.characters
    params = {
        "language": answers.language,
        "simplified": answers.simplified,
        "traditional": TRADITIONAL,
        "damaged": answers.damaged,
        "repetition": answers.repetition,
        "shortest": length.min if length is not None else None,
        "longest": length.max if length is not None else None,
    }
    run.make_table("faults", load_sql("select/find_faults"), params)


def margin_window(run: Run, rule: Rule) -> tuple[float | None, float | None]:
    """Return both ends of the rule's margin window as numbers, for the margins of `matched`; (None, None) without a window."""
    margin = rule.select.margin
    if margin is None or isinstance(margin, list):
        return (margin[0], margin[1]) if margin else (None, None)
    low, high = margin.quantiles
    return run.query(load_sql("select/select_window"), {"low": low, "high": high}).row(0)


@dataclass(frozen=True)
class Selected:
    """What a rule selected, and the figures that an export reports about it."""

    demos: pl.DataFrame
    pairs: pl.DataFrame
    window: tuple[float | None, float | None]
    """Both ends of the margin window."""
    accuracy: float | None
    """How often the scores that select rank a right answer above a wrong one that it could be paired with; a tie counts
    half."""
    comparisons: int


def select(run: Run, rule: Rule, whole: bool = False) -> Selected:
    """Select pairs and demos by the rule; leaves the tables of `make_candidates`."""
    make_candidates(run, rule, whole)
    worth = rank_right(run, rule)
    return Selected(select_demos(run, rule), select_pairs(run, rule), margin_window(run, rule), *worth)


def rank_right(run: Run, rule: Rule, raw: bool = True) -> tuple[float | None, int]:
    """Return how often the scores of `answers` rank a right answer above a wrong one that it could be paired with (a tie counts
    half; None without a verifier), and the number of comparisons.

    `raw`: use the judge's scores; if False, those that select, without what length adds to them.
    """
    if rule.verifier is None:
        return None, 0
    share, n = run.query(load_sql("select/rank_right"), {"by_source": not rule.any_source, "raw": raw}).row(0)
    return share, n


def select_pairs(run: Run, rule: Rule) -> pl.DataFrame:
    """Return the pairs among the candidates of `make_candidates`."""
    return run.query(*naming_pairs(rule))


def select_demos(run: Run, rule: Rule) -> pl.DataFrame:
    """Return the demos that go with the candidates of `make_candidates`.

    Without a verifier and a judge there are none, unless `select.allow_unjudged` is set.
    """
    return run.query(*naming_demos(rule))


def naming_pairs(rule: Rule) -> tuple[str, dict[str, object]]:
    """Return the statement of `select_pairs` and its parameters."""
    return load_sql("select/name_pairs"), {"judge": rule.judge}


def naming_demos(rule: Rule) -> tuple[str, dict[str, object]]:
    """Return the statement of `select_demos` and its parameters."""
    allowed = rule.looks_at_answers or rule.select.allow_unjudged
    params: dict[str, object] = {"split": rule.select.split, "per_prompt": rule.select.most_demos, "allowed": allowed}
    return load_sql("select/select_demos"), params


def rule_warnings(run: Run, rule: Rule, n_demos: int, n_pairs: int) -> Iterator[str]:
    """Yield warnings about the rule and what it selected; call it after `make_candidates`."""
    if rule.foreign_window is not None:
        yield rule.foreign_window
    if not rule.looks_at_answers:
        taken = "demos are taken by a hash" if rule.select.allow_unjudged else "so none becomes a demo (select.allow_unjudged)"
        yield f"neither a verifier nor a judge looks at the answers, {taken}; add a judge to score"
    elif rule.judge is None and n_demos + n_pairs:
        yield "no judge: where several answers are right, the one that is taken is decided by a hash"
    low, _ = margin_window(run, rule)
    if isinstance(rule.select.margin, Quantiles) and low is not None and low < 0:
        yield (
            f"select.margin: these quantiles begin at {low:.3g}: in some pairs the chosen answer scores lower than the "
            "rejected one; raise the lower quantile"
        )
    if rule.select.split == "pairs_first" and n_pairs and n_demos < FEW_DEMOS * n_pairs:
        yield (
            f"{counted(n_demos, 'demos')} beside {counted(n_pairs, 'pairs')}: split pairs_first leaves next to nothing "
            "for SFT; select: {split: share, sft_share: 0.4} divides the prompts"
        )
