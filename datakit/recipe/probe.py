"""The section of a recipe that says who reads which texts. The doc of a field is the string under it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from datakit.recipe.section import Located, Name, in_folder


class Probe(Located):
    named_by: ClassVar = "pivot"

    texts: Literal["demos", "solutions", "all"] = "demos"
    """demos: the answers that serve SFT; solutions: the prompts' own worked answers; all: both."""
    top_k: Annotated[int, Field(strict=True, ge=1, le=1000)] = 10
    """So many of the likeliest tokens at each place; vLLM allows 20, or what its --max-logprobs says."""
    by: Literal["sources", "author"] = "sources"
    """sources: every source reads every text. author: each reads the answers that it gave itself, and no pivot is needed;
    vLLM then gives the distributions with the samples."""
    pivot: Name | None = None
    """The model that is trained, whose own distributions `export.teacher: pairwise` compares with: a source, or a model folder,
    which is read in this process."""

    @model_validator(mode="after")
    def _consistent(self) -> Probe:
        if self.by == "author" and (self.texts != "demos" or self.pivot is not None):
            raise ValueError("by: author reads answers only, each by the model that gave it: leave texts and pivot out")
        return self

    def locate(self, folder: Path) -> None:
        """The pivot's folder, where it is one."""
        path = in_folder(folder, self.pivot) if self.pivot is not None else None
        self._location = path if path is not None and path.is_dir() else None
