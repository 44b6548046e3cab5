"""`export --tokenizer`: how long rows are for the target, counted with its own template."""

from __future__ import annotations

import json

import pytest

from tests.helpers.command import datakit
from tests.helpers.imported_runs import answered, imported_run
from tests.helpers.tiny_targets import make_tokenizer


@pytest.mark.slow
def test_rows_that_pass_the_usual_lengths_of_the_target_are_counted(tmp_path):
    """One token a character: <|user|>, <|end|>, <|assistant|>, <|end|> and the texts."""
    pytest.importorskip("transformers")
    make_tokenizer().save_pretrained(tmp_path / "target")
    rows = answered("p", ("x" * 2000, 0.9), ("y", 0.1)) + answered("q", ("x", 0.9), ("y" * 5000, 0.1))
    rows += answered("r", ("x", 0.9), ("y" * 1019, 0.1)) + answered("s", ("z" * 1020, 0.5))
    run = imported_run(tmp_path / "run", rows)
    done = datakit("export", run, tmp_path / "out", "--tokenizer", tmp_path / "target")
    assert done.returncode == 0, done.stderr
    pairs, demos = (json.loads((tmp_path / "out" / kind / "manifest.json").read_text()) for kind in ("dpo", "sft"))
    assert pairs["target_tokens"]["rows_over"] == {"1k": 2, "2k": 1, "4k": 1}
    assert (pairs["target_tokens"]["median"], pairs["target_tokens"]["max"]) == (2005, 5005)
    assert demos["target_tokens"]["rows_over"] == {"1k": 1, "2k": 0, "4k": 0} and demos["target_tokens"]["max"] == 1025
    said = (tmp_path / "out" / "README.md").read_text()
    assert "dpo: 2 have more than 1k, 1 have more than 2k, 1 have more than 4k, of 3 rows; the longest has 5,005." in said
    bare = make_tokenizer()
    bare.chat_template = None
    bare.save_pretrained(tmp_path / "bare")
    for name, words in (("bare", "it has no chat template"), ("nowhere", "no tokenizer there")):
        done = datakit("export", run, tmp_path / "o", "--tokenizer", tmp_path / name)
        assert done.returncode == 2 and words in done.stderr and not (tmp_path / "o").exists()
