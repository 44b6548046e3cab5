"""What a recipe leaves to the files that it names: the revisions of model folders and of imported scores, and rubrics."""

from __future__ import annotations

from typing import TypeVar

from datakit.domains import DOMAINS
from datakit.errors import RecipeError
from datakit.places import at_path, model_folder
from datakit.recipe import LLMJudge, LocalReward, Recipe, RemoteReward, ResponsesSource, Reward, Served, ServeSource, Source
from datakit.sources import scores_revision
from datakit.tables import fingerprint

Pinned = TypeVar("Pinned", ServeSource, LocalReward)


def resolve(recipe: Recipe) -> Recipe:
    """The recipe with a revision for every model that is a folder, and for every file with scores that are imported, and with
    the text of every rubric.

    RecipeError for a domain that there is not.
    """
    if recipe.domain not in DOMAINS:
        raise RecipeError(f"domain: there is no domain '{recipe.domain}'; known: {', '.join(DOMAINS)}")

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
