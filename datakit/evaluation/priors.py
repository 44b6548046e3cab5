"""Further inputs of AlpacaEval's regression, from the user's copy of its file: gamed baselines and difficulties.

The file (df_gamed.csv of tatsu-lab/alpaca_eval on the hub) is not for commercial use, and no part of it is included here. It
has a row per gamed baseline and instruction: index, preference, std_delta_len, instruction_difficulty. `index` numbers the
instructions.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from datakit.collect.reading import with_prompts
from datakit.collect.rows import read_rows
from datakit.collect.tally import Tally
from datakit.domains import domain_of
from datakit.errors import BadInput
from datakit.evaluation.contest import Contest
from datakit.evaluation.length_control import Gamed
from datakit.recipe import Recipe
from datakit.recipe.published_prompts import COPIES


@dataclass(frozen=True)
class Priors:
    """The priors of length_controlled."""

    gamed: Gamed
    difficulties: Mapping[str, float]
    """The difficulty by prompt."""


def read_priors(contest: Contest) -> Priors | None:
    """Read the priors; None without a copy of the file. Raises BadInput if it does not belong to this benchmark."""
    named, folder = contest.benchmark.length_control, os.environ.get(COPIES, "")
    path = Path(folder).expanduser() / (named or "")
    if named is None or not folder or not path.is_file():
        return None
    columns = ("index", "preference", "std_delta_len", "instruction_difficulty")
    try:
        rows = pl.read_csv(path, columns=list(columns)).cast({"index": pl.Int64, **dict.fromkeys(columns[1:], pl.Float64)})
    except (OSError, pl.exceptions.PolarsError) as error:
        raise BadInput(f"{path}: columns {', '.join(columns)} are wanted ({str(error).splitlines()[0]})") from error
    difficulty = dict(rows.unique("index", keep="first").select("index", "instruction_difficulty").iter_rows())
    ordered = prompts_in_order(contest.recipe)
    if missing := set(range(len(ordered))) - set(difficulty):
        raise BadInput(f"{path}: it has no instruction {min(missing)}, and {contest.benchmark.name} has {len(ordered):,}")
    gamed = Gamed(*(rows[name].to_numpy() for name in columns[1:]))
    return Priors(gamed, {prompt_id: float(difficulty[at]) for at, prompt_id in enumerate(ordered)})


def prompts_in_order(recipe: Recipe) -> list[str]:
    """Return the ids of all prompts, in the order of the data."""
    return [
        prompt.prompt_id
        for section in recipe.prompts
        for tally in [Tally(section)]
        for _, prompt in with_prompts(read_rows(section, tally), tally, domain_of(recipe).read)
    ]
