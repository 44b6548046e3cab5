"""Rules about lengths, and the search for a pair that obeys: each against the rule in plain Python, and on planted bias."""

import gzip
import json
import random
import re
from math import exp, inf, log

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from datakit.audit.lengths import describe_rule
from datakit.domains import domain_of
from datakit.errors import BadInput, RecipeError
from datakit.recipe import parse
from datakit.select.lengths import Slope, common_slope, pooled, shrink, slopes
from datakit.select.rule import check_measured, make_candidates, rule_in, rule_of, select_pairs
from datakit.store import Run, load_sql
from datakit.tables.intervals import wilson
from tests.helpers.folders import ROOT
from tests.helpers.imported_runs import imported_run
from tests.helpers.laws import examples
from tests.select.test_rule import (
    KINDS,
    Answer,
    domain_names,
    in_memory,
    many_answers,
    numbered,
    numbers,
    recipe_of,
    right,
    scores,
    select,
    sized,
    tables_of,
    usable,
    windows,
    wrong,
)
from tests.select.test_rule import domains as domains  # the kinds of domains that stand for real ones

# --------------------------------------------------------------------------------------------- the rules in plain Python


def slope_of():
    """The slope that was taken out of a model's scores, by its name."""
    rows = in_memory().query("SELECT DISTINCT model, slope FROM length_slopes JOIN numbered_sources USING (model_no)").rows()
    return dict(rows)


class PlainSide:
    """One prompt and source (or one prompt) under a rule: which pair it gives."""

    def __init__(self, chosen, rejected, domain, judged, rule, slope, window):
        self.chosen, self.rejected, self.judged, self.rule, self.slope = chosen, rejected, judged, rule, slope
        self.verified = KINDS[domain].verifier is not None
        self.low, self.high = window
        self.largest = None

    def value(self, answer):
        return answer.score - self.slope.get(answer.model, 0.0) * log(max(len(answer.content), 1)) if self.judged else None

    def margin(self, chosen, rejected):
        return self.value(chosen) - self.value(rejected) if self.judged else None

    def may_be(self, chosen, rejected):
        """What every pair must be."""
        scored = self.judged and self.margin(chosen, rejected) > 0 and chosen.score > rejected.score
        return chosen.content != rejected.content and (self.verified or scored)

    def obeys(self, chosen, rejected):
        margin = self.margin(chosen, rejected)
        longer, shorter = sorted((max(len(chosen.content), 1), max(len(rejected.content), 1)), reverse=True)
        difference = (self.rule.get("length_difference_max") or {}).get("chars", inf)
        return (
            (margin is None or self.low <= margin <= self.high)
            and longer <= (self.rule.get("length_ratio_max") or inf) * shorter
            and abs(len(chosen.content) - len(rejected.content)) <= difference
        )

    def extremes(self):
        best = min(self.chosen, key=lambda a: (-self.value(a) if self.judged else 0, a.id))
        worst = min(self.rejected, key=lambda a: (self.value(a) if self.judged else 0, a.id))
        self.largest = self.margin(best, worst)
        tier = self.rule.get("length_tier")
        if tier and self.largest > 0:
            top, bottom = self.value(best) - tier * self.largest, self.value(worst) + tier * self.largest
            near = [a for a in self.chosen if self.value(a) >= top], [a for a in self.rejected if self.value(a) <= bottom]
            best = min(near[0], key=lambda a: (len(a.content), -self.value(a), a.id))
            worst = min(near[1], key=lambda a: (-len(a.content), self.value(a), a.id))
        return best, worst

    def search(self, wanted):
        pairs = [(c, r) for c in self.chosen for r in self.rejected if self.may_be(c, r) and wanted(c, r)]
        return min(pairs, key=lambda p: (-self.margin(*p) if self.judged else 0, p[0].id, p[1].id), default=None)

    def pair(self):
        pair = self.extremes()
        corrected = not self.verified and (self.rule.get("length_adjust") or self.rule.get("length_tier"))
        if corrected and not self.may_be(*pair) and pair[0].content != pair[1].content:
            pair = self.search(lambda c, r: True)
        if pair is not None and self.may_be(*pair) and self.obeys(*pair):
            return pair
        return self.search(self.obeys) if self.rule.get("search") == "feasible" else None


def plain_sides(answers, domain, judged, rule):
    """{(prompt, side): (chosen, rejected)} of every pair, with per_prompt: one_per_source."""
    best, worst = usable(answers, domain, judged)
    pairing = rule.get("pairing", "same_source")
    if isinstance(pairing, dict):
        best = [a for a in best if a.model in pairing["chosen"]]
        worst = [a for a in worst if a.model in pairing["rejected"]]
    found, slope = {}, slope_of()
    window = rule.get("margin") or (-inf, inf)
    for prompt, side in {(a.prompt, a.model if pairing == "same_source" else "") for a in best}:
        mine = [[a for a in group if a.prompt == prompt and side in ("", a.model)] for group in (best, worst)]
        if all(mine) and (pair := PlainSide(mine[0], mine[1], domain, judged, rule, slope, window).pair()):
            found[prompt, side] = pair
    return found


SIDES = ({"chosen": ["a"], "rejected": ["b", "c"]}, {"chosen": ["a", "b"], "rejected": ["b"]})
length_rules = st.fixed_dictionaries(
    {"per_prompt": st.just("one_per_source"), "search": st.sampled_from(["extremes", "feasible", "feasible"])},
    optional={
        "margin": windows,
        "pairing": st.sampled_from(["any_source", *SIDES]),
        "length_ratio_max": st.sampled_from([1.0, 1.5, 2.0, 4.0]),
        "length_difference_max": st.sampled_from([{"chars": n} for n in (0, 1, 3)]),
        "length_adjust": st.sampled_from([0.0, 0.25, 0.5, 1.0]),
        "length_tier": st.sampled_from([0.125, 0.25, 0.5]),
    },
)  # fmt: skip


@examples(40)
@given(many_answers(), domain_names, st.booleans(), length_rules)
def test_the_sql_is_the_rule_about_lengths_in_plain_python(answers, domain, judged, rule):
    if not judged:
        rule = {name: value for name, value in rule.items() if name not in ("margin", "length_adjust", "length_tier")}
    named = {a.model for a in answers}
    if isinstance(sides := rule.get("pairing"), dict) and not {*sides["chosen"], *sides["rejected"]} <= named:
        rule = {**rule, "pairing": "any_source"}
    found = select(answers, domain, judged, **rule)
    pairs = plain_sides(answers, domain, judged, rule)
    assert {(c.id, r.id) for c, r, _ in found.pairs} == {(c.id, r.id) for c, r in pairs.values()}


@examples(5)
@given(many_answers(), domain_names, length_rules)
def test_feasible_keeps_what_obeys_and_finds_more(answers, domain, rule):
    """The pairs of `extremes` stay as they are, and every other lies inside the rules."""
    rule = {**rule, "pairing": "same_source", "length_tier": None}
    strict, searched = (select(answers, domain, **{**rule, "search": search}) for search in ("extremes", "feasible"))
    assert {(c.id, r.id) for c, r, _ in strict.pairs} <= {(c.id, r.id) for c, r, _ in searched.pairs}
    low, high = rule.get("margin") or (-inf, inf)
    for chosen, rejected, margin in searched.pairs:
        assert low <= margin <= high
        lengths = sorted((max(len(chosen.content), 1), max(len(rejected.content), 1)))
        assert lengths[1] <= (rule.get("length_ratio_max") or inf) * lengths[0]


def test_a_rule_that_takes_nothing_out_changes_nothing():
    answers = [right("p", "a", 0.9, text="x" * 40), right("p", "a", 0.8, text="x"), wrong("p", "a", 0.1, text="yy")]
    plain, adjusted = select(answers), select(answers, length_adjust=0.0)
    assert plain.rows.equals(adjusted.rows)
    assert plain.rows["length_slope"].to_list() == [None]


def test_feasible_finds_the_pair_that_the_extremes_hide():
    answers = [
        right("p", "a", 0.9, text="x" * 40), right("p", "a", 0.7, text="x" * 10),
        wrong("p", "a", 0.1, text="y" * 4), wrong("p", "a", 0.3, text="y" * 12),
    ]  # fmt: skip
    assert select(answers, length_ratio_max=2).lost == {("p", "a"): "length ratio"}
    assert scores(select(answers, length_ratio_max=2, search="feasible")) == {"p": ("a", 0.7, "a", 0.3)}
    lost = select(answers, length_ratio_max=2, margin=[0.7, 1.0], search="feasible").lost
    assert lost == {("p", "a"): "length ratio"}  # 0.8 and 0.6 with others' lengths: none that reaches 0.7 obeys
    assert select(answers, margin=[0.85, 1.0], search="feasible").lost == {("p", "a"): "margin below the window"}


def test_the_judges_score_and_the_slope_stand_in_the_pair():
    answers = [Answer(f"p{at}", "a", 0.1 * n, text="x" * 10 * n) for at in range(5) for n in range(1, 5)]
    [row, *_] = select(answers, "unchecked", length_adjust=0.5, margin=None).rows.to_dicts()
    assert row["judge"] == "armorm@1"
    assert row["margin"] == pytest.approx(
        row["chosen_score"] - row["rejected_score"] - row["length_slope"] * row["log_length_ratio"]
    )
    assert row["length_slope"] > 0


@pytest.mark.parametrize(("tokens", "kept"), [({"tokens": 5}, True), ({"tokens": 4}, False)])
def test_a_difference_in_tokens(tokens, kept):
    answers = numbered(sized("p", 20, 10))
    tables = tables_of(answers, "checked", 9, ())
    for row, n in zip(tables["responses"], (12, 7), strict=True):
        row["n_tokens"] = n
    run, recipe = in_memory(), recipe_of("checked", length_difference_max=tokens)
    run.fill(tables)
    rule = rule_of(recipe, domain_of(recipe))
    make_candidates(run, rule)
    assert (select_pairs(run, rule).height == 1) == kept


def test_tokens_that_nobody_counted_are_an_error():
    with pytest.raises(
        BadInput, match=r"length_difference_max.tokens: 2 answers of a without a count of tokens; write \{chars: N\}"
    ):
        select(sized("p", 20, 10), length_difference_max={"tokens": 5})


@pytest.mark.parametrize(("rule", "refused"), [
    ({"length_difference_max": {"tokens": 5}}, "a"),
    ({"length_difference_max": {"tokens": 5}, "pairing": {"chosen": ["b"], "rejected": ["a"]}}, "a"),
    ({"length_difference_max": {"tokens": 5}, "pairing": {"chosen": ["b"], "rejected": ["b"]}}, None),
    ({"length_difference_max": {"tokens": 5}, "target": "b"}, None),
    ({"length_difference_max": {"chars": 5}}, None),
], ids=str)  # fmt: skip
def test_what_is_there_without_tokens_is_told_before_anything_is_sampled(rule, refused):
    answers = numbered([*sized("p", 20, 10), right("p", "b", 0.5), wrong("p", "b", 0.1)])
    tables = tables_of(answers, "checked", 9, ())
    for row in tables["responses"]:
        row["n_tokens"] = 7 if row["model"] == "b" else None
    in_memory().fill(tables)
    if refused is None:
        check_measured(in_memory(), recipe_of("checked", **rule).select)
    else:
        with pytest.raises(BadInput, match=f"2 answers of {refused} without a count of tokens"):
            check_measured(in_memory(), recipe_of("checked", **rule).select)


def test_a_side_that_no_source_has_is_an_error():
    with pytest.raises(BadInput, match=r"select\.pairing\.rejected: 'z' is not a source of this run; the sources are a"):
        select(sized("p", 20, 10), pairing={"chosen": ["a"], "rejected": ["z"]})


@pytest.mark.parametrize(("field", "value"), [
    ("length_difference_max", {}), ("length_difference_max", {"chars": 1, "tokens": 1}), ("length_adjust", 1.5),
    ("length_tier", 0), ("length_tier", 0.6), ("pairing", {"chosen": [], "rejected": ["a"]}), ("pairing", "other"),
    ("search", "best"),
])  # fmt: skip
def test_what_a_recipe_cannot_say(field, value):
    with pytest.raises(RecipeError, match=f"select.{field}|length_difference_max takes one unit"):
        recipe_of("checked", **{field: value})


@pytest.mark.parametrize("field", ["length_adjust", "length_tier"])
def test_scores_are_needed(field):
    with pytest.raises(RecipeError, match=f"select.{field} must be null without a judge"):
        recipe_of("checked", judged=False, **{field: 0.25})


def test_demos_follow_the_scores_that_select():
    """Taken out of its length the short answer is the better one."""
    answers = [Answer(f"p{at}", "a", 0.1 * n, text="x" * 3**n) for at in range(20) for n in range(1, 4)]
    answers += [right("q", "a", 0.30, text="x" * 27), right("q", "a", 0.29, text="x" * 3)]
    taken = {adjust: select(answers, "unchecked", length_adjust=adjust, split="hash", sft_share=1.0) for adjust in (None, 1.0)}
    by = {adjust: next(demo for demo in found.demos if demo.prompt == "q") for adjust, found in taken.items()}
    assert (by[None].score, by[1.0].score) == (0.30, 0.29)


# --------------------------------------------------------------------------------------------------------- slopes


def within(answers, key, others=()):
    """The slope by sums within groups; with `others` the means of these groups go, too, in turns, until nothing moves."""
    rows = [[log(max(len(a.content), 1)), a.score] for a in answers]
    groupings = [[[at for at, a in enumerate(answers) if group(a) == name] for name in {group(a) for a in answers}]
                 for group in (key, *others)]  # fmt: skip
    for _ in range(1 if not others else 400):
        for groups in groupings:
            for members in groups:
                for column in (0, 1):
                    mean = sum(rows[at][column] for at in members) / len(members)
                    for at in members:
                        rows[at][column] -= mean
    sxx = sum(x * x for x, _ in rows)
    return sum(x * y for x, y in rows) / sxx if sxx > 1e-9 else None


scored_answers = st.lists(
    st.builds(Answer, prompt=st.sampled_from("pqr"), model=st.sampled_from("abc"), score=numbers,
              text=st.integers(1, 60).map("z".__mul__)),
    min_size=2, max_size=24, unique_by=lambda a: (a.prompt, a.model, a.text),
)  # fmt: skip


@examples(15)
@given(scored_answers)
def test_slopes_are_those_of_least_squares(answers):
    in_memory().fill(tables_of(numbered(answers), "unchecked", 99, ()))
    recipe = recipe_of("unchecked")
    make_candidates(in_memory(), rule_of(recipe, domain_of(recipe)))
    expected = within(answers, lambda a: a.prompt, [lambda a: a.model])
    if expected is not None:
        assert common_slope(in_memory()) == pytest.approx(expected, rel=1e-5, abs=1e-7)
    found = slopes(in_memory(), by_source=True)
    pooled_slope = within(answers, lambda a: (a.prompt, a.model))
    if len(found) == 1 and pooled_slope is not None:
        assert found == [pytest.approx(pooled_slope, rel=1e-6, abs=1e-9)]


def test_own_slopes_are_drawn_to_the_common_one():
    """Two sources that differ by much more than chance keep theirs; two that do not share one."""
    apart = [Slope(1, 100.0, 20.0, 4.1, 200, 40), Slope(2, 100.0, 60.0, 36.2, 200, 40)]
    assert pooled(apart) == 0.4
    assert shrink(apart)[1] == pytest.approx(0.2, abs=0.001) and shrink(apart)[2] == pytest.approx(0.6, abs=0.001)
    alike = [Slope(1, 1.0, 0.2, 9.0, 30, 10), Slope(2, 1.0, 0.4, 9.0, 30, 10)]
    assert shrink(alike) == {1: pytest.approx(0.3), 2: pytest.approx(0.3)}
    assert shrink([Slope(1, 0.0, 0.0, 1.0, 9, 3)]) == {1: 0.0}


# ------------------------------------------------------------------------------------------------------- planted bias


def planted(bias, n_prompts=400, models="abcd", n=5, seed=3):
    """Answers whose score is quality and `bias` by the logarithm of length; length and quality have nothing in common."""
    chance = random.Random(seed)
    answers = []
    for at in range(n_prompts):
        for number, model in enumerate(models):
            for index in range(n):
                length = round(exp(chance.gauss(5.0 + 0.2 * (number % 2), 0.35)))
                score = chance.gauss(0.3 * (number // 2), 1.0) + bias * log(length)
                answers.append(Answer(f"p{at:04}", model, score, text="z" * length + f" {at} {index}"))
    return answers


@pytest.mark.parametrize("bias", [0.8, 1.6])
def test_a_planted_slope_is_found_and_taken_out(bias):
    """Length and quality have nothing in common: with the slope gone the longer answer is chosen in half of the pairs."""
    run = in_memory()
    run.fill(tables_of(numbered(planted(bias)), "unchecked", 99, ()))
    for pairing in ("same_source", "any_source"):
        without, adjusted = (pairs_of(run, pairing, adjust) for adjust in (None, 1.0))
        assert list(slope_of().values()) == [pytest.approx(bias, rel=0.05)] * 4
        assert (without["log_length_ratio"] > 0).mean() > 0.55
        longer = int((adjusted["log_length_ratio"] > 0).sum())
        low, high = wilson(longer / adjusted.height, adjusted.height)
        assert low <= 0.5 <= high, longer / adjusted.height
        assert adjusted.height == without.height
        assert (adjusted["chosen_score"] > adjusted["rejected_score"]).all() and (adjusted["margin"] > 0).all()


def pairs_of(run, pairing, adjust):
    recipe = recipe_of("unchecked", pairing=pairing, per_prompt="one_per_source", length_adjust=adjust)
    rule = rule_of(recipe, domain_of(recipe))
    make_candidates(run, rule)
    return select_pairs(run, rule)


# ------------------------------------------------------------------------------------------------------------ real scores


RULE = re.compile(r"(`[a-z_]+: .*?`|none|window \[.*?\]|feasible)")


def rows_of_the_document():
    """The settings of each row of the table in docs/selection.md, and what it says that they give."""
    text = (ROOT / "docs" / "selection.md").read_text(encoding="utf-8")
    table = text[text.index("| rule | pairs | longer |") :].split("\n\n")[0].splitlines()[2:]
    for line in table:
        rule, *numbers_of_it = (cell.strip() for cell in line.strip("|").split("|"))
        settings = {}
        for part in RULE.findall(rule):
            if part != "none":
                said = {"feasible": "search: feasible"}.get(part, part.strip("`").replace("window ", "margin: "))
                settings |= yaml.safe_load(said)
        yield settings, numbers_of_it


@pytest.mark.long
def test_the_table_of_the_document_is_what_the_product_gives(tmp_path, shared_data):
    """390 prompts, answers of eight models, scores between 0 and 1; with search: feasible a ratio of 1.5 keeps all but one."""
    names = {"prompt_id": "prompt_id", "prompt": "prompt", "source_model": "model", "sample_idx": "sample_index"}
    names |= {"response": "text", "score": "score"}
    raw = gzip.decompress((shared_data / "responses" / "instruct_scored.jsonl.gz").read_bytes())
    rows = [{ours: row[theirs] for theirs, ours in names.items()} for row in map(json.loads, raw.splitlines())]
    folder = imported_run(tmp_path / "run", rows, {"columns": {}}, select={"pairing": "any_source", "margin": None})
    kept = {}
    with Run.open(folder) as run:
        rules = []
        for settings, told in rows_of_the_document():
            recipe = run.recipe().model_dump(mode="json")
            recipe["select"] |= settings
            parsed = parse(recipe, "r", folder)
            rules.append((settings, told, rule_in(run, parsed, domain_of(parsed))))
        for settings, told, rule in rules:
            make_candidates(run, rule)
            if not kept:
                run.make_table("current_pairs", load_sql("audit/current_pairs"))
            found = describe_rule(run, rule, settings)
            kept[str(settings)] = found.pairs
            same = "-" if told[-1] == "-" else str(found.same_pairs)
            ratio, margin = f"{found.length_ratio_geomean:.2f}", f"{found.margin_mean:.3f}"
            pairs, longer, *others = told
            assert [str(found.pairs), ratio, margin, same] == [pairs, *others], settings
            assert found.longer_share == pytest.approx(float(longer), abs=0.00501), settings
    assert kept[str({"length_ratio_max": 1.5, "search": "feasible"})] >= 389
