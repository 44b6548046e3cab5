"""Merging: golden values, laws, whole folders, and what is refused."""

import hashlib
import json
import shutil
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers import tiny_targets as tiny
from tests.helpers.later import later
from tests.helpers.laws import examples
from train.cli import main
from train.errors import TrainError
from train.merge import METHODS, Merging, mean_squares, merge, merge_deltas
from train.merge_options import parse_merge

torch = later("torch")
A, B = [[0.3, -0.1], [0.2, 0.0]], [[0.1, 0.2], [0.5, 0.1]]
VARM = ([0.311111, 0.688889], [[0.162222, 0.106667], [0.406667, 0.068889]])
NUMBERS = st.lists(st.floats(-2, 2, width=32, allow_subnormal=False), min_size=6, max_size=6)


@pytest.mark.parametrize(("merging", "weights", "change"), [
    (Merging("varm"), *VARM),
    (Merging("sce", tau=1.0), VARM[0], [[0.162222, 0.2], [0.406667, 0.1]]),
    (Merging("sce", tau=0.5, mask_deltas=True), [0.147059, 0.852941], [[0, 0.2], [0.455882, 0]]),  # as printed and in mergekit
    (Merging("sce", tau=0.5), [0.147059, 0.852941], [[0.129412, 0.2], [0.455882, 0.1]]),  # as FuseChat's models were made
    (Merging("linear"), [0.5, 0.5], [[0.2, 0.05], [0.35, 0.05]]),
    (Merging("linear", weights=(1, 3)), [0.25, 0.75], [[0.15, 0.125], [0.425, 0.075]]),
    (Merging("ties", density=1.0), [1, 1], [[0.2, 0.2], [0.35, 0.1]]),  # the mean of those with the sign of the sum
    (Merging("ties", density=0.5), [1, 1], [[0.3, 0.2], [0.35, 0]]),
    (Merging("dare", density=1.0), [0.5, 0.5], [[0.2, 0.05], [0.35, 0.05]]),
], ids=str)  # fmt: skip
def test_golden_values(merging, weights, change):
    """The pivot is 0. Those of VaRM and SCE were computed by hand from the papers' formulas."""
    found, shares = merge_deltas(torch.tensor([A, B]), merging)
    assert shares == pytest.approx(weights, abs=1e-6)
    assert found.tolist() == [pytest.approx(row, abs=1e-6) for row in change]


@pytest.mark.parametrize("method", METHODS)
def test_models_that_changed_nothing_are_the_pivot(method):
    found, weights = merge_deltas(torch.zeros(3, 2, 2), Merging(method))
    assert found.tolist() == [[0, 0], [0, 0]] and len(set(weights)) == 1


@pytest.mark.parametrize("merging", [Merging("varm"), Merging("sce"), Merging("sce", tau=0.5, mask_deltas=True)], ids=str)
@examples(10)
@given(one=NUMBERS, other=NUMBERS, scale=st.sampled_from([1e-6, 1e-4, 0.5, 8.0]))
def test_scaling_all_deltas_leaves_the_weights_alone(merging, one, other, scale):
    deltas = torch.tensor([one, other])
    change, weights = merge_deltas(deltas, merging)
    scaled, same = merge_deltas(deltas * scale, merging)
    if merging.method == "sce" and len({abs(a - b) for a, b in zip(one, other, strict=True)}) < 6:
        return  # of elements that vary equally any may be selected
    assert same == pytest.approx(weights, abs=1e-5)
    assert (scaled / scale).tolist() == pytest.approx(change.tolist(), abs=1e-4)


@pytest.mark.parametrize("method", ["sce", "varm", "linear"])
@examples(10)
@given(one=NUMBERS, tau=st.floats(0.01, 1))
def test_a_merge_of_one_model_or_of_copies_is_that_model(method, one, tau):
    for n in (1, 3):
        change, weights = merge_deltas(torch.tensor([one] * n), Merging(method, tau=tau))
        assert change.tolist() == pytest.approx(one, abs=1e-6) and weights == pytest.approx([1 / n] * n)


def test_there_is_no_floor_under_the_weights():
    """AdamW at 5e-6 moves a weight by some 1e-4; half-precision sums would round such squares away."""
    assert mean_squares(torch.tensor([[1e-12, 1e-12], [3e-12, 3e-12]])).tolist() == pytest.approx([0.1, 0.9])


def test_the_chance_of_dare_is_the_seeds_and_the_tensors():
    deltas = torch.ones(2, 64)

    def dare(seed, name):
        return merge_deltas(deltas, Merging("dare", seed=seed), name)[0].tolist()

    assert dare(0, "a") == dare(0, "a") and len({tuple(one) for one in (dare(0, "a"), dare(1, "a"), dare(0, "b"))}) == 3


# --------------------------------------------------------------------------------------------------------- whole folders


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A pivot in two shards, and two models that were trained from it: moved at random."""
    from transformers import AutoModelForCausalLM

    folder = tmp_path_factory.mktemp("models")
    tiny.save_model(folder / "one")
    pivot = AutoModelForCausalLM.from_pretrained(folder / "one")
    pivot.save_pretrained(folder / "pivot", max_shard_size="60KB")
    tiny.make_tokenizer().save_pretrained(folder / "pivot")
    for name, seed in (("a", 1), ("b", 2)):
        generator = torch.Generator().manual_seed(seed)
        moved = AutoModelForCausalLM.from_pretrained(folder / "one")
        with torch.no_grad():
            for weight in moved.parameters():
                weight.add_(1e-4 * torch.randn(weight.shape, generator=generator))
        moved.save_pretrained(folder / name)
    return SimpleNamespace(pivot=folder / "pivot", one=folder / "one", a=folder / "a", b=folder / "b", folder=folder)


def tensors_of(folder):
    from transformers import AutoModelForCausalLM

    return dict(AutoModelForCausalLM.from_pretrained(folder, dtype="float32").state_dict())


def test_a_folder_is_the_pivots_with_what_the_models_changed(models, tmp_path, capsys):
    out = tmp_path / "merged"
    argv = ["merge", "--pivot", models.pivot, "--models", models.a, models.b, "--method", "varm", "--output_dir", out]
    assert main(list(map(str, argv))) == 0
    assert "Merged 2 models by varm" in capsys.readouterr().out
    record = json.loads((out / "merge.json").read_text())
    merged, pivot, a, b = (tensors_of(folder) for folder in (out, models.pivot, models.a, models.b))
    assert set(record["tensor_weights"]) == set(pivot) and record["method"] == "varm"
    for name, tensor in merged.items():
        own = [((one[name] - pivot[name]).double() ** 2).mean() for one in (a, b)]
        weight = float(own[0] / sum(own))
        assert record["tensor_weights"][name] == pytest.approx([weight, 1 - weight], abs=1e-6)
        expected = pivot[name] + weight * (a[name] - pivot[name]) + (1 - weight) * (b[name] - pivot[name])
        assert (tensor - expected).abs().max() < 2e-7, name
    digest = hashlib.sha256((models.a / "model.safetensors").read_bytes()).hexdigest()
    assert record["models"][0] == {"folder": str(models.a), "sha256": {"model.safetensors": digest}}
    shards = {path.name for path in models.pivot.glob("*.safetensors")}
    assert len(shards) > 1 and {path.name for path in out.glob("*.safetensors")} == shards == set(record["pivot"]["sha256"])
    assert (out / "tokenizer.json").is_file() and json.loads((out / "config.json").read_text())["dtype"] == "float32"


def test_one_model_is_that_model(models, tmp_path):
    for method in METHODS[:3]:
        merge(models.pivot, [models.a], Merging(method), tmp_path / method)
        merged, a = tensors_of(tmp_path / method), tensors_of(models.a)
        assert max(float((merged[name] - a[name]).abs().max()) for name in a) < 2e-7


def test_what_is_there_is_not_written_over(models, tmp_path):
    merge(models.pivot, [models.a], Merging("linear"), tmp_path / "out")
    before = (tmp_path / "out" / "merge.json").read_text()
    with pytest.raises(TrainError, match="is not empty; give a new folder, or --overwrite"):
        merge(models.pivot, [models.b], Merging("linear"), tmp_path / "out")
    assert (tmp_path / "out" / "merge.json").read_text() == before
    merge(models.pivot, [models.b], Merging("linear", dtype="bfloat16"), tmp_path / "out", overwrite=True)
    assert json.loads((tmp_path / "out" / "config.json").read_text())["dtype"] == "bfloat16"
    assert [path.name for path in tmp_path.iterdir()] == ["out"], "nothing is left beside it"
    assert not (tmp_path / "out" / ".new").exists(), "nor in it"


def test_overwriting_replaces_a_model_and_nothing_else(models, tmp_path):
    """As in a folder of several trainings: what is no part of the old model stays, and the old one leaves nothing."""
    others = ("notes.txt", "sft/model.safetensors", "sft/config.json", ".new/left-by-a-kill")
    old = ("adapter_config.json", "model-00001-of-00009.safetensors", "added_tokens.json", "data_manifest.json",
           "checkpoint-4/model.safetensors")  # fmt: skip
    for name in (*others, *old):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{}")
    merge(models.pivot, [models.a], Merging("linear"), tmp_path, overwrite=True)
    assert [name for name in (*others, *old) if (tmp_path / name).exists()] == list(others[:3])
    merged, a = tensors_of(tmp_path), tensors_of(models.a)
    assert max(float((merged[name] - a[name]).abs().max()) for name in a) < 2e-7


def test_the_folder_one_is_in_can_be_the_output(models, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    argv = ["merge", "--pivot", models.one, "--models", models.a, "--output_dir", "."]
    assert main(list(map(str, argv))) == 0
    assert (tmp_path / "merge.json").is_file() and (tmp_path / "model.safetensors").is_file()


@pytest.mark.parametrize(("out", "more", "said"), [
    ("a", ["--overwrite"], "--output_dir a: contains the model a, which is read here; use another --output_dir"),
    ("pivot", ["--overwrite"], "--output_dir pivot: contains the model pivot"),
    (".", ["--overwrite"], "--output_dir .: contains the model pivot"),
    ("link", ["--overwrite"], "--output_dir link: contains the model b"),
    ("a", [], "--output_dir a: contains the model a"),
    ("a/config.json", [], "--output_dir a/config.json: is a file; give a folder"),
])  # fmt: skip
def test_no_model_is_merged_into_its_own_folder(models, tmp_path, monkeypatch, capsys, out, more, said):
    for name in ("pivot", "a", "b"):
        shutil.copytree(getattr(models, name), tmp_path / name)
    (tmp_path / "link").symlink_to(tmp_path / "b")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    monkeypatch.chdir(tmp_path)
    assert main(["merge", "--pivot", "pivot", "--models", "a", "b", "--output_dir", out, *more]) == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_models_of_other_shapes_are_refused(models, tmp_path):
    from safetensors.torch import load_file, save_file

    tensors = load_file(models.a / "model.safetensors")
    cases = {
        "has no tensor model.norm.weight": {name: one for name, one in tensors.items() if name != "model.norm.weight"},
        "model.norm.weight has shape [31], and in": tensors | {"model.norm.weight": torch.zeros(31)},
        "has a tensor more.weight": tensors | {"more.weight": torch.zeros(1)},
    }
    for number, (said, changed) in enumerate(cases.items()):
        folder = tmp_path / str(number)
        folder.mkdir()
        save_file(changed, folder / "model.safetensors")
        with pytest.raises(TrainError) as caught:
            merge(models.pivot, [folder], Merging(), tmp_path / "out")
        assert said in str(caught.value)
    (tmp_path / "0" / "model.safetensors").write_bytes(b"no tensors")
    with pytest.raises(TrainError, match="cannot be read as safetensors"):
        merge(models.pivot, [tmp_path / "0"], Merging(), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("more", "said"), [
    (["--tau", "0"], "--tau 0: must be a share of a tensor: above 0, at most 1"),
    (["--method", "ties", "--density", "1.5"], "--density 1.5: must be a share"),
    (["--weights", "1"], "--weights: sce computes its own; only linear and dare take them"),
    (["--method", "linear", "--weights", "1", "2"], "--weights: 2 for 1 --models; give one number for each"),
    (["--method", "linear", "--weights", "0"], "--weights: give numbers of at least 0, not all of them 0"),
    (["--method", "slerp"], "train merge: argument --method: invalid choice: 'slerp'"),
    (["--tow", "1"], "train merge: unrecognized arguments: --tow 1"),
    (["--dtype", "int8"], "--dtype int8: choose one of float32, bfloat16, float16"),
])  # fmt: skip
def test_what_means_nothing_is_refused(more, said):
    with pytest.raises(TrainError) as caught:
        options = parse_merge(["--pivot", "p", "--models", "m", "--output_dir", "o", *more])
        options.merging.check(len(options.models))
    assert said in str(caught.value)


def test_an_adapter_is_no_model(tmp_path):
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(TrainError, match="is a LoRA adapter; merge it into its base model first"):
        merge(tmp_path, [tmp_path], Merging(), tmp_path / "out")
