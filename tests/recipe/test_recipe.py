"""Recipes: what a user's mistake looks like on the screen, and what stays the same when a recipe is written in another way."""

import json
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from datakit.check.preflight import preflight
from datakit.domains import domain_of
from datakit.errors import BadInput, RecipeError
from datakit.options import Options
from datakit.recipe import Requested, ServeSource, assign, digest, load, parse
from datakit.recipe.files import bundled_recipe, resolve
from datakit.recipe.section import in_folder
from datakit.screen.watch import Watch
from tests.helpers.folders import ROOT

PROMPTS = "domain: math\nprompts: [{type: file, path: p.jsonl}]\n"
ENDPOINT = "sources: [{type: endpoint, model: m, base_urls: [http://x/v1]}]\n"
SMALL = PROMPTS + ENDPOINT
JUDGE = "score: {type: armorm, model: j, revision: r}\n"


def endpoint(fields):
    """A small recipe whose only source has these fields too."""
    return PROMPTS + f"sources: [{{type: endpoint, model: m, base_urls: [http://x/v1], {fields}}}]\n"


def values(text=SMALL, **sections):
    return yaml.safe_load(text) | sections


def read(text=SMALL, folder=Path("here")):
    return parse(yaml.safe_load(text), name="r.yaml", folder=folder)


def message(tmp_path, text):
    """What the user sees when this file is loaded, without the folder in front of its name."""
    path = tmp_path / "r.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RecipeError) as caught:
        load(path)
    return str(caught.value).replace(f"{tmp_path}/", "")


# ----------------------------------------------------------------------------------------------------------- mistakes

MISSPELT = {
    # a field that there is not: where it stands, what it has, the nearest name or all names
    "top level": (SMALL + "selct: {}\n", "r.yaml: selct: extra field not permitted (got {}); did you mean 'select'?"),
    "nothing near": (
        SMALL + "zzz: 1\n",
        "r.yaml: zzz: extra field not permitted (got 1); known here: budget, curate, domain, export, limits, probe, prompts, "
        "score, select, sources, verify",
    ),
    "endpoint": (
        endpoint("modle: n"),
        "r.yaml: sources.0.modle: extra field not permitted (got 'n'); did you mean 'model'?",
    ),
    "second source": (
        PROMPTS
        + "sources: [{type: endpoint, model: m, base_urls: [http://u]}, {type: serve, model: n, engine: vllm, pyhton: p}]",
        "r.yaml: sources.1.pyhton (n): extra field not permitted (got 'p'); did you mean 'python'?",
    ),
    "the other kind's field": (
        PROMPTS + "sources: [{type: serve, engine: vllm, model: m, api_key_env: K}]",
        "r.yaml: sources.0.api_key_env: extra field not permitted (got 'K'); known here: args, complete, dtype, engine, env, "
        "extra_body, folder, force_reasoning, max_in_flight, model, n, omit, pass_env, patience_s, prefill, price, python, "
        "request, residue, restarts, revision, sampling, sampling_by, start_timeout_s, system, template, tensor_parallel_size, "
        "timeout_s, together, tokenizer, type",
    ),
    "sampling": (
        endpoint("sampling: {temprature: 0.8}"),
        "r.yaml: sources.0.sampling.temprature: extra field not permitted (got 0.8); did you mean 'temperature'?",
    ),
    "price": (
        endpoint("price: {inptu: 0.8}"),
        "r.yaml: sources.0.price.inptu: extra field not permitted (got 0.8); did you mean 'input'?",
    ),
    "file prompts": (
        "domain: math\nprompts: [{type: file, path: p, colums: {}}]\n" + ENDPOINT,
        "r.yaml: prompts.0.colums: extra field not permitted (got {}); did you mean 'columns'?",
    ),
    "hub prompts": (
        "domain: math\nprompts: [{type: hub, dataset: d, splt: test}]\n" + ENDPOINT,
        "r.yaml: prompts.0.splt: extra field not permitted (got 'test'); did you mean 'split'?",
    ),
    "responses": (
        "domain: math\nsources: [{type: responses, path: p, colunms: {}}]\n",
        "r.yaml: sources.0.colunms: extra field not permitted (got {}); did you mean 'columns'?",
    ),
    "score without a list": (
        SMALL + "score: {type: armorm, model: j, revison: x}\n",
        "r.yaml: score.revison: extra field not permitted (got 'x'); did you mean 'revision'?",
    ),
    "a device that torch does not know": (
        SMALL + "score: {type: armorm, model: j, devices: [cpu, gpu]}\n",
        "r.yaml: score.devices: unknown device 'gpu'; give cpu, cuda:0, cuda:1, mps, ... (got ['cpu', 'gpu'])",
    ),
    "score in a list": (
        SMALL + "score: [{type: armorm, model: j}, {type: armorm, model: k, revison: x}]\n",
        "r.yaml: score.1.revison (k): extra field not permitted (got 'x'); did you mean 'revision'?",
    ),
    "select": (
        SMALL + "select: {marign: [0, 1]}\n",
        "r.yaml: select.marign: extra field not permitted (got [0, 1]); did you mean 'margin'?",
    ),
    "verify": (
        SMALL + "verify: {timeout: 3}\n",
        "r.yaml: verify.timeout: extra field not permitted (got 3); did you mean 'timeout_s'?",
    ),
    "limits": (
        SMALL + "limits: {min_pair: 3}\n",
        "r.yaml: limits.min_pair: extra field not permitted (got 3); did you mean 'min_pairs'?",
    ),
    "two problems, two lines": (
        "domain: math\nprompts: [{type: file, pth: p}]\n" + ENDPOINT,
        "r.yaml: prompts.0.path: field required\n"
        "r.yaml: prompts.0.pth: extra field not permitted (got 'p'); did you mean 'path'?",
    ),
    "a field called like its type": (
        "domain: math\nprompts: [{type: file, file: p.jsonl}]\n" + ENDPOINT,
        "r.yaml: prompts.0.path: field required\n"
        "r.yaml: prompts.0.file: extra field not permitted (got 'p.jsonl'); known here: columns, on_bad_row, path, "
        "template, type, where",
    ),
}

WRONG = {
    "a field that no request does without": (
        endpoint("omit: [seed, model]"),
        "r.yaml: sources.0.omit: model: every request needs it (got ['seed', 'model'])",
    ),
    "a secret in the file": (
        endpoint("headers: {api-key: sk-0123}"),
        "r.yaml: sources.0.headers: api-key looks like a secret, and recipes are stored: write api-key: ${NAME}, and export "
        "NAME=...",
    ),
    "a header that is the client's": (
        endpoint("headers: {content-type: text/plain}"),
        "r.yaml: sources.0.headers: a request cannot have the header 'content-type'; leave it out",
    ),
    "an odd variable": (
        endpoint("headers: {x: '${A-B}'}"),
        "r.yaml: sources.0.headers: the value of x must be one line of ASCII, and name environment variables as ${NAME}",
    ),
    "a header in two spellings": (
        endpoint("headers: {x-a: b, X-A: c}"),
        "r.yaml: sources.0.headers: a header appears twice (upper and lower case make no difference)",
    ),
    # values of a wrong type or out of range; YAML's own surprises (yes, on, ~, dates) among them
    "no samples": (
        endpoint("n: 0"),
        "r.yaml: sources.0.n: 0 gives no answers; a source that only reads texts needs a probe section",
    ),
    "a revision of digits": (
        endpoint("revision: 12345678"),
        "r.yaml: sources.0.revision: input should be a valid string (got 12345678)",
    ),
    "a revision that is a date": (
        endpoint("revision: 2024-01-02"),
        "r.yaml: sources.0.revision: input should be a valid string (got datetime.date(2024, 1, 2))",
    ),
    "one URL": (
        PROMPTS + "sources: [{type: endpoint, model: m, base_urls: http://x/v1}]",
        "r.yaml: sources.0.base_urls: input should be a valid list (got 'http://x/v1')",
    ),
    "temperature below 0": (
        endpoint("sampling: {temperature: -1}"),
        "r.yaml: sources.0.sampling.temperature: input should be greater than or equal to 0 (got -1)",
    ),
    "temperature is not a number": (
        endpoint("sampling: {temperature: .nan}"),
        "r.yaml: sources.0.sampling.temperature: input should be greater than or equal to 0 (got nan)",
    ),
    "share above 1": (
        SMALL + "select: {sft_share: 1.5}\n",
        "r.yaml: select.sft_share: input should be less than or equal to 1 (got 1.5)",
    ),
    "a rule nearly right": (
        SMALL + "select: {split: pairs_frist}\n",
        "r.yaml: select.split: input should be 'pairs_first', 'share' or 'hash' (got 'pairs_frist'); did you mean "
        "'pairs_first'?",
    ),
    "a word where a mapping may stand, too": (
        SMALL + "select: {pairing: same_sorce}\n",
        "r.yaml: select.pairing: input should be 'same_source' or 'any_source', or {chosen: ..., rejected: ...} "
        "(got 'same_sorce'); did you mean 'same_source'?",
    ),
    "of several sources, which one": (
        PROMPTS
        + "sources: [{type: endpoint, model: a, base_urls: [http://u]}, {type: responses, path: b.jsonl, judge: mean_rank}]",
        "r.yaml: sources.1 (b.jsonl): judge: 'mean_rank' means all judges in select.judge; give another name",
    ),
    "a rule that there is not": (
        SMALL + "select: {split: both}\n",
        "r.yaml: select.split: input should be 'pairs_first', 'share' or 'hash' (got 'both')",
    ),
    "a column that is not a name": (
        "domain: math\nprompts: [{type: file, path: p, columns: {prompt: yes}}]\n" + ENDPOINT,
        "r.yaml: prompts.0.columns: prompt must be the name of a column; prompt, reference, choices may have a list of "
        "several different ones (got True)",
    ),
    "one column for a mapping": (
        "domain: math\nprompts: [{type: file, path: p, columns: question}]\n" + ENDPOINT,
        "r.yaml: prompts.0.columns: input should be a valid dictionary (got 'question')",
    ),
    "sources is a mapping": (
        PROMPTS + "sources: {type: endpoint, model: m}\n",
        "r.yaml: sources: input should be a valid list",
    ),
    "sources left empty": (PROMPTS + "sources:\n", "r.yaml: sources: input should be a valid list (got None)"),
    "no sources": (
        PROMPTS + "sources: []\n",
        "r.yaml: sources: list should have at least 1 item after validation, not 0 (got [])",
    ),
    "a source is a word": (
        PROMPTS + "sources: [m]\n",
        "r.yaml: sources.0: input should be a mapping (got 'm')",
    ),
    "YAML's yes for a key": (SMALL + "yes: 1\n", "r.yaml: 1: keys should be strings (got True)"),
    "no domain": (ENDPOINT + "prompts: [{type: file, path: p}]\n", "r.yaml: domain: field required"),
    "no base_urls": (PROMPTS + "sources: [{type: endpoint, model: m}]", "r.yaml: sources.0.base_urls: field required"),
    "no engine": (PROMPTS + "sources: [{type: serve, model: m}]", "r.yaml: sources.0.engine: field required"),
    "an unknown source": (
        PROMPTS + "sources: [{type: endpiont, model: m}]",
        "r.yaml: sources.0.type: 'endpiont' is none of endpoint, serve, local, responses; did you mean 'endpoint'?",
    ),
    "an unknown judge": (
        SMALL + "score: {type: armrm, model: j}\n",
        "r.yaml: score.type: 'armrm' is none of armorm, classifier, served, llm_judge, pairwise, grade, entity_f1; "
        "did you mean 'armorm'?",
    ),
    "a judge like no other": (
        SMALL + "score: {type: 7, model: j}\n",
        "r.yaml: score.type: '7' is none of armorm, classifier, served, llm_judge, pairwise, grade, entity_f1",
    ),
    "a judge is a word": (SMALL + "score: armorm\n", "r.yaml: score: input should be a mapping (got 'armorm')"),
    "a judge without a type": (
        SMALL + "score: {model: j}\n",
        "r.yaml: score.type: field required; one of armorm, classifier, served, llm_judge, pairwise, grade, entity_f1",
    ),
    "a judge without a model": (SMALL + "score: {type: armorm}\n", "r.yaml: score.model: field required"),
}

TOGETHER = {
    # what no single field says
    "no prompts": (
        "domain: math\n" + ENDPOINT,
        "r.yaml: no prompts: add a prompts section, or a responses source that brings its own",
    ),
    "one model twice": (
        PROMPTS + "sources: [{type: endpoint, model: m, base_urls: [http://u]}, {type: responses, path: x}, "
        "{type: endpoint, model: m, base_urls: [http://v], n: 3}]",
        "r.yaml: sources.0 and sources.2 are the same model (m) with the same sampling; "
        "replicas of one model go into one source's base_urls",
    ),
    "two places": (
        "domain: math\nsources: [{type: responses, path: x, dataset: y}]\n",
        "r.yaml: sources.0: a responses source has either path or dataset",
    ),
    "no place": (
        "domain: math\nsources: [{type: responses}]\n",
        "r.yaml: sources.0: a responses source has either path or dataset",
    ),
    "margin without a judge": (
        SMALL + "select: {margin: [0.1, 0.2]}\n",
        "r.yaml: select.margin must be null without a judge (score: null)",
    ),
    "demos by a word that there is not": (
        SMALL + "select: {demos_per_prompt: some}\n",
        "r.yaml: select.demos_per_prompt: must be one, all, or a number of answers from 1 on (got 'some')",
    ),
    "no demos a prompt": (
        SMALL + "select: {demos_per_prompt: 0}\n",
        "r.yaml: select.demos_per_prompt: must be one, all, or a number of answers from 1 on (got 0)",
    ),
    "margin the wrong way round": (
        SMALL + JUDGE + "select: {margin: [0.2, 0.1]}\n",
        "r.yaml: select: margin must be [low, high], got [0.2, 0.1]",
    ),
    "half a margin": (
        SMALL + JUDGE + "select: {margin: [0.2]}\n",
        "r.yaml: select.margin: list should have at least 2 items after validation, not 1 (got [0.2])",
    ),
    "a number for the margin": (
        SMALL + JUDGE + "select: {margin: 0.2}\n",
        "r.yaml: select.margin: input should be a valid list, or {quantiles: ...} (got 0.2)",
    ),
}

NOT_RECIPES = {
    "not YAML": (
        "domain: [\n",
        "r.yaml: line 2, column 1: not valid YAML: while parsing a flow node, expected the node content, but found "
        "'<stream end>'",
    ),
    "a tab": (
        "domain:\n\tx\n",
        "r.yaml: line 2, column 1: not valid YAML: while scanning for the next token, found character '\\t' that cannot start "
        "any token\n  \tx\n  ^",
    ),
    "a section twice": (
        SMALL + "score: null\nscore: {type: armorm, model: m}\n",
        f"r.yaml: line {SMALL.count(chr(10)) + 2}, column 1: 'score' appears here a second time (the first is in line "
        f"{SMALL.count(chr(10)) + 1}); leave one out\n  score: {{type: armorm, model: m}}\n  ^",
    ),
    "a list": ("- a\n", "r.yaml: a recipe is a mapping with domain, prompts, sources, ...; got ['a']"),
    "an empty file": ("", "r.yaml: a recipe is a mapping with domain, prompts, sources, ...; got None"),
    "a text": ("hello", "r.yaml: a recipe is a mapping with domain, prompts, sources, ...; got 'hello'"),
}


@pytest.mark.parametrize(("text", "expected"), MISSPELT.values(), ids=MISSPELT)
def test_a_misspelt_field(tmp_path, text, expected):
    assert message(tmp_path, text) == expected


@pytest.mark.parametrize(("text", "expected"), WRONG.values(), ids=WRONG)
def test_a_wrong_value(tmp_path, text, expected):
    assert message(tmp_path, text) == expected


@pytest.mark.parametrize(("text", "expected"), TOGETHER.values(), ids=TOGETHER)
def test_fields_that_do_not_go_together(tmp_path, text, expected):
    assert message(tmp_path, text) == expected


@pytest.mark.parametrize(("text", "expected"), NOT_RECIPES.values(), ids=NOT_RECIPES)
def test_a_file_that_is_no_recipe(tmp_path, text, expected):
    assert message(tmp_path, text) == expected


def test_a_source_without_a_type_is_told_which_types_there_are(tmp_path):
    shown = message(tmp_path, PROMPTS + "sources: [{model: m, base_urls: [http://u]}]")
    assert shown.startswith("r.yaml: sources.0")
    for known in ("endpoint", "serve", "responses"):
        assert known in shown


def test_an_empty_mapping_lacks_fields(tmp_path):
    assert message(tmp_path, "{}") == "r.yaml: domain: field required\nr.yaml: sources: field required"


@pytest.mark.parametrize("section", ["verify", "select", "limits"])
def test_a_section_left_empty_does_not_speak_of_python(tmp_path, section):
    assert "instance of" not in message(tmp_path, f"{SMALL}{section}:\n")


NUMBERS = {
    "n: five": "'five'", "n: 2.5": "2.5", "n: yes": "True", "max_in_flight: off": "False",
    "sampling: {temperature: on}": "True", "timeout_s: yes": "True", "price: {input: free}": "'free'",
}  # fmt: skip


@pytest.mark.parametrize(("field", "given"), NUMBERS.items(), ids=NUMBERS)
def test_what_is_no_number(tmp_path, field, given):
    """YAML's yes and on are booleans: `n: yes` would otherwise be one sample a prompt."""
    shown = message(tmp_path, endpoint(field))
    assert shown.startswith("r.yaml: sources.0.")
    assert "input should be a valid" in shown
    assert shown.endswith(f"(got {given})")


def test_what_is_no_text(tmp_path):
    assert message(tmp_path, endpoint("system: yes")) == "r.yaml: sources.0.system: input should be a valid string (got True)"


@pytest.mark.parametrize("twice", ["n: 1, n: 2", "n: 2, n: 2", "sampling: {top_p: 1.0, top_p: 0.9}", "'n': 1, n: 2"])
def test_a_key_that_stands_twice_is_named(tmp_path, twice):
    """Controls: the field in two sections, and one that takes the place of a merged one, also of an anchor that merges."""
    said = message(tmp_path, endpoint(twice))
    assert "appears here a second time (the first is in line" in said and "not valid YAML" not in said
    anchored = (
        "{type: endpoint, model: a, base_urls: [http://x/v1], sampling: &s {<<: &t {top_p: 1.0}, top_p: 0.9}, n: 1},"
        "{type: endpoint, model: b, base_urls: [http://x/v1], sampling: {<<: *s, top_p: 0.8}, n: 1}"
    )
    (tmp_path / "r.yaml").write_text(PROMPTS + f"sources: [{anchored}]\n")
    assert [source.settings["top_p"] for source in load(tmp_path / "r.yaml").sampled] == [0.9, 0.8]


@pytest.mark.parametrize("text", ["revision: 2024-13-01", "extra_body: {seed: !!int x}"])
def test_a_scalar_that_yaml_cannot_read_is_a_recipe_error(tmp_path, text):
    assert message(tmp_path, endpoint(text)).startswith("r.yaml: not valid YAML: ")


@pytest.mark.parametrize("body", ["{since: 2024-01-02}", "{stop: !!set {a}}", "{x: !!binary aGk=}", "{x: .nan}"])
def test_an_extra_body_that_json_cannot_write_is_a_recipe_error(tmp_path, body):
    assert "extra_body" in message(tmp_path, endpoint(f"extra_body: {body}"))


@pytest.mark.parametrize("margin", ["[.nan, 0.1]", "[0.1, .nan]"])
def test_a_margin_that_is_not_a_number(tmp_path, margin):
    assert "margin" in message(tmp_path, SMALL + JUDGE + f"select: {{margin: {margin}}}\n")


@pytest.mark.parametrize("name", ["nowhere.yaml", "."])
def test_a_file_that_cannot_be_read(tmp_path, name):
    with pytest.raises(RecipeError, match=r"cannot be read as a recipe: .*(No such file|Is a directory)"):
        load(tmp_path / name)


def test_a_file_that_is_not_text(tmp_path):
    (tmp_path / "r.yaml").write_bytes(b"domain: \xff\n")
    with pytest.raises(RecipeError, match=r"r\.yaml: cannot be read as a recipe: 'utf-8' codec can't decode"):
        load(tmp_path / "r.yaml")


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.dictionaries(st.sampled_from(["domain", "prompts", "sources", "score", "select", "verify", "limits", "x"]), json_like),
    st.dictionaries(st.sampled_from(["type", "model", "base_urls", "n", "sampling", "price", "file", "path"]), json_like),
    st.sampled_from(["endpoint", "serve", "responses"]),
)
def test_whatever_is_written_is_a_recipe_or_a_recipe_error(sections, source, type):
    try:
        parse(values() | {"sources": [{"type": type} | source]} | sections, name="r", folder=Path())
    except RecipeError as error:
        assert all(line.startswith("r: ") for line in str(error).split("\n") if line)


# ---------------------------------------------------------------------------------------------------- what is allowed


def test_a_responses_source_brings_its_own_prompts():
    recipe = read("domain: math\nsources: [{type: responses, path: old.jsonl}]\n")
    assert recipe.sampled == []
    assert [source.location for source in recipe.imported] == [Path("here/old.jsonl").absolute()]


def test_one_model_with_two_samplings_is_two_sources():
    two = [{"type": "endpoint", "model": "m", "base_urls": ["http://u/v1"], "sampling": {"temperature": t}} for t in (0.7, 0.8)]
    assert len(parse(values(sources=two), "r", Path()).sampled) == 2


@pytest.mark.parametrize("written", ["", "score: null\n", "score: []\n"])
def test_no_judge(written):
    assert read(SMALL + written).score == []


def test_one_judge_may_stand_without_a_list():
    assert read(SMALL + JUDGE) == read(SMALL + "score: [{type: armorm, model: j, revision: r}]\n")


def test_yaml_merges_serve_for_repetition():
    recipe = read(
        PROMPTS + "sources:\n  - &a {type: endpoint, model: m, base_urls: [http://u], n: 5}\n  - {<<: *a, model: n}\n"
    )
    assert [(source.model, source.n) for source in recipe.sampled] == [("m", 5), ("n", 5)]


def test_a_recipe_is_frozen():
    recipe = read()
    with pytest.raises(ValidationError, match="frozen"):
        recipe.domain = "code"
    with pytest.raises(ValidationError, match="frozen"):
        recipe.sources[0].sampling.temperature = 1.0


def test_every_recipe_of_the_project_parses(recipe_file):
    recipe = load(recipe_file)
    assert digest(parse(recipe.model_dump(mode="json"), "again", recipe.folder)) == digest(recipe)


def pytest_generate_tests(metafunc):
    if "recipe_file" in metafunc.fixturenames:
        others = ("train", "eval", "suites", "mk-tod")
        files = sorted(file for file in ROOT.glob("recipes/**/*.yaml") if file.parent.name not in others)
        metafunc.parametrize("recipe_file", files, ids=[file.relative_to(ROOT).as_posix() for file in files])


def test_each_domain_has_an_embedded_recipe():
    assert load(bundled_recipe("math")).domain == "math"


def test_a_domain_without_an_embedded_recipe():
    with pytest.raises(RecipeError, match=r"^domain maht: there is no embedded recipe .*, mcq; did you mean 'math'\?$"):
        bundled_recipe("maht")


# ---------------------------------------------------------------------------------- what is found after it was parsed

LATER = {
    "a domain": (SMALL.replace("math", "maths"), "r.yaml: domain: unknown domain 'maths'; known: .*; did you mean 'math'\\?"),
    "a variable": (
        endpoint("api_key_env: NO_SUCH_KEY"),
        r"r.yaml: sources.0.api_key_env: the environment variable NO_SUCH_KEY is not set; export NO_SUCH_KEY=... or set "
        "api_key_env: null",
    ),
    "a variable of one of several sources": (
        PROMPTS + "sources: [{type: endpoint, model: m, base_urls: [http://u]}, "
        "{type: endpoint, model: org/n, base_urls: [http://v], headers: {x-key: '${NO_SUCH_KEY}'}}]",
        r"r.yaml: sources.1.headers.x-key \(org/n\): the environment variable NO_SUCH_KEY is not set; .*",
    ),
    "a folder that is not there": (
        PROMPTS + "sources: [{type: local, model: m, folder: gone}]",
        "r.yaml: sources.0: model folder not found: gone .*",
    ),
    "a judge": (
        SMALL + "score: {type: llm_judge, model: j, base_urls: [http://j]}\nselect: {judge: llm_juge}\n",
        r"r.yaml: select.judge: 'llm_juge' is not one of the recipe's judges: llm_judge.*; did you mean 'llm_judge'\?",
    ),
    "a source in pairing": (
        SMALL + "select: {pairing: {chosen: [m], rejected: [n]}}\n",
        "r.yaml: select.pairing.rejected: 'n' is none of the recipe's sources: m",
    ),
    "the rubric": (
        SMALL + "score: {type: llm_judge, model: j, base_urls: [http://j], rubric_path: gone.txt}\n",
        "r.yaml: score.rubric_path: .*gone.txt cannot be read: No such file or directory",
    ),
}


@pytest.mark.parametrize(("text", "expected"), LATER.values(), ids=LATER)
def test_what_is_found_after_parsing_names_the_file_and_the_source_too(tmp_path, text, expected):
    recipe = read(text, tmp_path)
    with pytest.raises(BadInput) as caught, recipe.named():
        resolved = resolve(recipe)
        preflight(resolved, domain_of(resolved), tmp_path / "run", Options(), Watch())
    assert re.fullmatch(expected, str(caught.value))


# --------------------------------------------------------------------------------------------------------- the digest


def shuffled(value, order):
    """The same mapping with the keys of every level in another order."""
    if isinstance(value, dict):
        keys = sorted(value, reverse=order)
        return {key: shuffled(value[key], order) for key in keys}
    return [shuffled(one, order) for one in value] if isinstance(value, list) else value


FULL = (
    PROMPTS
    + """
sources:
  - type: endpoint
    model: m
    base_urls: [http://u, http://v]
    n: 5
    sampling: {temperature: 0.8, top_p: 0.95, stop: [a, b]}
    extra_body: {top_k: 20, logit_bias: {"9": 1, "10": 2}}
verify: {timeout_s: 3}
select: {margin: [0.01, 0.1], per_prompt: one_per_source}
"""
    + JUDGE
)


def test_a_digest_does_not_see_the_order_of_fields():
    written = yaml.safe_load(FULL)
    assert len({digest(parse(shuffled(written, order), "r", Path())) for order in (False, True)}) == 1


@pytest.mark.parametrize(
    "same",
    [
        "select: {}\n",
        "select: {split: pairs_first, sft_share: 0.4, margin: null}\n",
        "verify: {timeout_s: null}\n",
        "select: {sft_share: 0.40}\n",
        "score: null\n",
        "limits: {min_pairs: 1, max_chosen_longer_share: 0.8}\n",
    ],
)
def test_a_digest_does_not_see_whether_a_default_is_written(same):
    assert digest(read(SMALL + same)) == digest(read(SMALL))


def test_a_digest_does_not_see_the_folder():
    assert digest(read(folder=Path("a"))) == digest(read(folder=Path("b")))


CHANGES = [
    ("domain", "code"),
    ("prompts.0.path", "other.jsonl"),
    ("prompts.0.columns", {"prompt": "question"}),
    ("sources.0.model", "other"),
    ("sources.0.revision", "abc"),
    ("sources.0.base_urls", ["http://u", "http://w"]),
    ("sources.0.n", 6),
    ("sources.0.request", "single"),
    ("sources.0.system", ""),
    ("sources.0.sampling.temperature", 0.81),
    ("sources.0.sampling.stop", ["b", "a"]),
    ("sources.0.extra_body.top_k", 21),
    ("sources.0.price", {"input": 1}),
    ("verify.timeout_s", 4),
    ("score.revision", "other"),
    ("select.margin", [0.01, 0.2]),
    ("select.length_ratio_max", 2),
    ("limits", {"min_pairs": 2}),
]


@pytest.mark.parametrize(("field", "value"), CHANGES, ids=[field for field, _ in CHANGES])
def test_a_digest_sees_every_change(field, value):
    changed = target = yaml.safe_load(FULL)
    *path, last = [int(part) if part.isdigit() else part for part in field.split(".")]
    for part in path:
        target = target[part]
    target[last] = value
    assert digest(parse(changed, "r", Path())) != digest(read(FULL))


def test_a_digest_is_written_down():
    """Runs store it: it must not move from one version of the project to the next by accident."""
    assert len(digest(read())) == 16
    assert digest(read()) == digest(parse(json.loads(json.dumps(read().model_dump(mode="json"))), "r", Path()))


# ---------------------------------------------------------------------------------------------- what shapes an answer

SAMPLING_TEXTS = {
    "nothing set": ("n: 3", "{}"),
    "what is set is in it, in one order": (
        "sampling: {top_p: 0.95, max_tokens: 8, temperature: 1}",
        '{"max_tokens":8,"temperature":1.0,"top_p":0.95}',
    ),
    "the system prompt": ("system: Être bref, sampling: {temperature: 0}", '{"system":"Être bref","temperature":0.0}'),
    "an empty system prompt is one": ("system: ''", '{"system":""}'),
    "the extra body": (
        "extra_body: {top_k: 20, repetition_penalty: 1.05}",
        '{"extra_body":{"repetition_penalty":1.05,"top_k":20}}',
    ),
    "an empty extra body is none": ("extra_body: {}", "{}"),
    "not how it is asked": ("request: single, max_in_flight: 2, timeout_s: 3, price: {input: 1}, api_key_env: K", "{}"),
    "null is not set": ("sampling: {temperature: null}", "{}"),
}  # fmt: skip


@pytest.mark.parametrize(("fields", "expected"), SAMPLING_TEXTS.values(), ids=SAMPLING_TEXTS)
def test_sampling_text(fields, expected):
    assert read(endpoint(fields)).sampled[0].sampling_text == expected


@pytest.mark.parametrize("bias", ["{9: 1, 10: -100}", "{9: 1, ten: -100}", '{"9": 1, "10": -100}'])
def test_sampling_text_survives_recipe_json(bias):
    """Token ids as keys are numbers in YAML and texts in JSON; a resumed run must not see other settings."""
    recipe = read(endpoint(f"extra_body: {{logit_bias: {bias}}}"))
    stored = json.loads(json.dumps(recipe.model_dump(mode="json")))
    assert parse(stored, "recipe.json", Path()).sampled[0].sampling_text == recipe.sampled[0].sampling_text
    (first,), (again,) = recipe.sampled, parse(stored, "recipe.json", Path()).sampled
    assert isinstance(first, Requested) and isinstance(again, Requested)
    assert again.extra_body == first.extra_body


# -------------------------------------------------------------------------------------------------------------- --set


def test_set_changes_one_field():
    recipe = assign(read(FULL), ["select.margin=[0.02, 0.2]", "limits.min_pairs=null", "select.per_prompt=one"])
    assert (recipe.select.margin, recipe.limits.min_pairs, recipe.select.per_prompt) == ([0.02, 0.2], None, "one")
    assert recipe.sources == read(FULL).sources


def test_set_keeps_the_folder_and_the_recipe():
    before = read(FULL, folder=Path("/somewhere"))
    after = assign(before, ["select.margin=null"])
    assert (after.folder, before.select.margin, after.select.margin) == (Path("/somewhere"), [0.01, 0.1], None)


def test_the_last_set_wins():
    assert assign(read(FULL), ["select.sft_share=0.1", "select.sft_share=0.2"]).select.sft_share == 0.2


SETTINGS = {
    "select.margin": "--set select.margin: write it as section.field=value, for example select.margin=[0.01,0.1]",
    "select.marign=null": "select.marign: extra field not permitted (got None); did you mean 'margin'?",
    "select.margin=[0.2,0.1]": "select: margin must be [low, high], got [0.2, 0.1]",
    "select.margin=[": "--set select.margin=[: '[' is not valid YAML",
    "selct.margin=null": "--set selct.margin=null: there is no section 'selct'; did you mean 'select'?",
    "select.margin.low=1": "--set select.margin.low=1: there is no section 'select.margin'",
    "select.sft_share=2024-13-01": "--set select.sft_share=2024-13-01: '2024-13-01' is not valid YAML",
    "score=null": "select.margin must be null without a judge (score: null)",
}


@pytest.mark.parametrize(("setting", "expected"), SETTINGS.items(), ids=SETTINGS)
def test_a_setting_that_cannot_be_set(setting, expected):
    with pytest.raises(RecipeError) as caught:
        assign(read(FULL), [setting])
    assert str(caught.value) == expected


# -------------------------------------------------------------------------------------------------------------- paths


def test_paths_are_relative_to_the_recipes_file(tmp_path, monkeypatch):
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "r.yaml").write_text(SMALL)
    monkeypatch.chdir(tmp_path)
    recipe = load(Path("recipes/r.yaml"))
    monkeypatch.chdir("/")
    assert in_folder(recipe.folder, "../data/p.jsonl") == tmp_path / "data" / "p.jsonl"
    assert in_folder(recipe.folder, "/data/p.jsonl") == Path("/data/p.jsonl")


def test_a_path_may_start_at_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert in_folder(read().folder, "~/p.jsonl") == tmp_path / "p.jsonl"


def served(model, beside, **fields):
    source = {"type": "serve", "engine": "transformers", "model": model, **fields}
    return parse({"domain": "math", "prompts": [{"type": "file", "path": "p"}], "sources": [source]}, "r.yaml", beside)


def test_a_model_is_a_folder_or_a_name_on_the_hub(tmp_path):
    (tmp_path / "models" / "llama").mkdir(parents=True)
    for name, location in {"models/llama": tmp_path / "models" / "llama", "google/gemma-2-27b-it": None}.items():
        [source] = resolve(served(name, tmp_path)).sampled
        assert isinstance(source, ServeSource)
        assert (source.name, source.location) == (name, location)
        assert (source.revision is not None) == (location is not None), "a folder's files make its revision"
        assert source.requested_model == str(location or name)


@pytest.mark.parametrize("model", ["./llama", "../llama", "/nowhere/llama", "~/llama"])
def test_a_model_that_looks_like_a_folder_must_be_one(tmp_path, model):
    recipe = served(model, tmp_path)
    with pytest.raises(RecipeError, match=r"model folder not found: .*llama \(looked at /.*llama\)"):
        resolve(recipe)


def test_a_model_has_one_name_wherever_its_folder_is(tmp_path):
    """What its answers are called by, and so their ids and seeds, are name and files."""
    places = [tmp_path / "here" / "llama", tmp_path / "there" / "weights"]
    for place in places:
        place.mkdir(parents=True)
        (place / "config.json").write_text("{}")
    here, there = (resolve(served("org/llama", tmp_path, folder=str(place))).sampled[0] for place in places)
    assert isinstance(here, ServeSource) and isinstance(there, ServeSource)
    assert (here.model, here.revision, here.sampling_text) == (there.model, there.revision, there.sampling_text)
    assert [here.requested_model, there.requested_model] == [str(place) for place in places]
    (places[1] / "config.json").write_text("{ }")
    assert resolve(served("org/llama", tmp_path, folder="there/weights")).sampled[0].revision != here.revision
    moved = served("org/llama", tmp_path, folder="gone")
    assert moved.sampled[0].model == "org/llama", "a run can be read where its models are not"
    with pytest.raises(RecipeError, match=r"model folder not found: gone \(looked at /.*gone\)"):
        resolve(moved)


def test_a_recipe_error_is_bad_input():
    assert issubclass(RecipeError, BadInput)
    assert RecipeError.exit_status == 2
