"""The sections of a recipe that say how answers are verified, one for each domain with a verifier.

The recipe's domain says which of them `verify` is. The doc of a field is the string under it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag

from datakit.recipe.section import Section

Strictness = Literal["lenient", "strict"]


class Unverified(Section):
    """A domain without a verifier has no options."""


class Verifying(Section):
    """What all verifiers have."""

    domains: ClassVar[tuple[str, ...]] = ()
    """Whose section this is."""

    timeout_s: Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)] | None = None
    """How long checking one answer may take before its checker is killed; by default 2 for math, 5 for code."""
    memory_mb: Annotated[int, Field(strict=True, ge=64)] | None = None
    """The address space of a process that checks, where the platform can limit it; by default 2048 for math, 1024 for code."""
    workers: Annotated[int, Field(strict=True, ge=1)] | None = None
    """Worker processes; by default one a core. May change between runs."""


class VerifyMath(Verifying):
    domains: ClassVar = ("math",)

    percent: Strictness = "lenient"
    """lenient: a percent sign that only one side writes is ignored (12% is 12, and 0.12). strict: 12% is 0.12."""
    units: Strictness = "lenient"
    """lenient: a unit that only one side writes is ignored. strict: 5 cm is not 5. On both sides it must agree."""
    base: Strictness = "lenient"
    """lenient: the base of a number may be left out (4210_5 is 4210). strict: not. On both sides it must agree."""
    brackets: Strictness = "lenient"
    """lenient: (3, 4) is 3, 4. strict: both need brackets, or neither. On both sides they must agree."""
    rounding: Strictness = "lenient"
    """lenient: a gold written as a decimal is met by what rounds to it at its digits (3.14 by 3.14159, not the other way
    round), an exact one by a decimal within a millionth. strict: values must be equal."""


class VerifyCode(Verifying):
    domains: ClassVar = ("code",)

    libraries: list[Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.]*$")]] = []
    """Packages of this environment that programs and tests may import, loaded once: [numpy]. By default none."""
    allow_unsafe: Annotated[bool, Field(strict=True)] = False
    """Run programs also where nothing can confine them: they can then read, write and reach what you can."""


_OF_DOMAIN = "<domain>"  # a key that no file has: of_domain puts it there, the union below reads it, _without_key takes it out


def _name(value: Any) -> str:
    if isinstance(value, Mapping):
        return str(value.get(_OF_DOMAIN, Unverified.__name__))
    return type(value).__name__ if isinstance(value, Section) else Unverified.__name__


def _without_key(value: Any) -> Any:
    return {option: kept for option, kept in value.items() if option != _OF_DOMAIN} if isinstance(value, Mapping) else value


Verify = Annotated[
    Annotated[VerifyMath, BeforeValidator(_without_key), Tag("VerifyMath")]
    | Annotated[VerifyCode, BeforeValidator(_without_key), Tag("VerifyCode")]
    | Annotated[Unverified, BeforeValidator(_without_key), Tag("Unverified")],
    Discriminator(_name),
]


def of_domain(domain: object, given: Mapping[str, Any]) -> dict[str, Any]:
    """What a file has under `verify`, marked as the section of this domain.

    ValueError for an option that is another domain's. At its default it is left out: recipe.json of version 0.1 has all.
    """
    sections = Verifying.__subclasses__()
    own: type[Section] = next((section for section in sections if domain in section.domains), Unverified)
    kept = {}
    for option, value in given.items():
        owners = [section for section in sections if option in section.model_fields]
        if option in own.model_fields or not owners:
            kept[option] = value
        elif value != owners[0].model_fields[option].get_default():
            named = " and ".join(name for section in owners for name in section.domains)
            raise ValueError(f"verify.{option} is for domain {named}, this recipe's is {domain} (got {value!r})")
    return {**kept, _OF_DOMAIN: own.__name__}
