"""The output folder: nothing finished is written over, and a training goes on only from its own data."""

from types import SimpleNamespace
from typing import Any

import pytest

from tests.helpers import tiny_targets as tiny
from train.data import open_data
from train.errors import TrainError
from train.output import make_record, prepare_output, record_data


@pytest.fixture
def export(tmp_path):
    return open_data(tiny.write_export(tmp_path / "sft", "sft"), "sft")


@pytest.fixture
def out(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def prepare(export, out, resume=None, overwrite=False, inputs=()):
    training = SimpleNamespace(resume_from_checkpoint=resume, process_index=0)
    options: Any = SimpleNamespace(training=training, data=SimpleNamespace(overwrite=overwrite))
    prepare_output(make_record([export], None), options.training, options.data.overwrite, out, inputs)


def refusal(*args, **kwargs):
    with pytest.raises(TrainError) as caught:
        prepare(*args, **kwargs)
    return str(caught.value)


def test_a_new_or_empty_folder_is_taken(export, out):
    prepare(export, out)
    prepare(export, out / "new")
    record_data(make_record([export], None), out)  # a training that ended before its first checkpoint
    prepare(export, out)


@pytest.mark.parametrize("name", ["config.json", "adapter_config.json"])
def test_a_model_is_not_written_over(export, out, name):
    (out / name).write_text("{}")
    (out / "checkpoint-4").mkdir()
    assert "holds a model already; use another --output_dir, or --overwrite" in refusal(export, out)


def test_overwrite_leaves_nothing_of_the_old_model(export, out):
    for name in ("config.json", "adapter_config.json", "adapter_model.safetensors", "model.safetensors", "notes.txt",
                 "chat_template.jinja", "merge.json", "tokenizer.json"):  # fmt: skip
        (out / name).write_text("")
    (out / "checkpoint-4").mkdir()
    prepare(export, out, overwrite=True)
    assert [path.name for path in out.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("inside", [".", "checkpoint-4", "sft"])
def test_the_model_that_is_trained_is_not_removed(export, out, inside):
    (out / inside).mkdir(exist_ok=True)
    (out / inside / "config.json").write_text("{}")
    given = str(out / inside)
    assert f"contains the model {given}, which is read here" in refusal(export, out, overwrite=True, inputs=[given])
    assert (out / inside / "config.json").is_file()
    prepare(export, out, overwrite=True, inputs=["owner/name", str(out.parent / "elsewhere")])


def test_a_file_is_no_output_folder(export, tmp_path):
    (tmp_path / "notes.txt").write_text("")
    assert "notes.txt: is a file; give a folder" in refusal(export, tmp_path / "notes.txt")


def test_going_on_needs_a_checkpoint(export, out):
    assert f"no checkpoint in {out}" in refusal(export, out, resume="true")
    assert "no checkpoint in elsewhere/checkpoint-4" in refusal(export, out, resume="elsewhere/checkpoint-4")
    (out / "checkpoint-4").mkdir()
    prepare(export, out, resume="true")
    prepare(export, out, resume=str(out / "checkpoint-4"))


def test_going_on_needs_the_same_data(export, out, tmp_path):
    (out / "checkpoint-4").mkdir()
    record_data(make_record([export], None), out)
    prepare(export, out, resume="true")
    same = tiny.write_export(tmp_path / "same", "sft", manifest={"created": "later", "versions": {"polars": "9"}})
    prepare(open_data(same, "sft"), out, resume="true")
    other = open_data(tiny.write_export(tmp_path / "other", "sft", manifest={"recipe_digest": "ffff"}), "sft")
    message = refusal(other, out, resume="true")
    assert "started with other data (data_manifest.json differs in recipe_digest; it was " in message
    assert "give that data, or start anew with --overwrite" in message


def test_going_on_needs_the_same_several_data(out, tmp_path):
    (out / "checkpoint-4").mkdir()
    two = [open_data(tiny.write_export(tmp_path / name, "sft"), "sft") for name in ("a", "b")]
    other = open_data(tiny.write_export(tmp_path / "c", "sft", manifest={"recipe_digest": "ffff"}), "sft")
    options: Any = SimpleNamespace(
        training=SimpleNamespace(resume_from_checkpoint="true", process_index=0), data=SimpleNamespace(overwrite=False)
    )
    record = make_record(two, [1.0, 0.5])
    assert record["rows"] == 32 and [one["trained_on"] for one in record["data"]] == record["trained_on"]
    record_data(record, out)
    prepare_output(make_record(two, [1.0, 0.5]), options.training, options.data.overwrite, out)
    for changed, words in (
        (make_record(two, None), "differs in weights"),
        (make_record([two[0], other], [1.0, 0.5]), "differs in recipe_digest"),
        (make_record([*two, other], [1.0, 0.5, 1.0]), "differs in data, weights"),
        (make_record(two[:1], None), "differs in data, weights"),
    ):
        with pytest.raises(TrainError, match=words):
            prepare_output(changed, options.training, options.data.overwrite, out)
