"""Keep a selection that `datakit select --set` changed when the next build runs, and tell the user.

recipe.json then also has what the recipe file itself said (`own`): if the file still says the same, the run's selection
stays; if the file has changed since, the file wins.
"""

from __future__ import annotations

from typing import Any

import yaml
from pydantic import BaseModel

from datakit.domains import domain_of
from datakit.errors import RecipeError
from datakit.progress import Monitor
from datakit.recipe import Export, Limits, Recipe, Select, assign
from datakit.select.rule import Rule, rule_in
from datakit.store import Run
from datakit.wording import did_you_mean

SETTABLE: dict[str, type[BaseModel]] = {"select": Select, "limits": Limits, "export": Export}
"""The sections that `datakit select --set` may change."""


def selection_of(recipe: Recipe) -> dict[str, Any]:
    """Return the sections that decide the selection (SECTIONS), as JSON values."""
    dumped = recipe.model_dump(mode="json")
    return {section: dumped[section] for section in SETTABLE}


def keep_selection(run: Run, recipe: Recipe, recipe_selects: bool, monitor: Monitor) -> Recipe:
    """Save the recipe of a build, and return it with the selection that the run is to have.

    `recipe_selects`: go back to the selection of the recipe file.
    """
    own = run.own_selection() if run.has_recipe and not recipe_selects else None
    now = selection_of(recipe)
    if own is None or now == selection_of(run.recipe()):
        run.save_recipe(recipe)
        return recipe
    old = run.recipe()
    own = selection_of(old) | own  # earlier versions did not keep all sections
    lines = changed_lines(own, selection_of(old))
    if now != own:
        monitor.say(
            f"the recipe's select, limits or export have changed, and replace what datakit select --set made:\n{lines}", True
        )
        run.save_recipe(recipe)
        return recipe
    monitor.say(
        "select, limits and export are kept as datakit select --set made them; --recipe-select goes back to the recipe's. "
        f"As lines of the recipe:\n{lines}",
        warning=True,
    )
    kept = recipe.model_copy(update={section: getattr(old, section) for section in SETTABLE})
    run.save_recipe(kept, own)
    return kept


def save_selection(run: Run, recipe: Recipe) -> None:
    """Save the run's recipe with another selection, and keep the one that its recipe file has."""
    own = run.own_selection() or selection_of(run.recipe())
    run.save_recipe(recipe, None if own == selection_of(recipe) else own)


def with_settings(run: Run, settings: list[str]) -> tuple[Recipe, Rule]:
    """Return the run's recipe with the settings (`--set`) applied, and its rule.

    Raises RecipeError for a setting outside select, limits and export.
    """
    for setting in settings:
        if setting.partition(".")[0] not in SETTABLE:
            raise RecipeError(f"--set {setting}: {_not_settable(setting.partition('=')[0].strip())}")
    recipe = assign(run.recipe(), settings)
    return recipe, rule_in(run, recipe, domain_of(recipe))


def _not_settable(field: str) -> str:
    first, _, last = field.rpartition(".")
    for section, kind in SETTABLE.items():
        if not first and last in kind.model_fields:
            return f"a field is written with its section; did you mean '{section}.{last}'?"
    fields = [f"{section}.{name}" for section, kind in SETTABLE.items() for name in kind.model_fields]
    near = did_you_mean(field if first else f"select.{last}", fields)
    return f"only select.*, limits.* and export.* may be set here{near or '; change the recipe and build again'}"


def changed_lines(before: dict[str, Any], after: dict[str, Any]) -> str:
    """Return the fields that differ, as lines of a recipe."""
    lines = []
    for section, fields in after.items():
        changed = {name: value for name, value in fields.items() if value != before.get(section, {}).get(name)}
        if changed:
            lines.append(
                f"{section}: " + yaml.safe_dump(changed, default_flow_style=True, sort_keys=False, width=10_000).strip()
            )
    return "\n".join(lines)
