"""What a recipe leaves to the files that it names: revisions, rubrics, and where the embedded recipes are."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TypeVar

from datakit.errors import RecipeError
from datakit.recipe.recipe import Recipe
from datakit.recipe.rewards import LLMJudge, LocalReward, Reward
from datakit.recipe.section import in_folder
from datakit.recipe.sources import ResponsesSource, ServeSource, Source
from datakit.tables import fingerprint

Model = TypeVar("Model", ServeSource, LocalReward)


def bundled_recipe(domain: str) -> Path:
    """The embedded default of a domain: in a wheel inside the package, in a checkout at its root."""
    inside = Path(__file__).parents[1] / "_bundled" / "recipes"
    folder = inside if inside.is_dir() else Path(__file__).parents[2] / "recipes"
    path = folder / f"{domain}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(recipe.stem for recipe in folder.glob("*.yaml")))
        raise RecipeError(f"--domain {domain}: there is no embedded recipe for it, only for {known}; give one with --recipe")
    return path


def resolve(recipe: Recipe) -> Recipe:
    """The recipe with all that its files decide: the revision of every model folder and of every file with scores that are
    imported, and the text of every rubric.

    RecipeError for a model folder, a rubric or a revision that is not there.
    """

    def source(section: Source) -> Source:
        if isinstance(section, ResponsesSource):
            return section.model_copy(update={"revision": _scores_revision(section)}) if section.judge else section
        return _pinned(section, recipe.folder) if isinstance(section, ServeSource) else section

    def reward(section: Reward) -> Reward:
        if isinstance(section, LLMJudge):
            return _with_rubric(section, recipe.folder)
        return _pinned(section, recipe.folder) if isinstance(section, LocalReward) else section

    return recipe.model_copy(
        update={"sources": [source(one) for one in recipe.sources], "score": [reward(one) for one in recipe.score]}
    )


def _pinned(section: Model, folder: Path) -> Model:
    """A model folder gets the digest of its files as its revision. A name that looks like a path must exist."""
    if section.location is None and section.model.startswith((".", "/", "~")):
        raise RecipeError(f"model folder not found: {section.model} (looked at {in_folder(folder, section.model)})")
    if section.location is None or section.revision is not None:
        return section
    return section.model_copy(update={"revision": fingerprint(section.location)})


def _with_rubric(reward: LLMJudge, folder: Path) -> LLMJudge:
    if reward.rubric_path is None:
        return reward
    path = in_folder(folder, reward.rubric_path)
    try:
        rubric = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"score: rubric_path: {path} cannot be read: {error}") from error
    if not rubric:
        raise RecipeError(f"score: rubric_path: {path} is empty; write down what makes an answer good")
    return reward.model_copy(update={"rubric": rubric, "rubric_path": None})


def _scores_revision(source: ResponsesSource) -> str | None:
    """The version of a source's imported scores: a digest of its file or folder, of a dataset on the hub its revision.

    None for a file that is not there: reading it says so. RecipeError for a dataset without a revision.
    """
    if source.location is None:
        if source.revision is None:
            raise RecipeError(
                f"{source.dataset}: scores of judge '{source.judge}' need the dataset's revision: revision: <commit>"
            )
        return source.revision
    if source.path is None:
        return fingerprint(source.location)
    if not source.location.is_file():
        return None
    with source.location.open("rb") as file:
        return "local-" + hashlib.file_digest(file, "sha256").hexdigest()[:12]
