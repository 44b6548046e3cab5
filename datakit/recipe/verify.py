"""The sections of a recipe that say how answers are verified, one for each domain with a verifier.

The recipe's domain decides which of them `verify` is. The doc of a field is the string under it.
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

KEY = "<domain>"  # not in files: of_domain adds it for the union below, and no section writes it out


class Unverified(Section):
    """Domains without a verifier have no options."""

    for_domain: Literal[""] = Field(default="", alias="<domain>", exclude=True)


class Verifying(Section):
    """The fields that all verifiers share. Each section also has `for_domain`, its domain."""

    timeout_s: Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)] | None = None
    """Seconds that checking one answer may take before its checker is killed; by default 5 for code, else 2."""
    memory_mb: Annotated[int, Field(strict=True, ge=64)] | None = None
    """The address space of a checking process, if the platform can limit it; by default 2048 for math, else 1024."""
    workers: Annotated[int, Field(strict=True, ge=1)] | None = None
    """The number of worker processes; by default one per core. May change between runs."""


class VerifyMath(Verifying):
    for_domain: Literal["math"] = Field(default="math", alias="<domain>", exclude=True)

    percent: Strictness = "lenient"
    """lenient: a percent sign on only one side is ignored (12% equals 12, and 0.12). strict: 12% is 0.12."""
    units: Strictness = "lenient"
    """lenient: a unit on only one side is ignored. strict: 5 cm is not 5. Units on both sides must always agree."""
    strict: Annotated[bool, Field(strict=True)] = False
    """true: the base of a number (4210_5) and the brackets of a list ((3, 4)) must be on both sides, or on neither. If they are
    on both sides, they must always agree."""
    rounding: Strictness = "lenient"
    """lenient: a decimal gold is matched by what rounds to it at its digits (3.14 by 3.14159, not the other way round), an
    exact gold by a decimal within a millionth. strict: values must be equal."""


class VerifyCode(Verifying):
    for_domain: Literal["code"] = Field(default="code", alias="<domain>", exclude=True)

    libraries: list[Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.]*$")]] = []
    """Packages of this environment that programs and tests may import, loaded once: [numpy]. By default none."""
    float_tolerance: Annotated[float, Field(strict=True, ge=0, lt=1)] = 1e-6
    """How far a printed number may be from one that the expected output writes with a decimal point or an exponent; above 1 it
    is a share of that number. 0: equal in value."""
    static: Literal["fail", "warn"] = "fail"
    """fail: a finding of static analysis (an undefined name, even in code that no test reaches) is a failure. warn: the tests
    decide, and the finding is in the verdict's detail."""
    gold_time: Annotated[float, Field(strict=True, ge=1, le=100)] | None = None
    """If a prompt's own solution is slow, give its answers this many times the solution's time, as EvalPlus does with 4; never
    less than timeout_s, and at most 32 times that. Measured once per prompt in every worker."""
    allow_unsafe: Annotated[bool, Field(strict=True)] = False
    """Run programs even if nothing can confine them: they can then read, write and reach whatever you can."""


class VerifyMcq(Verifying):
    for_domain: Literal["mcq"] = Field(default="mcq", alias="<domain>", exclude=True)

    reference: RightChoice = "auto"
    """How a reference names the right choice: by letter, by index from 0, by number from 1, or by text. auto: told by its form;
    an ambiguous one stops the build."""


class VerifyDialogue(Verifying):
    for_domain: Literal["dialogue"] = Field(default="dialogue", alias="<domain>", exclude=True)

    kb: Name | None = None
    """The knowledge base: JSON Lines, a JSON array (each also as .gz) or Parquet, one entity per row. null: every row of the
    prompts has its own entities, in columns.knowledge."""
    columns: list[Name] = []
    """The columns of the knowledge base to read, in the order in which prompts show them; an entity's name is the first one
    that it has. Empty: all columns of the file."""
    spellings: dict[Name, str] = {}
    """Spellings that are treated as equal when values are looked for: {center: centre, moderately: moderate}."""
    retriever: Name = "count"
    """What finds entities for a conversation. count: the number of values in common; or a folder from train retriever."""
    top: Annotated[int, Field(strict=True, ge=1)] = 5
    """The number of entities that a prompt shows."""
    meta: Annotated[bool, Field(strict=True)] = True
    """true: a prompt says in words the entities' rank, the confidence, and whether they are new. false: they are in the order
    of the file."""
    confidence: Annotated[list[Share], Field(min_length=2, max_length=2)] = [0.25, 0.75]
    """The edges between low, middle and high confidence. For a trained retriever, confidence is the softmax over the entities
    that a prompt shows; for count, the share of the conversation's values that the entity has."""
    revision: Name | None = None
    """A digest of the knowledge base and the options for reading it, part of the verifier's and the judge's names; a build sets
    it."""

    _folder: Path = PrivateAttr(default_factory=Path.cwd)

    @model_validator(mode="after")
    def _in_order(self) -> VerifyDialogue:
        if self.confidence[0] > self.confidence[1]:
            raise ValueError(f"confidence must be [lower, upper] edge (got {self.confidence})")
        return self

    def locate(self, folder: Path) -> None:
        """Set the folder that paths are relative to; called once, when the recipe is parsed."""
        self._folder = folder

    @property
    def kb_path(self) -> Path | None:
        """The path of the knowledge base: relative to the recipe's folder, else below $DATAKIT_DATA, as for copies of
        datasets."""
        if self.kb is None:
            return None
        path, copies = in_folder(self._folder, self.kb), os.environ.get(COPIES)
        return path if path.is_file() or not copies else Path(copies).expanduser() / self.kb

    @property
    def retriever_path(self) -> Path | None:
        """The path of the trained retriever; None for count."""
        return None if self.retriever == "count" else in_folder(self._folder, self.retriever)


Verify = Annotated[VerifyMath | VerifyCode | VerifyMcq | VerifyDialogue | Unverified, Field(discriminator="for_domain")]


OLD_NAMES = ("base", "brackets")
"""Options of math@1 and math@2 that `strict` has replaced."""


def renamed(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options with `strict` instead of those that it has replaced; values that these never had stay, to be
    refused."""
    old = [name for name in OLD_NAMES if given.get(name) in get_args(Strictness)]
    kept = {name: value for name, value in given.items() if name not in old}
    return {"strict": True, **kept} if any(given[name] == "strict" for name in old) else kept


def notes_on(domain: object, given: object) -> list[str]:
    """Return notes on options that a file has under old names."""
    if domain != "math" or not isinstance(given, Mapping) or renamed(given) == given:
        return []
    old = [f"verify.{name}" for name in OLD_NAMES if name in given and name not in renamed(given)]
    strict = str(bool(renamed(given).get("strict"))).lower()
    return [f"{' and '.join(old)}: an old name, read as verify.strict: {strict}; that covers both base and brackets"]


def of_domain(domain: object, given: Mapping[str, Any], union: Any) -> dict[str, Any]:
    """Return a file's `verify` mapping, marked as this domain's section of the union.

    ValueError for an option of another domain; it is left out if it has its default, because recipe.json of version 0.1 has
    all options.
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
