"""A new reward model is one file, one dict line and one section: here all three stand in the test, for as long as it runs."""

import json
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Annotated, Literal, get_args

import pytest

from datakit import rewards, stages
from datakit.options import Options
from datakit.recipe import ChatJudge, EntityF1, load, resolve
from datakit.recipe.judging import RewardSection
from datakit.recipe.rewards import LocalReward
from datakit.rewards.judges import judge_name
from datakit.rewards.local import LOCAL
from datakit.rewards.local.batching import Budget
from datakit.rewards.protocol import Score
from datakit.rewards.remote import REMOTE
from datakit.store import Run
from tests.helpers.command import write_recipe
from tests.helpers.later import later
from tests.helpers.monitors import Heard
from tests.helpers.plugged import InProcess, sections

later("torch")
later("transformers")


class Length(LocalReward):
    """Its section: scores go with the answer's length."""

    shaping = (*LocalReward.shaping, "per")

    type: Literal["length"]
    per: int = 1


@dataclass(frozen=True)
class LengthModel:
    per: int
    budget: Budget
    padding: Literal["left", "right"] = "right"

    def score(self, conversations):
        for messages in conversations:
            yield Score(len(messages[-1]["content"]) / self.per)


def check(folder, weights=True):
    return {"max_position_embeddings": 1024}


def load_length(reward, device):
    return LengthModel(reward.per, Budget(1000))


@pytest.fixture
def length(monkeypatch):
    """The dict's line, and one more member of the union in recipe/judging.py."""
    monkeypatch.setitem(LOCAL, "length", SimpleNamespace(check=check, load=load_length))
    union, by_type = get_args(RewardSection)
    with sections("score", list[Annotated[union | Length, by_type]]):  # type: ignore[valid-type]
        yield


def test_a_new_model_on_this_machine(length, tmp_path, monkeypatch):
    for where in ("datakit.score.local.LocalEngine", "datakit.engine.local.LocalEngine"):
        monkeypatch.setattr(where, InProcess)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    rows = [{"prompt": "Q?", "model": "m", "text": text} for text in ("one", "two or", "three or more")]
    (tmp_path / "r.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    written = {
        "domain": "instruct",
        "sources": [{"type": "responses", "path": "r.jsonl"}],
        "score": {"type": "length", "model": "model", "per": 2, "devices": ["cpu"]},
        "select": {"split": "share", "sft_share": 0.0, "margin": None},
    }
    recipe = load(write_recipe(tmp_path / "r.yaml", written))
    stages.build(recipe, tmp_path / "run", Options(selfcheck=True), Heard())
    with Run.open(tmp_path / "run") as run:
        assert sorted(run.frame("scores")["score"]) == [1.5, 3.0, 6.5]
        assert run.frame("pairs")["margin"].to_list() == [5.0]
        name = judge_name(resolve(recipe).score[0])
        assert name.startswith("length@local-") and name.endswith("+per=2")
        assert set(run.frame("scores")["judge"]) == {name}


def test_every_section_has_its_line_and_every_line_its_section():
    union, _ = get_args(RewardSection)
    sections = {get_args(section.model_fields["type"].annotation)[0]: section for section in get_args(union)}
    assert sections.pop("entity_f1") is EntityF1, "it is counted, by no model"
    assert sections.keys() == rewards.REWARDS.keys()
    assert {name for name, section in sections.items() if issubclass(section, LocalReward)} == LOCAL.keys()
    prompted = {name for name, section in sections.items() if issubclass(section, ChatJudge)}
    assert sections.keys() - LOCAL.keys() == REMOTE.keys() | prompted and prompted == {"pairwise", "grade"}
