"""Where the things are that a recipe names: paths relative to its file, model folders, the embedded recipes."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TypeVar

from datakit.errors import RecipeError
from datakit.recipe.recipe import Recipe
from datakit.recipe.rewards import LLMJudge, LocalReward, RemoteReward, Reward, Served
from datakit.recipe.sources import FilePrompts, HubPrompts, ResponsesSource, ServeSource, Source
from datakit.tables import fingerprint


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
    inside = Path(__file__).parents[1] / "_bundled" / "recipes"
    folder = inside if inside.is_dir() else Path(__file__).parents[2] / "recipes"
    path = folder / f"{domain}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(recipe.stem for recipe in folder.glob("*.yaml")))
        raise RecipeError(f"--domain {domain}: there is no embedded recipe for it, only for {known}; give one with --recipe")
    return path


Pinned = TypeVar("Pinned", ServeSource, LocalReward)


def resolve(recipe: Recipe) -> Recipe:
    """The recipe with a revision for every model that is a folder, and for every file with scores that are imported, and with
    the text of every rubric.
    """

    def pinned(section: Pinned) -> Pinned:
        folder = model_folder(recipe, section.model)
        if folder is None or section.revision is not None:
            return section
        return section.model_copy(update={"revision": fingerprint(folder)})

    def with_revision(source: Source) -> Source:
        if isinstance(source, ResponsesSource) and source.judge is not None:
            return source.model_copy(update={"revision": scores_revision(source, recipe)})
        return pinned(source) if isinstance(source, ServeSource) else source

    def settled(reward: Reward) -> LocalReward | RemoteReward:
        if isinstance(reward, LLMJudge):
            return _with_rubric(reward, recipe)
        return reward if isinstance(reward, Served) else pinned(reward)

    sources = [with_revision(source) for source in recipe.sources]
    return recipe.model_copy(update={"sources": sources, "score": [settled(reward) for reward in recipe.score]})


def _with_rubric(reward: LLMJudge, recipe: Recipe) -> LLMJudge:
    if reward.rubric_path is None:
        return reward
    path = at_path(recipe, reward.rubric_path)
    try:
        rubric = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"score: rubric_path: {path} cannot be read: {error}") from error
    if not rubric:
        raise RecipeError(f"score: rubric_path: {path} is empty; write down what makes an answer good")
    return reward.model_copy(update={"rubric": rubric, "rubric_path": None})


def source_name(source: FilePrompts | HubPrompts | ResponsesSource) -> str:
    """How messages and the `source` column call it: the file's or the dataset's name as the recipe writes it."""
    if isinstance(source, FilePrompts):
        return source.path
    return source.dataset or (source.path or "" if isinstance(source, ResponsesSource) else "")


def scores_revision(source: ResponsesSource, recipe: Recipe) -> str | None:
    """The version of a source's imported scores: a digest of its file or folder, of a dataset on the hub its revision.

    None for a file that is not there: reading it says so. RecipeError for a dataset without a revision.
    """
    path = at_path(recipe, source.path or source.dataset or "")
    if source.path is not None:
        if not path.is_file():
            return None
        with path.open("rb") as file:
            return "local-" + hashlib.file_digest(file, "sha256").hexdigest()[:12]
    if path.is_dir():
        return fingerprint(path)
    if source.revision is None:
        raise RecipeError(f"{source.dataset}: scores of judge '{source.judge}' need the dataset's revision: revision: <commit>")
    return source.revision
