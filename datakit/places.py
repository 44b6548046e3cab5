"""Where the things are that a recipe names: paths relative to its file, model folders, the embedded recipes."""

from __future__ import annotations

from pathlib import Path

from datakit.errors import RecipeError
from datakit.recipe import LocalReward, Recipe, Reward


def at_path(recipe: Recipe, path: str) -> Path:
    """A path of the recipe, made absolute from the recipe's folder."""
    return (recipe.folder / Path(path).expanduser()).resolve()


def model_folder(recipe: Recipe, model: str) -> Path | None:
    """The folder that a model name means, or None where it is a hub id. A name that looks like a path must exist."""
    path = at_path(recipe, model)
    if path.is_dir():
        return path
    if model.startswith((".", "/", "~")):
        raise RecipeError(f"model folder not found: {model} (looked at {path})")
    return None


def reward_folder(recipe: Recipe, reward: Reward) -> Path | None:
    """The folder of a reward model that runs on this machine; None where it is a hub id, or behind a URL."""
    return model_folder(recipe, reward.model) if isinstance(reward, LocalReward) else None


def bundled_recipe(domain: str) -> Path:
    """The embedded default of a domain: in a wheel inside the package, in a checkout at its root."""
    inside = Path(__file__).parent / "_bundled" / "recipes"
    folder = inside if inside.is_dir() else Path(__file__).parent.parent / "recipes"
    path = folder / f"{domain}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(recipe.stem for recipe in folder.glob("*.yaml")))
        raise RecipeError(f"--domain {domain}: there is no embedded recipe for it, only for {known}; give one with --recipe")
    return path
