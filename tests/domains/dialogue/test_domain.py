"""Prompts of dialogues in every published form, with what was retrieved in them; and counting, as the baseline it is."""

import gzip
import json
from typing import Any

import pytest

from datakit.domains.dialogue.domain import NO_VALUES, Dialogue
from datakit.domains.dialogue.knowledge import KnowledgeBase, load
from datakit.domains.dialogue.retrieve import Count, Retrieved, as_text
from datakit.errors import BadInput, BadRow, RecipeError
from datakit.recipe import VerifyDialogue, parse, resolve
from tests.domains.dialogue.test_verifier import COLUMNS, KB, ROWS
from tests.helpers.command import datakit, rows_of
from tests.helpers.folders import ROOT
from train.retriever import knowledge as trained_on

ASK, NAME, MORE, PHONE = "A cheap fish place?", "Blue Gull is cheap.", "Their phone?", "It is 555 111."
FORMS = {
    "user and system": [{"user": ASK, "system": NAME}, {"user": MORE, "system": PHONE}],
    "role and content": [{"role": role, "content": text} for role, text in
                         (("user", ASK), ("assistant", NAME), ("user", MORE), ("assistant", PHONE))],
    "ConvLab": [{"speaker": role, "utterance": text, "dialogue_acts": {}} for role, text in
                (("system", "Hello!"), ("user", ASK), ("system", NAME), ("user", MORE), ("system", PHONE))],
    "KVRET": [{"turn": role, "data": {"utterance": text, "end_dialogue": False}} for role, text in
              (("driver", ASK), ("assistant", NAME), ("driver", MORE), ("assistant", PHONE))],
}  # fmt: skip


@pytest.fixture
def domain(tmp_path):
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in ROWS]
    (tmp_path / "kb.json").write_text(json.dumps(rows))
    options = VerifyDialogue(kb="kb.json", spellings={"harbor": "harbour"}, top=1)
    options.locate(tmp_path)
    return Dialogue(options)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("as_json", [False, True])
def test_a_dialogue_is_a_prompt_for_each_of_its_answers(domain, form, as_json):
    messages = json.dumps(FORMS[form]) if as_json else FORMS[form]
    first, second = domain.read([{"prompt_id": "d", "messages": messages}], "f")
    assert [first.prompt_id, second.prompt_id] == ["d/0", "d/1"] and first.dropped is second.dropped is None
    assert first.messages[-1]["content"] == (
        "From the knowledge base, the best match first:\n1. name: Blue Gull; area: harbour; food: fish; price: cheap; "
        "address: 4 Mill Lane; phone: 555 111 (high confidence, new)\n\n" + ASK
    )
    assert [message["role"] for message in second.messages] == ["user", "assistant", "user"]
    assert second.messages[1]["content"] == NAME and "(high confidence, mentioned before)" in second.messages[-1]["content"]
    assert json.loads(second.reference) == {"entities": ["blue gull"], "response": PHONE, "values": ["555 111"]}
    assert domain.gold(second) == PHONE


def test_one_turn_with_its_answer_is_one_prompt(domain):
    (prompt,) = domain.read([{"prompt": ASK, "reference": NAME}], "f")
    whole, _ = domain.read([{"messages": FORMS["user and system"]}], "f")
    assert (prompt.messages, prompt.reference) == (whole.messages, whole.reference)


@pytest.mark.parametrize("reference", [None, "You are welcome.", 3])
def test_an_answer_without_values_is_dropped(domain, reference):
    (prompt,) = domain.read([{"prompt": ASK, "reference": reference}], "f")
    assert (prompt.dropped, prompt.reference) == (NO_VALUES, None)


def test_the_knowledge_of_a_row_is_asked_and_kept(domain):
    items = [{"event": "tea", "party": "tom"}, {"event": "dinner", "party": "ann"}]
    row = {"prompt": "Who is at dinner?", "reference": "Ann is.", "knowledge": json.dumps(items)}
    (prompt,) = Dialogue(VerifyDialogue(top=1)).read([row], "f")
    assert "1. event: dinner; party: ann" in prompt.messages[-1]["content"] and "tea" not in prompt.messages[-1]["content"]
    assert json.loads(prompt.reference)["kb"] == items and json.loads(prompt.reference)["values"] == ["ann"]


BAD = [
    ({"prompt": ASK, "template": "{prompt}"}, "f: row 1: template: domain dialogue writes prompts itself; leave it out"),
    ({"prompt": ASK, "knowledge": "tea"}, "f: row 1: knowledge must be a list of objects, an entity each (got 'tea')"),
    ({"messages": [{"user": ASK}]}, "f: row 1: messages.0 must have a role (system, user, assistant) and a content of text"),
    (
        {"messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": ASK}]},
        "f: row 1: messages must be the user's and the assistant's alone; a system prompt is said by the sources",
    ),
    ({}, "f: row 1: no prompt and no messages"),
]


@pytest.mark.parametrize(("row", "said"), BAD)
def test_rows_that_are_none(domain, row, said):
    with pytest.raises(BadRow) as caught:
        list(domain.read([row], "f"))
    assert str(caught.value).startswith(said)


def test_without_any_knowledge():
    with pytest.raises(BadRow, match=r"no knowledge: name a file in verify\.kb, or the column"):
        list(Dialogue(VerifyDialogue()).read([{"prompt": ASK}], "f"))


def test_meta_knowledge_is_in_words_or_away():
    found = [Retrieved(1, 0.8, True), Retrieved(0, 0.3, False)]
    kb = KnowledgeBase.of([{"name": "a"}, {"name": "b"}], (), {})
    assert as_text(kb, found, (0.25, 0.75)).splitlines()[1:] == [
        "1. name: b (high confidence, mentioned before)",
        "2. name: a (middle confidence, new)",
    ]
    assert as_text(kb, found, (0.4, 0.9)).splitlines()[1:] == [
        "1. name: b (middle confidence, mentioned before)",
        "2. name: a (low confidence, new)",
    ]
    assert as_text(kb, found, None) == "From the knowledge base:\n- name: a\n- name: b"
    assert as_text(kb, [], None) == "The knowledge base has nothing on this."


def test_counting_ranks_by_shared_values_and_then_by_the_file():
    found = Count().find(KB, [("user", "Fish, cheap or dear, in the old harbor: Red Oak?")], 2)
    assert found == [Retrieved(1, 4 / 5, True), Retrieved(0, 2 / 5, False)]
    assert [one.at for one in Count().find(KB, [("user", "Hello")], 5)] == [0, 1]


FILES = [
    ("kb.jsonl", "", "has no entities"),
    ("kb.jsonl", '{"name": "a"}\n[1]\n', "line 2 is not a JSON object"),
    ("kb.jsonl", '{"name": \n', "not JSON Lines"),
    ("kb.jsonl", '{"name": "a"}\n', "verify.columns: no entity of"),
    ("kb.parquet", "no", "not a readable Parquet file"),
]


@pytest.mark.parametrize(("name", "text", "said"), FILES)
def test_files_that_are_no_knowledge_base(tmp_path, name, text, said):
    (tmp_path / name).write_text(text)
    options = VerifyDialogue(kb=name, columns=["title"])
    options.locate(tmp_path)
    with pytest.raises(BadInput, match=said):
        load(options)


def recipe_of(folder, **verify):
    values = {
        "domain": "dialogue",
        "verify": verify,
        "prompts": [{"type": "file", "path": "p.jsonl"}],
        "sources": [{"type": "endpoint", "model": "m", "base_urls": ["http://h/v1"]}],
        "score": {"type": "entity_f1"},
        "select": {"margin": None},
    }
    return parse(values, "r.yaml", folder)


def test_the_revision_is_that_of_the_file_and_of_how_it_is_read(tmp_path, monkeypatch):
    (tmp_path / "kb.jsonl").write_text('{"name": "a"}\n')

    def revision(**verify):
        recipe: Any = resolve(recipe_of(tmp_path, kb="kb.jsonl", **verify))
        assert recipe.score[0].revision == recipe.verify.revision
        return recipe.verify.revision

    plain = revision()
    assert plain == revision(top=9) != revision(spellings={"b": "a"}) != revision(columns=["name"])
    monkeypatch.setenv("DATAKIT_DATA", str(tmp_path))
    copied: Any = resolve(recipe_of(tmp_path / "elsewhere", kb="kb.jsonl"))
    assert copied.verify.revision == plain, "a copy, as of data sets"
    (tmp_path / "kb.jsonl").write_text('{"name": "b"}\n')
    assert revision() != plain
    with pytest.raises(RecipeError, match=r"verify\.kb: none\.jsonl cannot be read"):
        resolve(recipe_of(tmp_path, kb="none.jsonl"))


def test_entity_f1_is_of_this_domain(tmp_path):
    values = {"domain": "math", "prompts": [{"type": "file", "path": "p"}], "score": {"type": "entity_f1"}}
    values |= {"sources": [{"type": "endpoint", "model": "m", "base_urls": ["http://h/v1"]}]}
    with pytest.raises(RecipeError, match="entity_f1 is for domain dialogue, this recipe's is math"):
        parse(values, "r.yaml", tmp_path)


@pytest.mark.parametrize(
    "text", ["Blue-Gull's phone: 555 222, 555111, in the Harbor", "", "fish? Old harbour fish.", "RED OAK / 4 mill lane"]
)
def test_training_finds_what_the_domain_finds(text):
    theirs = trained_on.KnowledgeBase(COLUMNS, KB.entities, KB.spellings)
    assert theirs.find(text) == KB.find(text) and theirs.names == KB.names
    assert [theirs.describe(at) for at in (0, 1)] == [KB.describe(at) for at in (0, 1)]
    assert theirs.count_shared({*theirs.find(text)}) == KB.count_shared({*KB.find(text)})


def unpacked(path):
    return map(json.loads, gzip.decompress(path.read_bytes()).decode().splitlines())


SPELLINGS = {"moderately": "moderate", "center": "centre"}


@pytest.mark.parametrize(("spellings", "wanted"), [({}, (37.7, 84.7, 90.7)), (SPELLINGS, (42.8, 91.2, 94.2))])
def test_counting_finds_the_restaurant_of_camrest(shared_data, spellings, wanted):
    """In the turns of all 676 dialogues whose answer is the first to name a restaurant; others' count has 41, 85, 90 %."""
    path = shared_data / "dialogue"
    if not path.is_dir():
        pytest.skip(f"no dialogues at {path}")
    columns = ("name", "area", "food", "pricerange", "address", "phone", "postcode")
    rows = list(unpacked(path / "camrest_kb.jsonl.gz"))
    kb = KnowledgeBase.of(rows, columns, spellings)
    (names, ranks), n = (kb.names, []), 0
    for dialogue in unpacked(path / "camrest.jsonl.gz"):
        before = set()
        for turn in dialogue["turns"]:
            before |= {*kb.find(turn["user"])}
            answer = kb.find(turn["system"])
            named = next((value for value in answer if value in names), None)
            if named is not None and named not in before:
                shared = kb.count_shared(before)
                at, n = names.index(named), n + 1
                ranks.append(sum(count > shared[at] or (count == shared[at] and i < at) for i, count in enumerate(shared)))
            before |= {*answer}
    assert n == 738
    assert [round(100 * sum(rank < k for rank in ranks) / n, 1) for k in (1, 5, 7)] == pytest.approx(wanted, abs=0.3)


def test_the_embedded_recipe_rejects_the_wrong_restaurant(tmp_path):
    """Out of the box: answers of two small models; most pairs reject one that names another restaurant."""
    done = datakit("build", "--domain", "dialogue", "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    kb = [json.loads(line) for line in (ROOT / "data/dialogue/kb.jsonl").read_text().splitlines()]
    names = {one["name"] for one in kb}
    found = rows_of(
        tmp_path / "run",
        "SELECT chosen, v.extracted, reference FROM pairs_with_texts JOIN verdicts v ON rejected_id = v.response_id",
    )
    wrong = [pair for pair in found if names & {*json.loads(pair["extracted"])} - {*json.loads(pair["reference"])["entities"]}]
    assert len(found) >= 20 and len(wrong) > len(found) / 2
    assert all(
        set(json.loads(pair["reference"])["values"]) <= {*KnowledgeBase.of(kb, (), {}).find(pair["chosen"])} for pair in found
    )
