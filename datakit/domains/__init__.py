"""Domains: what is asked, and what a right answer is. One protocol, one dict, one file each.

A fifth domain is one file, one line in DOMAINS, one recipe and one table of test cases.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING

from datakit.domains.code.domain import Code
from datakit.domains.instruct import Instruct
from datakit.domains.math.domain import Math
from datakit.domains.protocol import Domain, Verdict
from datakit.errors import RecipeError
from datakit.recipe import Recipe, Verify

if TYPE_CHECKING:
    from datakit.engine.protocol import Worker

__all__ = ["DOMAINS", "Domain", "Verdict", "domain_of", "verifying_worker"]

DOMAINS: dict[str, Callable[[Verify], Domain]] = {
    "math": Math,
    "code": Code,
    "instruct": Instruct,
}


def domain_of(recipe: Recipe) -> Domain:
    """The recipe's domain, with its options. RecipeError for a domain that there is not."""
    if recipe.domain not in DOMAINS:
        raise RecipeError(f"domain: there is no domain '{recipe.domain}'; known: {', '.join(DOMAINS)}")
    return DOMAINS[recipe.domain](recipe.verify)


def verifying_worker(name: str, options: Verify) -> Worker:
    """A worker that turns response rows into the columns of their verdicts: an engine's start is a partial of this."""
    domain = DOMAINS[name](options)
    domain.warm()
    return lambda rows: (asdict(verdict) for verdict in domain.verify(rows))
