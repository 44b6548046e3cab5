"""The section of a recipe that says which models read which texts. The doc of a field is the string under it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from datakit.recipe.section import Located, Name, in_folder


class Probe(Located):
    named_by: ClassVar = "pivot"

    texts: Literal["demos", "solutions", "all"] = "demos"
    """demos: the answers that are used for SFT; solutions: the prompts' own worked answers; all: both."""
    top_k: Annotated[int, Field(strict=True, ge=1, le=1000)] = 10
    """The number of likeliest tokens that are stored per position; vLLM allows 20, or its --max-logprobs."""
    by: Literal["sources", "author"] = "sources"
    """sources: every source reads every text. author: each source reads its own answers only, and no pivot is needed; vLLM then
    returns the distributions with the samples."""
    pivot: Name | None = None
    """The model that will be trained, with whose distributions `export.teacher: pairwise` compares: a source, or a model folder
    that is loaded in this process."""

    @model_validator(mode="after")
    def _consistent(self) -> Probe:
        if self.by == "author" and (self.texts != "demos" or self.pivot is not None):
            raise ValueError("by: author reads only answers, each by the model that gave it: leave texts and pivot out")
        return self

    def locate(self, folder: Path) -> None:
        """Find the pivot's folder, if the pivot is a folder."""
        path = in_folder(folder, self.pivot) if self.pivot is not None else None
        self._location = path if path is not None and path.is_dir() else None
