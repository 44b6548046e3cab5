"""The sections of a recipe that say how answers are verified, one for each domain with a verifier.

The recipe's domain says which of them `verify` is. The doc of a field is the string under it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, PrivateAttr, model_validator

from datakit.recipe.published_prompts import COPIES
from datakit.recipe.section import Name, Section, Share, in_folder

Strictness = Literal["lenient", "strict"]
RightChoice = Literal["auto", "letter", "index", "number", "text"]

KEY = "<domain>"  # no file has it: of_domain puts it there, for the union below; no section writes it out


class Unverified(Section):
    """A domain without a verifier has no options."""

    for_domain: Literal[""] = Field(default="", alias="<domain>", exclude=True)


class Verifying(Section):
    """What all verifiers have. Each section has `for_domain`, too: whose it is."""

    timeout_s: Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)] | None = None
    """How long checking one answer may take before its checker is killed; by default 5 for code, else 2."""
    memory_mb: Annotated[int, Field(strict=True, ge=64)] | None = None
    """The address space of a process that checks, where the platform can limit it; by default 2048 for math, else 1024."""
    workers: Annotated[int, Field(strict=True, ge=1)] | None = None
    """Worker processes; by default one a core. May change between runs."""


class VerifyMath(Verifying):
    for_domain: Literal["math"] = Field(default="math", alias="<domain>", exclude=True)

    percent: Strictness = "lenient"
    """lenient: a percent sign that only one side writes is ignored (12% is 12, and 0.12). strict: 12% is 0.12."""
    units: Strictness = "lenient"
    """lenient: a unit that only one side writes is ignored. strict: 5 cm is not 5. On both sides it must agree."""
    strict: Annotated[bool, Field(strict=True)] = False
    """The base of a number (4210_5) and the brackets of a list ((3, 4)) must be on both sides, or on neither. Where both sides
    write them, they must always agree."""
    rounding: Strictness = "lenient"
    """lenient: a gold written as a decimal is met by what rounds to it at its digits (3.14 by 3.14159, not the other way
    round), an exact one by a decimal within a millionth. strict: values must be equal."""


class VerifyCode(Verifying):
    for_domain: Literal["code"] = Field(default="code", alias="<domain>", exclude=True)

    libraries: list[Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.]*$")]] = []
    """Packages of this environment that programs and tests may import, loaded once: [numpy]. By default none."""
    float_tolerance: Annotated[float, Field(strict=True, ge=0, lt=1)] = 1e-6
    """How far a printed number may be from one that the expected output writes with a decimal point or an exponent, beyond 1
    as a share of it. 0: equal in value."""
    static: Literal["fail", "warn"] = "fail"
    """fail: what static analysis finds (an undefined name, also where no test comes by) is a failure. warn: the tests decide,
    and the finding stands in the verdict's detail."""
    gold_time: Annotated[float, Field(strict=True, ge=1, le=100)] | None = None
    """Where a prompt's own solution is slow, give its answers so many times its time, as EvalPlus does with 4; never less than
    timeout_s, and at most 32 times that. Measured in every worker once a prompt."""
    allow_unsafe: Annotated[bool, Field(strict=True)] = False
    """Run programs also where nothing can confine them: they can then read, write and reach what you can."""


class VerifyMcq(Verifying):
    for_domain: Literal["mcq"] = Field(default="mcq", alias="<domain>", exclude=True)

    reference: RightChoice = "auto"
    """How a reference says which choice is right: its letter, its index from 0, its number from 1, or its text. auto: as it
    looks; one that may be meant in two ways stops the build."""


class VerifyDialogue(Verifying):
    for_domain: Literal["dialogue"] = Field(default="dialogue", alias="<domain>", exclude=True)

    kb: Name | None = None
    """The knowledge base: JSON Lines, a JSON array (each also as .gz) or Parquet, an entity a row. null: every row of the
    prompts brings its own, in columns.knowledge."""
    columns: list[Name] = []
    """Its columns that are read, in the order in which prompts show them; an entity is named by the first one that it has.
    Empty: all of the file."""
    spellings: dict[Name, str] = {}
    """Words that are one and the same where values are looked for: {center: centre, moderately: moderate}."""
    retriever: Name = "count"
    """What finds entities for a conversation. count: the number of values that both have; or a folder of train retriever."""
    top: Annotated[int, Field(strict=True, ge=1)] = 5
    """How many entities a prompt shows."""
    meta: Annotated[bool, Field(strict=True)] = True
    """Whether a prompt says in words in which order, how surely and whether anew they were found; else they stand as in the
    file."""
    confidence: Annotated[list[Share], Field(min_length=2, max_length=2)] = [0.25, 0.75]
    """The edges between low, middle and high confidence. Of a trained retriever this is the softmax over what a prompt shows;
    of count, the part of the conversation's values that the entity has."""
    revision: Name | None = None
    """The digest of the knowledge base and of how it is read, part of the verifier's and the judge's names; a build sets it."""

    _folder: Path = PrivateAttr(default_factory=Path.cwd)

    @model_validator(mode="after")
    def _in_order(self) -> VerifyDialogue:
        if self.confidence[0] > self.confidence[1]:
            raise ValueError(f"confidence must be [lower, upper] edge (got {self.confidence})")
        return self

    def locate(self, folder: Path) -> None:
        """Paths start from the recipe's folder; called once, when the recipe is parsed."""
        self._folder = folder

    @property
    def kb_path(self) -> Path | None:
        """Where the knowledge base lies: from the recipe's folder on, else below $DATAKIT_DATA, as copies of data sets do."""
        if self.kb is None:
            return None
        path, copies = in_folder(self._folder, self.kb), os.environ.get(COPIES)
        return path if path.is_file() or not copies else Path(copies).expanduser() / self.kb

    @property
    def retriever_path(self) -> Path | None:
        """Where the trained retriever lies; None for count."""
        return None if self.retriever == "count" else in_folder(self._folder, self.retriever)


Verify = Annotated[VerifyMath | VerifyCode | VerifyMcq | VerifyDialogue | Unverified, Field(discriminator="for_domain")]


OLD_NAMES = ("base", "brackets")
"""Options of math@1 and math@2 that `strict` has taken in."""


def renamed(given: Mapping[str, Any]) -> dict[str, Any]:
    """The options with `strict` in the place of those that it has taken in; what these never were stays, and is refused."""
    old = [name for name in OLD_NAMES if given.get(name) in get_args(Strictness)]
    kept = {name: value for name, value in given.items() if name not in old}
    return {"strict": True, **kept} if any(given[name] == "strict" for name in old) else kept


def notes_on(domain: object, given: object) -> list[str]:
    """What is to be said of options that a file gives under old names."""
    if domain != "math" or not isinstance(given, Mapping) or renamed(given) == given:
        return []
    old = [f"verify.{name}" for name in OLD_NAMES if name in given and name not in renamed(given)]
    strict = str(bool(renamed(given).get("strict"))).lower()
    return [f"{' and '.join(old)}: an old name, read as verify.strict: {strict}; it stands for base and brackets together"]


def of_domain(domain: object, given: Mapping[str, Any], union: Any) -> dict[str, Any]:
    """What a file has under `verify`, marked as the section of this domain, one of the union.

    ValueError for an option that is another domain's. At its default it is left out: recipe.json of version 0.1 has all.
    """
    sections = {str(section.model_fields["for_domain"].default): section for section in get_args(union)}
    own = sections.get(str(domain), Unverified)
    kept = {}
    for option, value in renamed(given).items():
        owners = [name for name, section in sections.items() if option in section.model_fields]
        if option in own.model_fields or not owners:
            kept[option] = value
        elif value != sections[owners[0]].model_fields[option].get_default():
            raise ValueError(f"verify.{option} is for domain {' and '.join(owners)}, this recipe's is {domain} (got {value!r})")
    return {**kept, KEY: own.model_fields["for_domain"].default}
