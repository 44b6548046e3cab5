"""What is read from the files that a recipe names (revisions, rubrics), and the embedded recipes."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import TypeVar

import yaml

from datakit.errors import RecipeError
from datakit.recipe.judging import ChatJudge
from datakit.recipe.published_prompts import with_published
from datakit.recipe.recipe import Recipe, load
from datakit.recipe.rewards import EntityF1, LLMJudge, LocalReward, Reward
from datakit.recipe.section import in_folder
from datakit.recipe.sources import LocalSource, ResponsesSource, ServeSource, Source
from datakit.recipe.verify import Unverified, Verify, VerifyDialogue
from datakit.tables import canonical_json, fingerprint
from datakit.wording import did_you_mean

Model = TypeVar("Model", ServeSource, LocalSource, LocalReward)
FOR_EDITORS = "# yaml-language-server: $schema=recipe.schema.json\n"
"""The first line of a printed recipe, with which editors find the output of `datakit recipe --schema` beside it."""
FIRST_JUDGES = {
    VerifyDialogue: "score: {type: entity_f1}                      # the knowledge-base values of an answer; needs no model",
    Unverified: """\
# No verifier here, so a judge decides; any chat model can grade by a rubric. Prefer one that is not a source.
score: {type: llm_judge, model: Qwen/Qwen2.5-72B-Instruct, base_urls: [http://node3:8000/v1], api_key_env: VLLM_KEY}""",
}
"""The judge of a recipe for endpoints in domains where verdicts alone make no pairs; needs only the core package."""


def recipes_folder() -> Path:
    """Return the folder of the embedded recipes: inside the package in a wheel, at the root of a checkout."""
    inside = Path(__file__).parents[1] / "_bundled" / "recipes"
    return inside if inside.is_dir() else Path(__file__).parents[2] / "recipes"


def bundled_domains() -> list[str]:
    """Return the domains that have an embedded recipe."""
    return sorted(recipe.stem for recipe in recipes_folder().glob("*.yaml"))


def bundled_recipe(domain: str) -> Path:
    """Return the path of a domain's embedded recipe. RecipeError if it has none."""
    if domain not in (known := bundled_domains()):
        raise RecipeError(
            f"domain {domain}: there is no embedded recipe for it, only for {', '.join(known)}{did_you_mean(domain, known)}"
        )
    return recipes_folder() / f"{domain}.yaml"


def recipe_to_save(domain: str) -> str:
    """Return the text of a domain's embedded recipe with its comments; paths are absolute, so it can be saved anywhere."""
    path = bundled_recipe(domain)
    text = path.read_text(encoding="utf-8")
    for token in reversed(list(yaml.scan(text))):
        if isinstance(token, yaml.ScalarToken) and token.value.startswith(("./", "../")):
            there = json.dumps(str(in_folder(path.parent, token.value)), ensure_ascii=False)
            text = text[: token.start_mark.index] + there + text[token.end_mark.index :]
    return FOR_EDITORS + text


def recipe_for_endpoints(domain: str) -> str:
    """Return the text of a recipe with sources behind URLs, for prompts with the columns that the embedded recipe reads."""
    embedded = load(bundled_recipe(domain))
    (prompts,) = embedded.prompts
    columns = yaml.safe_dump(prompts.columns, default_flow_style=True, sort_keys=False).strip()
    text = (recipes_folder() / "templates" / "endpoints.yaml").read_text(encoding="utf-8")
    if isinstance(embedded.verify, VerifyDialogue):
        read = {"kb": "kb.jsonl", "columns": embedded.verify.columns}
        of_kb = yaml.safe_dump(read, default_flow_style=True, sort_keys=False, width=1000).strip()
        text = text.replace(
            "\nsources:\n", f"\nverify: {of_kb}    # your knowledge base, and the columns to read\n\nsources:\n"
        )
    if (judge := FIRST_JUDGES.get(type(embedded.verify))) is not None:
        text = re.sub(r"^score: null .*", judge, text, flags=re.MULTILINE)
    return FOR_EDITORS + text.replace("domain: math", f"domain: {domain}").replace(
        "{prompt: question, reference: answer}", columns
    )


def resolve(recipe: Recipe) -> Recipe:
    """Return the recipe with what its files determine: the revision of every model folder, of every file with imported
    scores and of the knowledge base, and the text of every rubric.

    RecipeError if a model folder, a rubric, a knowledge base or a revision is missing.
    """

    def source(section: Source, where: str) -> Source:
        if isinstance(section, ResponsesSource):
            return section.model_copy(update={"revision": _scores_revision(section, where)}) if section.judge else section
        if isinstance(section, ServeSource):
            return _pinned(section, recipe.folder, where)
        return _pinned(section, recipe.folder, where) if isinstance(section, LocalSource) else section

    verify = _with_kb(recipe.verify)

    def reward(section: Reward, where: str) -> Reward:
        if isinstance(section, EntityF1):
            return section.model_copy(update={"revision": getattr(verify, "revision", None) or "rows"})
        if isinstance(section, LLMJudge):
            return _with_rubric(section, recipe.folder)
        if isinstance(section, ChatJudge):
            asked = {name: getattr(section, name) for name in ("prompt", "with_reference")}
            return section.model_copy(update={name: with_published(one) for name, one in asked.items() if one is not None})
        return _pinned(section, recipe.folder, where) if isinstance(section, LocalReward) else section

    return recipe.model_copy(
        update={
            "sources": [source(one, f"sources.{at}") for at, one in enumerate(recipe.sources)],
            "score": [reward(one, f"score.{at}" if len(recipe.score) > 1 else "score") for at, one in enumerate(recipe.score)],
            "verify": verify,
        }
    )


def _with_kb(verify: Verify) -> Verify:
    """Return the section with a revision of the knowledge base: the digest of its file and of the options for reading it."""
    if not isinstance(verify, VerifyDialogue) or (path := verify.kb_path) is None:
        return verify
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RecipeError(f"verify.kb: {verify.kb} cannot be read (looked at {path}): {error.strerror or error}") from error
    how = canonical_json({"columns": verify.columns, "spellings": verify.spellings})
    return verify.model_copy(update={"revision": hashlib.sha256(content + how.encode()).hexdigest()[:12]})


def _pinned(section: Model, folder: Path, where: str) -> Model:
    """Return the section with the digest of a model folder's files as revision. A name that looks like a path must exist."""
    if section.location is None and (section.folder is not None or section.model.startswith((".", "/", "~"))):
        raise RecipeError(f"{where}: model folder not found: {section.place} (looked at {in_folder(folder, section.place)})")
    if section.location is None or section.revision is not None:
        return section
    return section.model_copy(update={"revision": fingerprint(section.location)})


def _with_rubric(reward: LLMJudge, folder: Path) -> LLMJudge:
    if reward.rubric_path is None:
        return reward
    path = in_folder(folder, reward.rubric_path)
    try:
        rubric = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else error
        raise RecipeError(f"{reward.origin.section}.rubric_path: {path} cannot be read: {said or error}") from error
    if not rubric:
        raise RecipeError(f"{reward.origin.section}.rubric_path: {path} is empty; write down what makes an answer good")
    return reward.model_copy(update={"rubric": rubric, "rubric_path": None})


def _scores_revision(source: ResponsesSource, where: str) -> str | None:
    """Return the version of a source's imported scores: a digest of its file or folder, or the revision of a hub dataset.

    None for a missing file, which is reported when it is read. RecipeError for a dataset without a revision.
    """
    if source.location is None:
        if source.revision is None:
            whose = f"{source.dataset}: scores of judge '{source.judge}'"
            raise RecipeError(f"{where}: {whose} need the dataset's revision: revision: <commit>")
        return source.revision
    if source.path is None:
        return fingerprint(source.location)
    if not source.files:
        return None
    hasher = hashlib.sha256()
    for path in source.files:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                hasher.update(block)
    return "local-" + hasher.hexdigest()[:12]
