"""Sections of a recipe that say which reward models score the answers. The doc of a field is the string under it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from datakit.recipe_sources import Name, Section


class ArmoRM(Section):
    type: Literal["armorm"]
    model: Name
    """A hub id or a model folder."""
    revision: Name | None = None
    """The commit on the hub: scores of different revisions do not mix. A folder's revision is made from its files."""
    dtype: Literal["bfloat16", "float32"] = "bfloat16"
    """Of the backbone; the reward and gating heads are always float32."""
    device: str | None = None
    """cpu, cuda, cuda:1, ...; by default a GPU where there is one."""
    batch_size: Annotated[int, Field(strict=True, ge=1)] = 16


Reward = ArmoRM  # a union discriminated on `type` once there are two
