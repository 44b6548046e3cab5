"""The section of a recipe that says what the exports hold. The doc of a field is the string under it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from datakit.recipe.section import Name, Section

Language = Annotated[str, Field(pattern=r"^[a-z]{2,3}$")]


class Export(Section):
    reasoning: Literal["drop", "keep"] = "drop"
    """keep: a model's thought is put back in front of its answer, in its original form."""
    system: Literal["drop", "keep"] = "drop"
    """keep: the system prompt that a source was given is the first message of its rows' prompts."""
    teacher: Literal["pairwise", "min_ce", "author"] | None = None
    """The model whose distributions are written to the folder fusion/ beside each text. min_ce: of all that read it, the one
    with the lowest negative log-likelihood per byte. author: the model that gave the answer. pairwise: one folder per source,
    with the better of source and pivot. null: no such folder."""
    license: Name | None = None
    """The licence of the data for the dataset card, in the hub's spelling: apache-2.0, cc-by-4.0, ...; null: unknown."""
    language: list[Language] = []
    """The languages of the data for the dataset card, as ISO 639 codes: [en, zh]; empty: unknown."""
