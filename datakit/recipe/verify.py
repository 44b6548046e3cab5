"""The section of a recipe that says how answers are verified. The doc of a field is the string under it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import (
    Field,
)

from datakit.recipe.section import Section

Strictness = Literal["lenient", "strict"]


class Verify(Section):
    timeout_s: Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)] | None = None
    """How long checking one answer may take before its checker is killed; by default 2 for math, 5 for code."""
    memory_mb: Annotated[int, Field(strict=True, ge=64)] | None = None
    """The address space of a process that checks, where the platform can limit it; by default 2048 for math, 1024 for code."""
    percent: Strictness = "lenient"
    """Math. lenient: a percent sign that only one side writes is ignored (12% is 12, and 0.12). strict: 12% is 0.12."""
    units: Strictness = "lenient"
    """Math. lenient: a unit that only one side writes is ignored. strict: 5 cm is not 5. On both sides it must agree."""
    base: Strictness = "lenient"
    """Math. lenient: the base of a number may be left out (4210_5 is 4210). strict: not. On both sides it must agree."""
    brackets: Strictness = "lenient"
    """Math. lenient: (3, 4) is 3, 4. strict: both need brackets, or neither. On both sides they must agree."""
    rounding: Strictness = "lenient"
    """Math. lenient: a gold written as a decimal is met by what rounds to it at its digits (3.14 by 3.14159, not the other way
    round), an exact one by a decimal within a millionth. strict: values must be equal."""
    libraries: list[Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.]*$")]] = []
    """Code. Packages of this environment that programs and tests may import, loaded once: [numpy]. By default none."""
    allow_unsafe: Annotated[bool, Field(strict=True)] = False
    """Code. Run programs also where nothing can confine them: they can then read, write and reach what you can."""
    workers: Annotated[int, Field(strict=True, ge=1)] | None = None
    """Worker processes; by default one a core. May change between runs."""


ONLY_FOR = {
    **dict.fromkeys(("percent", "units", "base", "brackets", "rounding"), ("math",)),
    **dict.fromkeys(("libraries", "allow_unsafe"), ("code",)),
    **dict.fromkeys(("timeout_s", "memory_mb", "workers"), ("math", "code")),
}
"""Options of `verify`, and the domains that read them."""
