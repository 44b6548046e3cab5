"""Explain in a sentence or two why two answers are a pair, or why not."""

from __future__ import annotations

from dataclasses import dataclass

from datakit.select.rule import Rule, margin_window
from datakit.store import Run
from datakit.tables import Row
from datakit.wording import counted, decimal, span


@dataclass(frozen=True)
class Reasons:
    """A rule, and its margin window as numbers in this run."""

    rule: Rule
    window: tuple[float | None, float | None]

    def of(self, one: Row) -> str:
        """Return the reason for a candidate with its context (sql/browse/beside.sql)."""
        if one["lost"] is not None:
            return f"No pair: {one['lost']}{self._held_against(one)}. {self._there(one)}."
        return f"{self._there(one)}: {self._taken()}{self._inside(one)}."

    def _there(self, one: Row) -> str:
        whose = "" if self.rule.any_source else f" of {one['model']}"
        there = f"Of {counted(one['n_answers'], 'answers')}{whose}"
        if self.rule.verifier is None:
            return f"{there} {one['n_right']:,} may be used"
        rest = one["n_answers"] - one["n_right"] - one["n_wrong"]
        no_use = f" ({rest:,} of no use: a text again, cut off, or not judged)" if rest else ""
        return f"{there} {one['n_right']:,} {'is' if one['n_right'] == 1 else 'are'} right and {one['n_wrong']:,} wrong{no_use}"

    def _taken(self) -> str:
        sides = ("the right one", "the wrong one") if self.rule.verifier is not None else ("the one", "the one")
        if self.rule.judge is None:
            return f"{sides[0]} against {sides[1]} that come first by their ids, for no judge scores"
        select = self.rule.select
        settings = {"length_adjust": select.length_adjust, "length_tier": select.length_tier}
        named = [f"{name} {value:g}" for name, value in settings.items() if value]
        named += ["search feasible"] if select.search == "feasible" else []
        how = f" (as select has it: {', '.join(named)})" if named else ""
        return f"{sides[0]} with the highest score against {sides[1]} with the lowest{how}"

    def _inside(self, one: Row) -> str:
        if one["margin"] is None:
            return ""
        bounded = any(end is not None for end in self.window)
        return f"; margin {decimal(one['margin'])}" + f" in the window {span(*self.window, decimal)}" * bounded

    def _held_against(self, one: Row) -> str:
        """Return the numbers that the rule about margins or lengths compared, as text."""
        lost: str = one["lost"]
        if lost.startswith("margin"):
            return f" {span(*self.window, decimal)} (it is {decimal(one['margin'])})"
        if lost in ("length ratio", "length difference"):
            most = self.rule.select.model_dump(mode="json", exclude_none=True)[f"{lost.replace(' ', '_')}_max"]
            return f" ({one['chosen_chars']:,} against {one['rejected_chars']:,} characters; at most {most})"
        return ""


def reasons(run: Run, rule: Rule) -> Reasons:
    """Return the reasons for a rule. Reads the tables of `make_candidates`."""
    return Reasons(rule, margin_window(run, rule))
