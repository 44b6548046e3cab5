"""Benchmark files: how a family of models is asked, which suite is meant, whose figure is published."""

import pytest
import yaml

from datakit.errors import RecipeError
from datakit.evaluation.scores import is_called
from datakit.recipe.benchmarks import load_benchmark, load_suite

FILE = {
    "name": "mine",
    "version": "1",
    "licence": "MIT",
    "domain": "math",
    "prompts": {"type": "file", "path": "p.jsonl"},
    "system": "Be brief.",
    "template": "{prompt} =",
    "sampling": {"temperature": 0.0, "max_tokens": 9},
    "extra_body": {"top_k": 1},
    "families": [
        {"names": ["gemma"], "system": None, "template": "{prompt} is"},
        {"names": ["it", "chat"], "sampling": {"temperature": 0.5}, "prefill": "So"},
        {"names": ["prose"], "sampling_by": {"category": {"prose": {"temperature": 0.7}}}},
    ],
}
USUAL = {"n": 1, "system": "Be brief.", "template": "{prompt} =", "sampling": {"temperature": 0.0, "max_tokens": 9}}
USUAL |= {"extra_body": {"top_k": 1}}
ASKED = [
    (["llama"], USUAL),
    (["mine", "org/Gemma-2"], {**{key: USUAL[key] for key in USUAL if key != "system"}, "template": "{prompt} is"}),
    (["llama-chat"], USUAL | {"sampling": {"temperature": 0.5}, "prefill": "So"}),
    (["gemma-it"], {**USUAL, "template": "{prompt} is", "sampling": {"temperature": 0.5}, "prefill": "So", "system": ...}),
    (["prose"], USUAL | {"sampling_by": {"category": {"prose": {"temperature": 0.7}}}}),
]


def write(path, **changes):
    path.write_text(yaml.safe_dump(FILE | changes))
    return path


@pytest.mark.parametrize(("names", "asked"), ASKED, ids=[names[-1] for names, _ in ASKED])
def test_how_a_model_is_asked(tmp_path, names, asked):
    """By all names that it has; of several families the later one has the last word."""
    benchmark = load_benchmark(write(tmp_path / "b.yaml")).benchmark
    assert benchmark.protocol_of(names) == {key: value for key, value in asked.items() if value is not ...}


def test_a_suite_is_a_name_or_a_file_and_a_benchmark_is_one_of_itself(tmp_path):
    write(tmp_path / "b.yaml")
    (tmp_path / "s.yaml").write_text("{name: both, benchmarks: [gsm8k, b.yaml]}")
    name, found = load_suite(str(tmp_path / "s.yaml"))
    assert (name, [one.benchmark.name for one in found], found[1].folder) == ("both", ["gsm8k", "mine"], tmp_path)
    assert load_suite(str(tmp_path / "b.yaml"))[0] == "mine" and load_suite("gsm8k")[0] == "gsm8k"


@pytest.mark.parametrize(
    ("suite", "said"),
    [
        ("{name: two, benchmarks: [b.yaml, b.yaml]}", "benchmarks: two have the name 'mine'"),
        ("{name: two, benchmarks: [c.yaml]}", "c.yaml: cannot be read as a benchmark"),
        ("{name: two, benchmarks: []}", "benchmarks: list should have at least 1 item"),
        ("{name: [", "s.yaml: line 1, column 9: not valid YAML"),
        ("[]", "s.yaml: a benchmark is a mapping with name, ...; got []"),
    ],
)
def test_a_broken_suite_is_named(tmp_path, suite, said):
    write(tmp_path / "b.yaml")
    (tmp_path / "s.yaml").write_text(suite)
    with pytest.raises(RecipeError) as error:
        load_suite(str(tmp_path / "s.yaml"))
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("published", "names", "same"),
    [
        ("google/gemma-2-9b-it", ["base", "gemma-2-9b-it"], True),
        ("google/gemma-2-9b-it", ["base", "mirror/Gemma-2-9B-it"], True),
        ("gemma-2-9b-it", ["google/gemma-2-9b-it"], True),
        ("google/gemma-2-9b-it", ["gemma-2-9b"], False),
        ("google/gemma-2-9b-it", ["gemma-2-9b-it@together"], False),
        ("org/it", ["it"], True),
    ],
)
def test_whose_figure_it_is(published, names, same):
    assert is_called(published, names) == same
