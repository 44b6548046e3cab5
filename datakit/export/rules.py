"""A run's selection in sentences, for the card of its export."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from datakit.recipe import MEAN_RANK, Quantiles, Select
from datakit.recipe.select import Sides
from datakit.tables import IMPORTED, Row
from datakit.wording import counted

NO_PAIRS = "No pair is possible: neither a verifier nor a judge says which of two answers is better."


def rules_in_words(facts: Row, kinds: Collection[str]) -> list[str]:
    """Return sentences on how the rows of a run were chosen. `facts`: see given.Given; `kinds`: those exported (sft, dpo, wrpo,
    kto, fusion)."""
    select, verified, judged = Select.model_validate(facts["select"]), facts["verifier"] is not None, facts["judge"] is not None
    rules = [_who_may_be_chosen(facts, select)]
    if any(source["sampling"] == IMPORTED for source in facts["sources"]):
        rules.append("Imported answers that do not say how they ended count as complete.")
    rules.append(_best(facts))
    if "sft" in kinds or ("fusion" in kinds and facts["recipe"]["probe"]["texts"] != "solutions"):
        rules.append(_which_demos(select, judged, verified or judged or select.allow_unjudged))
    if not {"dpo", "wrpo", "kto"}.isdisjoint(kinds):
        rules += _pair_rules(select, facts["margin_window"], verified, judged) if verified or judged else [NO_PAIRS]
    if select.target is not None:
        rules.append(f"`{select.target}` is the model that is trained on this data: it gives no demos.")
    if "wrpo" in kinds:
        source = "the best answer" if judged else "one answer, taken by the hash,"
        rules.append(f"Each pair comes with {source} of the other source models that may be chosen.")
    if "kto" in kinds:
        rules.append(
            "Each pair gives two rows: its chosen answer with the label true, its rejected answer with the label false."
        )
    if flagged := _who_was_excluded(facts["flags"]):
        rules.append(flagged)
    return [*rules, _what_is_written(facts, verified, judged), *_split(select, verified, judged)]


def _split(select: Select, verified: bool, judged: bool) -> Iterator[str]:
    """Yield sentences on which prompts serve which phase."""
    if select.split == "hash":
        yield (
            f"Every prompt has a place between 0 and 1 by the hash of its messages: below {select.sft_share:g} it serves SFT, "
            "from there on DPO, whatever its answers are."
        )
    elif select.split == "share" and (verified or judged):
        share = f"floor({select.sft_share:g} x N)"
        yield f"Of the N prompts with a valid pair {share} serve SFT, the rest DPO, in a stable hash order."
    elif verified or judged:
        able = "with a right answer " if verified else ""
        yield f"Prompts with a valid pair serve DPO, other prompts {able}serve SFT."


def _who_may_be_chosen(facts: Row, select: Select) -> str:
    if facts["verifier"]:
        said = f"An answer that may be chosen is complete (not cut off) and verified as right by `{facts['verifier']}`."
        if select.pass_rate_min is None:
            return said
        return f"{said} Of its source's verified answers to the prompt at least {select.pass_rate_min:g} are right."
    if facts["judge"] is None:
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
        return f"The best of several: the highest mean rank (0 to 1), among the answers of its prompt, over the judges {named}."
    if facts["judge"]:
        return f"The best of several: the highest score of `{facts['judge']}`."
    return "No judge scored these answers: of several that may be chosen one is taken by a stable hash."


def _which_demos(select: Select, judged: bool, allowed: bool) -> str:
    if not allowed:
        return "Neither a verifier nor a judge has looked at the answers, so none of them is a demo."
    whose = f"of {', '.join(select.pairing.chosen)}" if isinstance(select.pairing, Sides) else "of all source models"
    match select.most_demos:
        case 1:
            return f"A demo is {'the best' if judged else 'one'} such answer {whose}."
        case None:
            return f"Demos are all such answers {whose}, each text once a prompt."
        case n:
            which = f"the {n} best such answers {whose}" if judged else f"{n} such answers {whose}, taken by the hash"
            return f"Demos are {which}, each text once a prompt."


def _pair_rules(select: Select, window: list[float | str | None] | None, verified: bool, judged: bool) -> list[str]:
    best, worst = ("best right", "worst wrong") if verified else ("best", "worst")
    rules = [f"A pair is the {best} answer against the {worst} answer of {_whose(select)}."]
    if not judged:
        rules = [f"A pair is a right answer against a wrong answer of {_whose(select)}, each taken by the hash."]
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
        other = "the pair with the largest margin" if judged else "a pair"
        rules.append(f"Where these break a rule, {other} that obeys takes their place.")
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
    return [*rules, f"Each prompt gives {_how_many(select, judged)}."]


def _how_many(select: Select, judged: bool) -> str:
    """Return which pairs a prompt gives, as a clause."""
    if select.pairing != "same_source" or select.target is not None:
        return "one pair"
    if select.per_prompt == "one_per_source":
        return "each source model's pair"
    return "the pair with the largest margin" if judged else "the pair of one source model, taken by the hash"


def _whose(select: Select) -> str:
    if isinstance(select.pairing, Sides):
        return f"source models: chosen of {', '.join(select.pairing.chosen)}, rejected of {', '.join(select.pairing.rejected)}"
    if select.target is not None:
        return f"`{select.target}`"
    return "the same source model" if select.pairing == "same_source" else "any source models"


def _what_is_written(facts: Row, verified: bool, judged: bool) -> str:
    export: Row = facts["export"]
    kept = "precedes its answer, as it came" if export["reasoning"] == "keep" else "is left out"
    measured = ["lengths", *(["verdicts"] if verified else []), *(["scores"] if judged else [])]
    said = f"What a model thought before its answer {kept}; what is measured ({', '.join(measured)}) is of the answer alone."
    sampled = [source for source in facts["recipe"]["sources"] if source["type"] != "responses"]
    if not any(source["system"] or source["template"] for source in sampled):
        return said
    system = "is the first message of its prompt" if export["system"] == "keep" else "is left out, as is a template"
    return f"{said} A system prompt that a source was given {system}."
