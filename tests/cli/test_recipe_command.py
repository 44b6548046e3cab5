"""`datakit recipe`: what it prints runs from where it is saved, and the one for endpoints wants names and URLs alone."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

from datakit.domains import DOMAINS
from datakit.recipe import EndpointSource, files, load
from datakit.recipe.files import bundled_domains, bundled_recipe
from datakit.recipe.section import Located
from tests.helpers.command import closed_url, count, datakit
from tests.helpers.folders import ROOT

every_domain = pytest.mark.parametrize("domain", bundled_domains())


def saved(folder: Path, *args: str) -> Path:
    """The recipe that the command prints, in a file."""
    done = datakit("recipe", *args)
    assert done.returncode == 0, done.stderr
    path = folder / "my.yaml"
    path.write_text(done.stdout, encoding="utf-8")
    return path


def verifying(recipe) -> dict:
    """The section, with where its knowledge base lies."""
    return recipe.verify.model_dump() | {"kb": getattr(recipe.verify, "kb_path", None)}


def comments(path: Path) -> list[str]:
    return [line[line.index("#") :] for line in path.read_text(encoding="utf-8").splitlines() if "#" in line]


def test_without_a_domain_it_names_those_that_have_one():
    """As many as there are files, each of a domain that there is."""
    printed = datakit("recipe").stdout.split()
    assert printed == bundled_domains() == sorted(path.stem for path in (ROOT / "recipes").glob("*.yaml"))
    assert set(printed) <= set(DOMAINS)


@every_domain
def test_a_saved_recipe_is_the_embedded_one(domain, tmp_path):
    """The same files, whatever folder it lies in, and every comment."""
    path = saved(tmp_path, domain)
    ours, theirs = load(bundled_recipe(domain)), load(path)
    for part in ("prompts", "sources", "score"):
        locations = [section.location for section in getattr(theirs, part) if isinstance(section, Located)]
        same = [section.location for section in getattr(ours, part) if isinstance(section, Located)]
        assert locations == same and None not in locations
    assert comments(path) == [files.FOR_EDITORS.rstrip(), *comments(bundled_recipe(domain))]
    assert {(one.n, one.sampling) for one in theirs.sampled} == {(one.n, one.sampling) for one in ours.sampled}
    assert verifying(theirs) == verifying(ours) and (theirs.select, theirs.limits) == (ours.select, ours.limits)


@pytest.mark.parametrize("name", ["a folder: with #1", "ein Ordner, mit {ä}"])
def test_the_package_may_lie_in_a_folder_of_any_name(name, tmp_path, monkeypatch):
    (tmp_path / name / "recipes").mkdir(parents=True)
    (tmp_path / name / "recipes" / "math.yaml").write_text(
        "prompts: [{type: file, path: ../data/p.jsonl}]  # ../data is not touched here\nargs: [--x, ./y, '../z']\n"
    )
    monkeypatch.setattr(files, "recipes_folder", lambda: tmp_path / name / "recipes")
    text = files.recipe_to_save("math")
    assert text.splitlines()[1].endswith("  # ../data is not touched here")
    home = tmp_path / name
    assert yaml.safe_load(text) == {
        "prompts": [{"type": "file", "path": str(home / "data" / "p.jsonl")}],
        "args": ["--x", str(home / "recipes" / "y"), str(home / "z")],
    }


def test_a_saved_recipe_passes_check(tmp_path):
    pytest.importorskip("transformers")
    done = datakit("check", "--recipe", saved(tmp_path, "math"), "--limit", 3, cwd=tmp_path)
    assert done.returncode == 0 and "all is well" in done.stderr, done.stderr


def test_a_saved_recipe_builds(tmp_path):
    pytest.importorskip("transformers")
    recipe = saved(tmp_path, "math")
    done = datakit("build", "--recipe", recipe, "--out", tmp_path / "run", "--limit", 2, "--until", "collect", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert count(tmp_path / "run", "prompts") == 2


@every_domain
@pytest.mark.parametrize("option", [(), ("--endpoints",)], ids=["embedded", "endpoints"])
def test_an_editor_is_told_of_the_schema(domain, option):
    """In the first line, where the language server looks, and once."""
    lines = datakit("recipe", domain, *option).stdout.splitlines()
    assert lines[0] == "# yaml-language-server: $schema=recipe.schema.json"
    assert sum("yaml-language-server" in line for line in lines) == 1


@every_domain
def test_the_recipe_for_endpoints_parses(domain, tmp_path):
    path = saved(tmp_path, domain, "--endpoints")
    recipe, embedded = load(path), load(bundled_recipe(domain))
    assert recipe.domain == domain
    assert [prompts.columns for prompts in recipe.prompts] == [prompts.columns for prompts in embedded.prompts]
    assert [isinstance(source, EndpointSource) and len(source.base_urls) for source in recipe.sources] == [2, 2]
    assert recipe.key_names == {"VLLM_KEY"} and all(source.sampling.max_tokens for source in recipe.sampled)
    assert [judge.type for judge in recipe.score] == JUDGES[domain] and recipe.select.margin is None
    assert recipe.limits.min_pairs == 1, "a first trial has few"
    without = re.sub(r"^ *(score|margin): .*\n", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    path.write_text(re.sub(r"^( *)# (score|margin): ", r"\1\2: ", without, flags=re.MULTILINE), encoding="utf-8")
    (judge,) = load(path).score
    assert judge.type == "armorm" and judge.revision is not None and load(path).select.margin == [0.01, 0.1]


@every_domain
def test_how_a_model_is_asked_stands_where_it_is_looked_for(domain, tmp_path):
    """As comments, that can be uncommented as they are."""
    path = saved(tmp_path, domain, "--endpoints")
    text = path.read_text(encoding="utf-8")
    source = load(path).sources[0]
    assert isinstance(source, EndpointSource)
    assert (source.system, source.template, source.extra_body) == (None, None, {})
    text = re.sub(r"^    # (system|template|extra_body): ", r"    \1: ", text, flags=re.MULTILINE)
    path.write_text(text.replace("    columns: ", "    # columns: "), encoding="utf-8")  # which the template stands for
    source, prompts = load(path).sources[0], load(path).prompts[0]
    assert isinstance(source, EndpointSource)
    assert source.system and "{prompt}" in source.template and "chat_template_kwargs" in source.extra_body
    assert "{question}" in prompts.template
    hint = "# fields for how a model is asked: system, template, extra_body"
    assert (hint in datakit("recipe", domain).stdout) == bool(load(bundled_recipe(domain)).sampled)


JUDGES = {
    **{"math": [], "code": [], "mcq": []},
    **{"dialogue": ["entity_f1"], "instruct": ["llm_judge"], "chinese": ["llm_judge"]},
}
"""What a recipe for endpoints begins with: verdicts alone make pairs, where there are any; no judge needs an extra."""


def test_the_recipe_for_endpoints_wants_names_and_urls_alone(tmp_path):
    """With prompts beside it and the key set, check complains of nothing but URLs that do not answer."""
    text = saved(tmp_path, "math", "--endpoints").read_text(encoding="utf-8")
    for node in range(1, 5):
        text = text.replace(f"http://node{node}:8000/v1", f"http://127.0.0.1:9/{node}/v1")
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(text)
    (tmp_path / "prompts.jsonl").write_text('{"question": "What is 1 + 1?", "answer": "2"}\n')
    done = datakit("check", "--recipe", recipe, env={"VLLM_KEY": "a-key"})
    said = done.stderr
    assert done.returncode == 2 and "4 problems" in said, said
    assert [f"{at}: http://127.0.0.1:9/{node}/v1" in said for at, node in (("0", 1), ("0", 2), ("1", 3), ("1", 4))] == [
        True
    ] * 4


@pytest.mark.slow
def test_check_says_all_at_once_that_is_wrong(tmp_path, monkeypatch):
    """A judge that the hub does not give, a URL where nobody listens, a file of prompts that is not there."""
    hub = pytest.importorskip("huggingface_hub.constants")
    pytest.importorskip("torch")
    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", True)
    text = saved(tmp_path, "math", "--endpoints").read_text(encoding="utf-8")
    recipe = tmp_path / "mine.yaml"
    text = re.sub(r"^score: null.*\n", "", text, flags=re.MULTILINE).replace("# score:", "score:")
    recipe.write_text(re.sub(r"http://node\d:8000/v1", closed_url(), text), encoding="utf-8")
    done = datakit("check", "--recipe", recipe, env={"VLLM_KEY": "a-key"})
    assert done.returncode == 2, done.stderr
    assert "score.model: RLHFlow/ArmoRM-Llama3-8B-v0.1 at revision" in done.stderr
    assert "sources.0: http://127.0.0.1" in done.stderr and "prompts.jsonl" in done.stderr


def test_what_there_is_no_recipe_for():
    done = datakit("recipe", "maths")
    known = "chinese, code, dialogue, instruct, math, mcq"
    assert done.returncode == 2 and f"there is no embedded recipe for it, only for {known}" in done.stderr
    done = datakit("recipe", "--endpoints")
    assert done.returncode == 2 and f"name a domain: {known}" in done.stderr and done.stdout == ""


def test_the_version_is_that_of_the_distribution():
    done = datakit("--version")
    assert (done.returncode, done.stdout) == (0, f"datakit {version('fuse-datakit')}\n")


def test_the_version_loads_nothing_slow():
    shown = (
        "import sys\nfrom datakit.cli.app import app\napp(['--version'], standalone_mode=False)\n"
        "print(*sorted({'polars', 'duckdb', 'pydantic', 'torch', 'pyarrow', 'yaml'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", shown], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[1:] == [""]
