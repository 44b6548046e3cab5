"""A run's selection in sentences, for the card of its export."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from datakit.recipe import MEAN_RANK, Quantiles, Select
from datakit.recipe.select import Sides
from datakit.tables import Row
from datakit.wording import counted


def rules_in_words(facts: Row, kinds: Collection[str]) -> list[str]:
    """Return sentences on how the rows of a run were chosen. `facts`: see given.Given; `kinds`: those exported (sft, dpo, wrpo,
    kto)."""
    select, verified = Select.model_validate(facts["select"]), facts["verifier"] is not None
    rules = [_who_may_be_chosen(facts, select), f"The best of several: {_best(facts)}."]
    if "sft" in kinds:
        rules.append(_which_demos(select))
    if not {"dpo", "wrpo", "kto"}.isdisjoint(kinds):
        rules += _pair_rules(select, facts["margin_window"], verified)
    if select.target is not None:
        rules.append(f"`{select.target}` is the model that is trained on this data: it gives no demos.")
    if "wrpo" in kinds:
        rules.append("Each pair comes with the best answer of the other source models that may be chosen.")
    if "kto" in kinds:
        rules.append(
            "Each pair gives two rows: its chosen answer with the label true, its rejected answer with the label false."
        )
    if flagged := _who_was_excluded(facts["flags"]):
        rules.append(flagged)
    rules.append(_what_is_written(facts["export"]))
    if select.split == "pairs_first":
        able = "with a right answer " if verified else ""
        rules.append(f"Prompts with a valid pair serve DPO, other prompts {able}serve SFT.")
    elif select.split == "hash":
        rules.append(
            f"Every prompt has a place between 0 and 1 by the hash of its messages: below {select.sft_share:g} it serves SFT, "
            "from there on DPO, whatever its answers are."
        )
    else:
        share = f"floor({select.sft_share:g} x N)"
        rules.append(f"Of the N prompts with a valid pair {share} serve SFT, the rest DPO, in a stable hash order.")
    return rules


def _who_may_be_chosen(facts: Row, select: Select) -> str:
    if facts["verifier"]:
        said = f"An answer that may be chosen is complete (not cut off) and verified as right by `{facts['verifier']}`."
        if select.pass_rate_min is None:
            return said
        return f"{said} Of its source's verified answers to the prompt at least {select.pass_rate_min:g} are right."
    if facts["judge"] is None and select.allow_unjudged:
        return "An answer that may be chosen is complete (not cut off); nothing says how good it is: no verifier, no judge."
    return "An answer that may be chosen is complete (not cut off); whether it is right was not verified (no verifier)."


def _who_was_excluded(flags: Row) -> str:
    """Return a clause on what people excluded; empty if nothing was."""
    counts = [counted(flags[name], name) for name in ("prompts", "responses", "pairs") if flags[name]]
    return (
        f"Excluded by people who looked at the data: {', '.join(counts)} (flags, digest `{flags['digest']}`)." if counts else ""
    )


def _best(facts: Row) -> str:
    if facts["judge"] == MEAN_RANK:
        named = ", ".join(f"`{name}`" for name in facts["judges"])
        return f"the highest mean rank (0 to 1), among the answers of its prompt, over the judges {named}"
    if facts["judge"]:
        return f"the highest score of `{facts['judge']}`"
    return "no judge, so one is taken by a stable hash"


def _which_demos(select: Select) -> str:
    match select.most_demos:
        case 1:
            return "A demo is the best such answer of all source models."
        case None:
            return "Demos are all such answers of all source models, each text once a prompt."
        case n:
            return f"Demos are the {n} best such answers of all source models, each text once a prompt."


def _pair_rules(select: Select, window: list[float | str | None] | None, verified: bool) -> list[str]:
    best, worst = ("best right", "worst wrong") if verified else ("best", "worst")
    rules = [f"A pair is the {best} answer against the {worst} answer of {_whose(select)}."]
    if select.length_adjust:
        rules.append(
            f"Scores that select have {select.length_adjust:g} of their slope on the logarithm of the answer's characters "
            "taken out; margins are of these, and `length_slope` says how much that was. Scores in the rows are the judge's."
        )
    if select.length_tier is not None:
        rules.append(
            f"The shortest answer at most {select.length_tier:g} of the largest margin below the {best} one is paired with the "
            f"longest answer as near to the {worst} one."
        )
    if select.search == "feasible":
        rules.append("Where these break a rule, the pair with the largest margin that obeys takes their place.")
    if window is not None:
        low, high = (None if end is None else float(end) for end in window)
        if low is not None and high is not None:
            rules.append(f"The margin (chosen minus rejected score) lies in [{low:g}, {high:g}].")
        else:
            rules.append("The rule has a window for margins, and this run had no margins to set it by.")
    if not verified:
        rules.append("The chosen answer scores higher than the rejected one: equal scores make no pair.")
    if isinstance(select.margin, Quantiles):
        least, most = select.margin.quantiles
        rules.append(f"That window is the quantiles {least:g} and {most:g} of the margins of this run's candidates.")
    if select.length_ratio_max is not None:
        rules.append(f"The longer text has at most {select.length_ratio_max:g} times the characters of the shorter.")
    if (difference := select.length_difference_max) is not None:
        allowed = (
            counted(difference.chars or 0, "characters") if difference.tokens is None else counted(difference.tokens, "tokens")
        )
        rules.append(f"The longer text has at most {allowed} more than the shorter.")
    if select.length_bins is not None:
        rules.append(
            f"In each bin of width {select.length_bins:g} of |ln(chosen/rejected characters)| there are as many pairs with the "
            "longer answer chosen as with the longer answer rejected."
        )
    each = "the pair with the largest margin" if select.per_prompt == "one" else "each source model's pair"
    return [*rules, f"Each prompt gives {each}."]


def _whose(select: Select) -> str:
    if isinstance(select.pairing, Sides):
        return f"source models: chosen of {', '.join(select.pairing.chosen)}, rejected of {', '.join(select.pairing.rejected)}"
    return "the same source model" if select.pairing == "same_source" else "any source models"


def _what_is_written(export: dict[str, Any]) -> str:
    kept = "precedes its answer, as it came" if export["reasoning"] == "keep" else "is left out"
    system = "is the first message of its prompt" if export["system"] == "keep" else "is left out, as is a template"
    return (
        f"What a model thought before its answer {kept}; lengths, verdicts and scores are of the answer alone. A system prompt "
        f"that a source was given {system}."
    )
