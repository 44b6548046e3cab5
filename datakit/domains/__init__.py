"""Domains: how prompts are read, and what a right answer is. One protocol, one dict, one file each.

A new domain takes one file, one line in DOMAINS, one recipe and one table of test cases; with a verifier, also a section in
recipe/verify.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from importlib import import_module
from typing import TYPE_CHECKING, Any

from datakit.domains.protocol import Domain, Verdict, Verifier
from datakit.errors import RecipeError
from datakit.recipe import Recipe
from datakit.recipe.verify import Verifying
from datakit.tables import Row, Rows
from datakit.wording import did_you_mean

if TYPE_CHECKING:
    from datakit.engine.protocol import Worker

__all__ = ["DOMAINS", "Domain", "Verdict", "Verifier", "domain_of", "verifying_worker"]


def _in(module: str, name: str) -> Callable[[Any], Domain]:
    """Return a factory that imports the class at the first call: compiling all patterns would cost each command 0.1 s."""
    return lambda options: getattr(import_module(f"datakit.domains.{module}"), name)(options)


DOMAINS: dict[str, Callable[[Any], Domain]] = {
    "math": _in("math.domain", "Math"),
    "code": _in("code.domain", "Code"),
    "mcq": _in("mcq.domain", "Mcq"),
    "instruct": _in("instruct", "Instruct"),
    "chinese": _in("chinese", "Chinese"),
    "dialogue": _in("dialogue.domain", "Dialogue"),
}
"""All domains by name; each is made from its own section of recipe/verify.py."""
NO_ANSWER = Verdict("unparseable", detail="the thought never ended")


def domain_of(recipe: Recipe) -> Domain:
    """Return the recipe's domain, with its options. Raises RecipeError if it is unknown."""
    if recipe.domain not in DOMAINS:
        near = did_you_mean(recipe.domain, DOMAINS)
        raise RecipeError(f"domain: unknown domain '{recipe.domain}'; known: {', '.join(DOMAINS)}{near}")
    return DOMAINS[recipe.domain](recipe.verify)


def verifying_worker(name: str, options: Verifying) -> Worker:
    """Return a worker that turns response rows into the columns of their verdicts: an engine's start is a partial of this.

    A thought without an answer (`text` is None) does not reach the verifier: nothing in it can be right or wrong.
    """
    verifier = DOMAINS[name](options).verifier
    if verifier is None:
        raise TypeError(f"domain {name} has no verifier")
    verifier.warm()

    def judge(rows: Rows) -> Iterator[Row]:
        found = verifier.verify([row for row in rows if row["text"] is not None])
        return (asdict(next(found) if row["text"] is not None else NO_ANSWER) for row in rows)

    return judge
