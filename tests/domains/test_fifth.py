"""A fifth domain is one file: here it stands in the test, in DOMAINS for as long as that runs, with and without a verifier."""

import json
from collections.abc import Iterator
from typing import Literal, get_args

import pytest
from pydantic import Field

from datakit import stages
from datakit.domains import DOMAINS, Verdict, domain_of
from datakit.domains.reading import read_prompts
from datakit.options import Options
from datakit.recipe import Unverified, Verify, load
from datakit.recipe.verify import Verifying
from datakit.store import Run
from tests.helpers.command import write_recipe
from tests.helpers.monitors import Heard
from tests.helpers.plugged import InProcess, sections

# ------------------------------------------------------------------------------------------------- the file of the domain


class Haiku:
    """Poems, of which none is right or wrong."""

    name = "haiku"
    verifier = None

    def __init__(self, options: Unverified) -> None:
        """There are no options."""

    def read(self, rows, source):
        return read_prompts(self.name, rows, source)

    def gold(self, prompt):
        return None


class VerifyColours(Verifying):
    """The section of a domain whose verifier has options: its part of recipe/verify.py."""

    for_domain: Literal["colours"] = Field("colours", alias="<domain>", exclude=True)

    any_case: bool = False


class ColourVerifier:
    """A colour is right where it is the reference."""

    wrong = frozenset({"failed"})
    deadline_s = 10.0
    faults = {"timeout": "timeout", "crash": "error"}  # noqa: RUF012
    retries_timeouts = False
    forks = True

    def __init__(self, options: VerifyColours) -> None:
        self.options = options
        self.name = "colours@1" + "+any_case" * options.any_case

    def preflight(self) -> None:
        """Nothing can be missing."""

    def warm(self) -> None:
        """Nothing is loaded."""

    def verify(self, rows) -> Iterator[Verdict]:
        for row in rows:
            text, reference = row["text"], row["reference"]
            same = text.lower() == reference.lower() if self.options.any_case else text == reference
            yield Verdict("passed" if same else "failed", text)


class Colours:
    name = "colours"

    def __init__(self, options: VerifyColours) -> None:
        self.verifier = ColourVerifier(options)

    def read(self, rows, source):
        return read_prompts(self.name, rows, source)

    def gold(self, prompt):
        return prompt.reference


# --------------------------------------------------------------------------------------------------------- what it takes


@pytest.fixture
def domains(monkeypatch):
    """DOMAINS with two more lines, and the union of recipe/verify.py with one more section."""
    monkeypatch.setitem(DOMAINS, "haiku", Haiku)
    monkeypatch.setitem(DOMAINS, "colours", Colours)
    with sections("verify", get_args(Verify)[0] | VerifyColours):
        yield


def recipe_of(folder, domain, texts, **sections):
    """A recipe over responses of one model, whose scores were imported: the longer the better."""
    rows = [
        {
            "prompt_id": f"p{at}",
            "prompt": f"Question {at}?",
            "reference": "Blue",
            "model": "m",
            "text": text,
            "score": len(text),
        }
        for at in range(3)
        for text in texts
    ]
    (folder / "r.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = {"type": "responses", "path": "r.jsonl", "judge": "length"}
    select = {"split": "share", "sft_share": 0.0, "margin": None}
    return load(write_recipe(folder / "r.yaml", {"domain": domain, "sources": [source], "select": select, **sections}))


def texts_of_pairs(folder):
    with Run.open(folder) as run:
        rows = run.query(
            "SELECT c.text AS chosen, r.text AS rejected FROM pairs JOIN responses c ON chosen_id = c.response_id "
            "JOIN responses r ON rejected_id = r.response_id"
        )
        return rows.rows()


def test_a_domain_without_a_verifier(domains, tmp_path):
    recipe = recipe_of(tmp_path, "haiku", ["Rain", "Rain falls", "Rain falls on it"])
    stages.build(recipe, tmp_path / "run", Options(), Heard())
    assert texts_of_pairs(tmp_path / "run") == [("Rain falls on it", "Rain")] * 3


@pytest.mark.parametrize(("any_case", "chosen"), [(True, "blue"), (False, "Blue")])
def test_a_domain_with_a_verifier(domains, tmp_path, monkeypatch, any_case, chosen):
    monkeypatch.setattr("datakit.engine.local.LocalEngine", InProcess)
    recipe = recipe_of(tmp_path, "colours", [chosen, "Yellow", "Red"], verify={"any_case": any_case})
    stages.build(recipe, tmp_path / "run", Options(), Heard())
    assert texts_of_pairs(tmp_path / "run") == [(chosen, "Red")] * 3
    with Run.open(tmp_path / "run") as run:
        assert domain_of(run.recipe()).verifier.name == "colours@1" + "+any_case" * any_case
        assert set(run.frame("verdicts")["verifier"]) == {domain_of(recipe).verifier.name}
