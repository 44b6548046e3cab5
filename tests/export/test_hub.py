"""`datakit push` through the real huggingface_hub, against a small fake of the hub's HTTP interface (helpers/fake_hub.py)."""

from __future__ import annotations

import pytest
import yaml

from tests.helpers.command import closed_url, datakit
from tests.helpers.fake_hub import TOKEN, hub
from tests.helpers.forked import forked
from tests.helpers.imported_runs import good_and_bad, imported_run

pytest.importorskip("huggingface_hub")


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    home = tmp_path_factory.mktemp("runs")
    run = imported_run(home / "talk", [row for n in range(30) for row in good_and_bad(f"Question {n}?")])
    assert datakit("export", run, home / "out", "--test-share", 0.3).returncode == 0
    assert datakit("export", run, home / "whole").returncode == 0
    return home / "out"


def push(folder, repo, url, *args, token=TOKEN):
    return forked("push", folder, repo, *args, env={"HF_ENDPOINT": url, "HF_TOKEN": token, "HF_HUB_OFFLINE": "0"})


def test_an_export_arrives_whole_and_the_next_one_leaves_nothing_of_it(out):
    with hub() as fake:
        done = push(out, "me/talk", fake.url, "--private")
        assert done.returncode == 0, done.stderr
        assert f"{fake.url}/datasets/me/talk/commit/1" in done.stderr and fake.private["me/talk"]
        sent = {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}
        assert {name: data for name, data in fake.files["me/talk"].items() if name != ".gitattributes"} == sent
        assert "dpo/test.parquet" in sent and fake.commits == ["out, by datakit"]
        header = yaml.safe_load(fake.files["me/talk"]["README.md"].decode().split("---")[1])
        assert [config["config_name"] for config in header["configs"]] == ["dpo"]

        fake.files["me/talk"]["notes.txt"] = b"mine"
        again = push(out.with_name("whole"), "me/talk", fake.url, "--message", "all for training")
        assert again.returncode == 0, again.stderr
        assert "dpo/test.parquet" not in fake.files["me/talk"] and fake.files["me/talk"]["notes.txt"] == b"mine"
        assert fake.commits[1] == "all for training"


@pytest.mark.slow
def test_what_cannot_be_pushed_says_so(out, tmp_path):
    with hub() as fake:
        cases = [
            ((out, "me/talk", fake.url), {"token": "hf_wrong"}, "you may not write to me/talk; give a token"),
            ((out, "no name/at/all", fake.url), {}, "is not a valid dataset name"),
            ((out.with_name("talk"), "me/talk", fake.url), {}, "this is a run; write its export first: datakit export"),
            ((tmp_path, "me/talk", fake.url), {}, "no export; give a folder that datakit export wrote"),
            ((out, "me/talk", closed_url().removesuffix("/v1")), {}, "cannot be reached"),
        ]
        for args, options, words in cases:
            done = push(*args, **options)
            assert done.returncode == 2 and words in done.stderr and "Traceback" not in done.stderr, done.stderr
        assert fake.commits == []
        fake.refuses["validate-yaml"] = 400
        done = push(out, "me/talk", fake.url)
        assert done.returncode == 2 and "README.md: Invalid metadata" in done.stderr and fake.commits == []
