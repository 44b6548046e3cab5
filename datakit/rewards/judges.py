"""Judges: whose scores a recipe wants, their names, and which one selects."""

from __future__ import annotations

from collections.abc import Mapping

from datakit.errors import BadInput
from datakit.recipe import MEAN_RANK, ChatJudge, EntityF1, LocalReward, Recipe, RemoteReward, Reward
from datakit.recipe.select import Margin
from datakit.rewards.remote import REMOTE, prompted
from datakit.wording import did_you_mean


def judges(recipe: Recipe) -> dict[str, str]:
    """Return the judges whose scores the recipe wants, its reward models and then the imported ones: name -> type.

    The type of an imported judge is its name without the version: scores that were imported as `armorm` count as ArmoRM's.
    """
    return {judge_name(reward): reward.type for reward in recipe.score} | {
        full: name for name, full in recipe.imported_judges.items()
    }


def chosen_judge(recipe: Recipe) -> str | None:
    """Return the judge whose scores select: the only one, the one that `select.judge` names, or mean_rank; None if there is
    none.

    Raises BadInput if `select.judge` is not one of the recipe's judges, or is needed and missing.
    """
    names, wanted = list(judges(recipe)), recipe.select.judge
    if len(names) < len(recipe.score) + len(recipe.imported_judges):
        raise BadInput(f"score: two reward models would give the same scores; the judges are {', '.join(names)}; leave one out")
    if wanted is None:
        if len(names) > 1:
            raise BadInput(f"select.judge: the recipe has several judges, name one of {', '.join([*names, MEAN_RANK])}")
        return names[0] if names else None
    if wanted == MEAN_RANK and names:
        return MEAN_RANK
    matching = [name for name in names if wanted in (name, name.partition("@")[0])]
    if len(matching) > 1:
        raise BadInput(f"select.judge: '{wanted}' is the name of {len(matching)}, write out one of {', '.join(matching)}")
    if not matching:
        known = ", ".join([*names, MEAN_RANK]) if names else "there are none"
        near = did_you_mean(wanted, [*(name.partition("@")[0] for name in names), MEAN_RANK]) if names else ""
        raise BadInput(f"select.judge: '{wanted}' is not one of the recipe's judges: {known}{near}")
    return matching[0]


def foreign_window(margin: Margin, judge: str | None, judges: Mapping[str, str]) -> str | None:
    """Return a warning if the window is made for the scores of one type of reward model (a section's `largest_margin`) and a
    judge of another type selects, else None."""
    if not isinstance(margin, list) or judge is None:
        return None
    makers = LocalReward.__subclasses__()
    maker = next((kind for kind in makers if kind.largest_margin is not None and margin[1] <= kind.largest_margin), None)
    if maker is None or (judge != MEAN_RANK and judges[judge] == maker.__name__.lower()):
        return None
    scale = "mean ranks lie in [0, 1]" if judge == MEAN_RANK else f"the scores of {judge} may have any scale"
    return (
        f"select.margin [{margin[0]:g}, {margin[1]:g}] is a window for {maker.__name__}'s scores, and {scale}: "
        "look at the margins in datakit inspect, or write margin: {quantiles: [0.1, 0.9]}"
    )


def judge_name(reward: Reward) -> str:
    """Return the `judge` of this model's scores: `<type>@<revision>`, then the options that change scores and are not at their
    defaults.

    Behind a URL a revision is only a claim of the recipe, so the model is named, too; an LLM judge's name always has the
    rubric's hash. A folder's revision (tables.fingerprint) and the text of rubric_path must be set before.
    """
    if isinstance(reward, EntityF1):
        return f"{reward.type}@{reward.revision}"
    if isinstance(reward, RemoteReward):
        version = reward.model if reward.revision is None else f"{reward.model}:{reward.revision}"
        own = prompted.name_parts(reward) if isinstance(reward, ChatJudge) else REMOTE[reward.type].name_parts(reward)
        parts = [f"{reward.type}@{version}", *own]
    elif reward.revision is None:
        raise BadInput(f"score.revision: not set for {reward.model}, so its scores would have no name")
    else:
        parts = [f"{reward.type}@{reward.revision}"]
    for field in reward.shaping:
        value = getattr(reward, field)
        if value != type(reward).model_fields[field].default:
            parts.append(f"{field}={value}".lower())
    return "+".join(parts)
