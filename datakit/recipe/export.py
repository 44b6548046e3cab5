"""The section of a recipe that says what the exports hold. The doc of a field is the string under it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from datakit.recipe.section import Name, Section

Language = Annotated[str, Field(pattern=r"^[a-z]{2,3}$")]


class Export(Section):
    reasoning: Literal["drop", "keep"] = "drop"
    """keep: what a model thought goes back in front of its answer, as it came."""
    system: Literal["drop", "keep"] = "drop"
    """keep: the system prompt that a source was given is the first message of its rows' prompts."""
    teacher: Literal["pairwise", "min_ce", "author"] | None = None
    """Whose distributions go to the folder fusion/ beside each text: of all that read it the one with the least negative
    log-likelihood a byte (min_ce); the model that gave the answer (author); for each source a folder of its own with the
    better of source and pivot (pairwise). null: there is no such folder."""
    license: Name | None = None
    """The data's licence for the dataset card, as the hub writes it: apache-2.0, cc-by-4.0, ...; null: unknown."""
    language: list[Language] = []
    """The data's languages for the dataset card, as ISO 639 codes: [en, zh]; none: unknown."""
