"""The section of a recipe that says what the exports hold. The doc of a field is the string under it."""

from __future__ import annotations

from typing import Literal

from datakit.recipe.section import Section


class Export(Section):
    reasoning: Literal["drop", "keep"] = "drop"
    """keep: what a model thought goes back in front of its answer, as it came."""
