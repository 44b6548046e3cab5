"""A mirror always has a state that the run had; a pull brings it back, and loses nothing that is only here."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from fsspec import register_implementation
from fsspec.implementations.memory import MemoryFileSystem

from datakit import library
from datakit.errors import BadInput
from datakit.options import Options
from datakit.store import Run, mirrored
from datakit.store.manifest import Content
from datakit.store.mirror import ORDER, Mirror, MirrorBehind
from datakit.store.remote import Remote, RemoteError
from datakit.tables import TABLES
from tests.helpers.command import SETTINGS, datakit, recipe_over, rows_of, write_problems, write_recipe
from tests.helpers.fake_endpoint import Fake, running
from tests.helpers.waiting import wait_for

ALL = "SELECT response_id, text FROM responses ORDER BY 1"


@pytest.fixture(scope="module")
def fake() -> Iterator[Fake]:
    with running(Fake(models=("fake/one",))) as fake:
        yield fake


@pytest.fixture(scope="module")
def recipe(fake: Fake, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recipe")
    return write_recipe(folder / "r.yaml", recipe_over(fake.url, write_problems(folder / "p.jsonl", 4), n=2))


def build(recipe: Path, run: Path, *more: object) -> subprocess.CompletedProcess[str]:
    return datakit("build", "--recipe", recipe, "--out", run, *more)


def manifests(mirror: Path) -> list[Path]:
    return sorted((mirror / "manifests").iterdir())


def test_every_table_has_its_place_in_the_order():
    assert {*ORDER, "flags"} == set(TABLES)


def test_a_run_goes_on_elsewhere_and_back(fake: Fake, recipe: Path, tmp_path: Path):
    here, there, mirror = tmp_path / "here", tmp_path / "there", tmp_path / "mirror"
    url = f"file://{mirror}"
    first = build(recipe, here, "--until", "sample", "--mirror", url)
    assert first.returncode == 0 and f"mirror: {url} has all of it" in first.stderr

    asked = fake.n_requests
    pulled = datakit("pull", url, there)
    assert pulled.returncode == 0, pulled.stderr
    assert rows_of(there, ALL) == rows_of(here, ALL)
    assert build(recipe, there).returncode == 0  # and its mirror is kept up, unasked
    assert fake.n_requests == asked

    refused = build(recipe, here)
    assert refused.returncode == 2 and "by another copy of this run" in refused.stderr
    back = datakit("pull", url, here)
    assert back.returncode == 0, back.stderr
    assert rows_of(here, "FROM verdicts ORDER BY 1") == rows_of(there, "FROM verdicts ORDER BY 1")
    assert rows_of(here, "FROM demos ORDER BY 1") == rows_of(there, "FROM demos ORDER BY 1")
    again = datakit("pull", url, here)
    assert ": 0 files copied" in again.stderr

    changed = datakit("select", here, "--set", "limits.min_pairs=null")
    assert changed.returncode == 0, changed.stderr
    old = datakit("pull", url, there)
    assert old.returncode == 0 and "replaced by newer ones from the mirror: recipe.json" in old.stderr, old.stderr
    (there / "recipe.json").write_text((there / "recipe.json").read_text() + " ")
    assert datakit("mirror", there).returncode == 0
    (here / "recipe.json").write_text((here / "recipe.json").read_text() + "\n")
    told = datakit("pull", url, here)
    assert told.returncode == 2 and "recipe.json differ" in told.stderr and "nothing was changed" in told.stderr


def test_what_is_no_mirror_or_has_another_run_is_one_sentence(recipe: Path, tmp_path: Path):
    url = f"file://{tmp_path}/mirror"
    assert "no mirror of a run" in datakit("pull", url, tmp_path / "new").stderr
    assert not (tmp_path / "new").exists()
    assert "Protocol not known" in datakit("pull", "nonsense://a/b", tmp_path / "new").stderr
    assert "must be the URL of a folder" in datakit("pull", "ftp://me:secret@host/b", tmp_path / "new").stderr
    assert "must be the URL of a folder" in datakit("pull", str(tmp_path), tmp_path / "new").stderr

    assert build(recipe, tmp_path / "run", "--until", "collect", "--mirror", url).returncode == 0
    other = build(recipe, tmp_path / "other", "--until", "collect", "--mirror", url)
    assert other.returncode == 2 and "has another run" in other.stderr


def run_with(folder: Path, recipe: Path) -> Path:
    """A run that has a recipe."""
    folder.mkdir()
    (folder / "recipe.json").write_text(json.dumps({"recipe": {}, "folder": str(recipe.parent)}))
    return folder


def test_an_older_manifest_stays_whole_until_the_next_is_there(recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder, mirror = run_with(tmp_path / "run", recipe), tmp_path / "mirror"
    with Run.create(folder) as run:
        copier = Mirror(run, f"file://{mirror}", lambda text, warning: None)
        for at in range(4):
            run.replace("demos", TABLES["demos"].frame([{"prompt_id": f"p{at}", "response_id": "r", "score": 1.0}]))
            copier.copy()
            with monkeypatch.context() as patched:
                patched.setattr(Content, "of", None)
                copier.copy()  # nothing new: no manifest, and nothing is read again
        assert [path.name[:6] for path in manifests(mirror)] == ["000003", "000004"]
        assert len(list((mirror / "demos").iterdir())) == 2
        (mirror / "manifests" / "notes.txt").write_text("somebody's")
        last = manifests(mirror)[-2]
        last.write_bytes(last.read_bytes()[:-5])  # as a kill leaves it
    assert datakit("pull", f"file://{mirror}", tmp_path / "new").returncode == 0
    with Run.create(tmp_path / "new") as new:
        assert new.frame("demos")["prompt_id"].to_list() == ["p2"]


class Broken(Remote):
    """A store that fails as often as it is told to."""

    failures = 0

    def put(self, file: Path, name: str) -> None:
        if Broken.failures:
            Broken.failures -= 1
            raise RemoteError(f"{self.url}: cannot write {name} (quota)")
        super().put(file, name)


@pytest.mark.parametrize(("failures", "behind"), [(3, 0), (10_000, 1)])
def test_a_store_that_fails_is_tried_again_and_told(
    failures: int, behind: int, recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("datakit.store.mirror.Remote", Broken)
    monkeypatch.setattr("datakit.store.mirror.time.sleep", lambda s: None)
    folder, said = run_with(tmp_path / "run", recipe), list[str]()
    Broken.failures = failures
    with Run.create(folder) as run, mirrored(run, f"file://{tmp_path}/m", lambda text, warning: said.append(text)) as left:
        run.append("demos", [{"prompt_id": "p", "response_id": "r", "score": 1.0}])
    assert len(left) == behind == sum("mirror is 2 files behind" in one for one in said)
    assert all(error.exit_status == 4 for error in left)
    assert any("000001" in path.name for path in manifests(tmp_path / "m")) == (not behind)


def test_rows_are_sealed_in_time_and_journals_never_copied(recipe: Path, tmp_path: Path):
    with Run.create(run_with(tmp_path / "run", recipe)) as run:
        copier = Mirror(run, "memory://sealed/run", lambda text, warning: None)
        run.seal_after_s = 1e9
        run.journal("failures").append([{"stage": "sample", "key": "a"}])
        copier.copy()
        assert not any("failures" in name for name in copier._remote.sizes())
        run.seal_after_s = 0.0
        run.journal("failures").append([{"stage": "sample", "key": "b"}])
        copier.copy()
        assert sum(name.startswith("failures/part-000001-") for name in copier._remote.sizes()) == 1


def test_a_manifest_cannot_name_what_lies_outside(recipe: Path, tmp_path: Path):
    from datakit.store.manifest import Content, Manifest
    from datakit.store.pull import pull

    remote = Remote(f"file://{tmp_path}/m")
    name, data = Manifest.now("x", 1, {"../outside": Content(1, "0" * 64)}).encoded()
    remote.write(data, name)
    with pytest.raises(BadInput, match="outside of a run"):
        pull(remote.url, tmp_path / "run", lambda missing, there: None, lambda table: None)


def test_what_a_pull_left_half_done_is_pulled_before_it_is_built_on(recipe: Path, tmp_path: Path):
    run, mirror, new = tmp_path / "run", tmp_path / "mirror", tmp_path / "new"
    assert build(recipe, run, "--until", "sample", "--mirror", f"file://{mirror}").returncode == 0
    (part,) = (mirror / "responses").iterdir()
    data = part.read_bytes()
    part.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    wrong = datakit("pull", f"file://{mirror}", new)
    assert wrong.returncode == 2 and f"responses/{part.name} has {len(data):,} bytes" in wrong.stderr
    assert not (new / "recipe.json").exists() and [*(new / "prompts").glob("*.parquet")]
    early = build(recipe, new)
    assert early.returncode == 2 and f"take what it has first: datakit pull file://{mirror} {new}" in early.stderr, early.stderr
    part.unlink()
    incomplete = datakit("pull", f"file://{mirror}", new)
    assert incomplete.returncode == 2 and f"{part.name} is not there" in incomplete.stderr
    assert datakit("mirror", run).returncode == 0 and part.read_bytes() == data
    assert datakit("pull", f"file://{mirror}", new).returncode == 0
    assert rows_of(new, ALL) == rows_of(run, ALL)


class Silent(MemoryFileSystem):  # type: ignore[misc]  # it has no types
    """A store that takes a call and never answers."""

    protocol = "silent"
    store, pseudo_dirs = dict[str, Any](), [""]
    told = Event()

    def find(self, *args: Any, **kwargs: Any) -> Any:
        Silent.told.wait()
        return super().find(*args, **kwargs)


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Silent]]:
    register_implementation("silent", Silent, clobber=True)
    monkeypatch.setattr("datakit.store.remote.ANSWERS_S", 0.01)
    monkeypatch.setattr("datakit.store.mirror.time.sleep", lambda s: None)
    Silent.told.clear()
    yield Silent
    Silent.told.set()


def test_a_store_that_never_answers_is_one_sentence_and_a_known_one_is_not_waited_for(
    recipe: Path, tmp_path: Path, silent: type[Silent]
):
    url, said = "silent://a/run", "silent://a/run: cannot list (no answer in 0 s); check address, network and keys"
    for refused in (build(recipe, tmp_path / "run", "--mirror", url), datakit("pull", url, tmp_path / "run")):
        assert refused.returncode == 2 and said in refused.stderr and "Traceback" not in refused.stderr
    assert not (tmp_path / "run").exists()

    silent.told.set()
    folder, heard = run_with(tmp_path / "run", recipe), list[str]()
    with Run.create(folder) as run, mirrored(run, url, lambda text, warning: heard.append(text)):
        run.append("demos", [{"prompt_id": "p", "response_id": "r", "score": 1.0}])
    silent.told.clear()
    with Run.create(folder) as run, mirrored(run, None, lambda text, warning: heard.append(text)) as left:
        run.append("demos", [{"prompt_id": "q", "response_id": "r", "score": 1.0}])
    (all_of_it, goes_on, behind) = heard
    assert "has all of it" in all_of_it and goes_on == f"mirror: {said}; the build goes on, and this is tried again"
    assert [error.exit_status for error in left] == [4] and f"datakit mirror {folder} copies the rest" in behind
    silent.told.set()
    assert datakit("mirror", folder).returncode == 0


def test_a_build_whose_mirror_is_behind_says_so_from_python_as_on_the_command_line(
    recipe: Path, tmp_path: Path, silent: type[Silent]
):
    silent.told.set()
    collected = ("--until", "collect", "--mirror", "silent://b/run")
    assert build(recipe, tmp_path / "run", *collected).returncode == 0
    silent.told.clear()
    assert build(recipe, tmp_path / "run", *collected).returncode == 4
    with pytest.raises(MirrorBehind, match="the run is whole here"):
        library.build(recipe, tmp_path / "run", Options(until="collect", keep_going=True))


def test_what_is_only_here_is_counted_in_every_table(recipe: Path, tmp_path: Path):
    folder, url = run_with(tmp_path / "run", recipe), f"file://{tmp_path}/mirror"
    with Run.create(folder) as run:
        Mirror(run, url, lambda text, warning: None).copy()
        for table in ORDER:
            run.append(table, TABLES[table].frame([{}]))
    pulled = datakit("pull", url, folder)
    assert f"{len(ORDER)} parts of {folder} are not in the mirror: they stay" in pulled.stderr, pulled.stderr


class Lossy(Remote):
    """A store that says of every object that it has been written."""

    def put(self, file: Path, name: str) -> None:
        if not name.startswith("demos/"):
            super().put(file, name)


def test_no_manifest_names_what_is_not_there(recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("datakit.store.mirror.Remote", Lossy)
    with Run.create(run_with(tmp_path / "run", recipe)) as run:
        run.append("demos", [{"prompt_id": "p", "response_id": "r", "score": 1.0}])
        with pytest.raises(RemoteError, match=r"demos/part-000001-\w+.parquet was written with [\d,]+ bytes and is not there"):
            Mirror(run, "memory://lossy/run", lambda text, warning: None).copy()


KILLED = """
import sys, os, signal
from pathlib import Path
from datakit.store.remote import Remote
n, after = 0, int(sys.argv.pop(1))
def dying(method):
    def call(self, *args):
        global n
        n += 1
        if n > after:
            os.kill(os.getpid(), signal.SIGKILL)
        return method(self, *args)
    return call
Remote.put, Remote.write, Remote.remove = map(dying, (Remote.put, Remote.write, Remote.remove))
from datakit.cli import main
main(sys.argv[1:])
"""


@pytest.fixture(scope="module")
def whole(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run without a mirror."""
    run = tmp_path_factory.mktemp("whole") / "run"
    assert build(recipe, run).returncode == 0
    return run


HERE = ((True, 3), (False, 2))  # with the slow tests; the others are long


@pytest.mark.parametrize(
    ("first", "after"),
    [
        pytest.param(first, after, marks=pytest.mark.slow if (first, after) in HERE else pytest.mark.long)
        for first, n in ((True, 7), (False, 4))
        for after in range(n)
    ],
)
def test_a_build_killed_while_it_mirrors_goes_on_elsewhere(first: bool, after: int, recipe: Path, tmp_path: Path, whole: Path):
    """At each write of the first copy, of which nothing can be pulled before its manifest is there, and of the next."""
    run, new, url = tmp_path / "run", tmp_path / "new", f"file://{tmp_path}/mirror"
    if not first:
        assert build(recipe, run, "--until", "sample", "--mirror", url).returncode == 0
    code = [sys.executable, "-c", KILLED, after, "build", "--recipe", recipe, "--out", run, "--mirror", url]
    assert subprocess.run(list(map(str, code)), env=os.environ).returncode == -signal.SIGKILL
    pulled = datakit("pull", url, new)
    if first and pulled.returncode != 0:
        assert "no mirror of a run (none of its manifests is whole)" in pulled.stderr or "nothing names one" in pulled.stderr
        assert not new.exists()
    else:
        assert pulled.returncode == 0, pulled.stderr
    finished = build(recipe, new, "--mirror", url)
    assert finished.returncode == 0 and "has all of it" in finished.stderr, finished.stderr
    assert datakit("pull", url, tmp_path / "newer").returncode == 0
    for query in (ALL, "SELECT response_id, outcome FROM verdicts ORDER BY 1", "FROM demos ORDER BY ALL"):
        assert rows_of(tmp_path / "newer", query) == rows_of(new, query) == rows_of(whole, query)


# --------------------------------------------------------------------------------------- what speaks S3, and is no object store


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Where moto's server, which answers as S3 does, may listen; s3fs looks for S3 there."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    keys = {"AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none", "AWS_DEFAULT_REGION": "us-east-1"}
    for name, value in (keys | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}).items():
        monkeypatch.setenv(name, value)
    pytest.importorskip("s3fs")
    yield port


@pytest.fixture
def buckets(s3: int) -> Iterator[Any]:
    """The buckets of a moto server."""
    pytest.importorskip("moto")
    server = subprocess.Popen([sys.executable, "-m", "moto.server", "-p", str(s3)], stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: answers(s3), 60)
        yield import_module("s3fs").S3FileSystem(skip_instance_cache=True)
    finally:
        server.kill()
        server.wait()


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.slow
def test_a_run_goes_on_elsewhere_by_s3(recipe: Path, tmp_path: Path, whole: Path, buckets: Any):
    missing = datakit("build", "--recipe", recipe, "--out", tmp_path / "no", "--mirror", "s3://nobody/run")
    assert missing.returncode == 2 and "s3://nobody/run: cannot write" in missing.stderr, missing.stderr
    assert "Traceback" not in missing.stderr and not (tmp_path / "no").exists()
    assert not buckets.exists("nobody")  # a misspelt bucket is not made
    buckets.mkdir("bucket")
    run, new, url = tmp_path / "run", tmp_path / "new", "s3://bucket/runs/one"
    sample = ["build", "--recipe", recipe, "--out", run, "--until", "sample", "--mirror", url]
    killed = subprocess.run([sys.executable, "-c", KILLED, "3", *map(str, sample)], env=os.environ)
    assert killed.returncode == -signal.SIGKILL
    assert "none of its manifests is whole" in datakit("pull", url, new).stderr
    built = datakit(*sample)
    assert built.returncode == 0, built.stderr
    pulled = datakit("pull", url, new)
    assert pulled.returncode == 0, pulled.stderr
    assert rows_of(new, ALL) == rows_of(run, ALL) != []
    built = datakit("build", "--recipe", recipe, "--out", new)
    assert built.returncode == 0 and f"mirror: {url} has all of it" in built.stderr, built.stderr
    assert "by another copy of this run" in datakit("build", "--recipe", recipe, "--out", run).stderr
    pulled = datakit("pull", url, run)
    assert pulled.returncode == 0, pulled.stderr
    for query in (ALL, "SELECT response_id, outcome FROM verdicts ORDER BY 1", "FROM demos ORDER BY ALL"):
        assert rows_of(run, query) == rows_of(whole, query)
    (part,) = buckets.find("bucket/runs/one/verdicts")
    buckets.pipe_file(part, buckets.cat_file(part)[:-1] + b"?")
    assert "with SHA-256" in datakit("pull", url, tmp_path / "newer").stderr


IMPATIENT = """
import sys
import s3fs
import datakit.store.remote
datakit.store.remote.ANSWERS_S = 2.0
from datakit.cli import main
main(sys.argv[1:])
"""


@pytest.mark.slow
def test_an_address_that_takes_calls_and_never_answers_ends_a_command(recipe: Path, tmp_path: Path, s3: int):
    said = "s3://bucket/run: cannot list (no answer in 2 s); check address, network and keys"
    with socket.create_server(("127.0.0.1", s3)):
        for args in (
            ["build", "--recipe", recipe, "--out", "run", "--mirror", "s3://bucket/run"],
            ["pull", "s3://bucket/run", "run"],
        ):
            argv = [sys.executable, "-c", IMPATIENT, *map(str, args)]
            done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, timeout=60, env=os.environ | SETTINGS)
            assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr, done.stderr
            assert not (tmp_path / "run").exists()
