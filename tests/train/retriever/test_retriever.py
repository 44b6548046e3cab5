"""`train retriever` on a town of six restaurants: it learns, goes on where it stopped, and the domain ranks as it does."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from datakit.domains.dialogue.knowledge import KnowledgeBase
from datakit.domains.dialogue.retrieve import Trained
from datakit.errors import BadInput
from train.cli import main
from train.errors import TrainError
from train.options import parse, read_request
from train.retriever.knowledge import read_knowledge, read_turns
from train.retriever.options import RetrieverArguments, build_parser, check
from train.retriever.training import make, measure

torch = pytest.importorskip("torch")
pytest.importorskip("trl")
pytest.importorskip("sacrebleu")

FOODS, AREAS = ("fish", "curry", "pasta"), ("harbour", "hill")
NAMES = ("blue gull", "red oak", "tall anchor", "green spoon", "early kettle", "quiet bridge")
KB = [{"name": NAMES[2 * at + by], "food": food, "area": area, "phone": f"555 {at}{by}"}
      for at, food in enumerate(FOODS) for by, area in enumerate(AREAS)]  # fmt: skip


def dialogue(one):
    return {"turns": [
        {"user": f"A {one['food']} restaurant in the {one['area']}?", "system": f"{one['name']} serves {one['food']}."},
        {"user": "Their phone?", "system": f"It is {one['phone']}."},
    ]}  # fmt: skip


@pytest.fixture(scope="module")
def town(tmp_path_factory):
    folder = tmp_path_factory.mktemp("town")
    for name, rows in (("kb", KB), ("train", [dialogue(one) for one in KB] * 2)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def flags(town, out, **more):
    given: dict[str, Any] = {
        "data": town / "train.jsonl",
        "kb": town / "kb.jsonl",
        "output_dir": out,
        "eval_data": town / "train.jsonl",
    }
    given |= {
        "columns": "name food area phone",
        "max_steps": 24,
        "retriever_steps": 12,
        "retriever_batch": 10,
        "generator_steps": 6,
        "top": 2,
    }
    given |= {"hidden_size": 32, "num_layers": 1, "per_device_train_batch_size": 8, "learning_rate": 5e-3, "disable_tqdm": True}
    given |= {"save_strategy": "steps", "save_steps": 12, "eval_strategy": "steps", "eval_steps": 12, "logging_steps": 2}
    given |= {"use_cpu": True, "lr_scheduler_type": "constant", **more}
    return ["retriever", *(word for name, value in given.items() for word in (f"--{name}", *str(value).split()))]


@pytest.fixture(scope="module")
def trained(town):
    """The run, and what it logged."""
    out = town / "out"
    assert main(flags(town, out)) == 0
    return out, [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_retriever_and_generator_learn(trained):
    _, logs = trained
    warm = [log["warm_up"] for log in logs if "warm_up" in log]
    joint = [log["nll"] for log in logs if "nll" in log]
    assert len(warm) == 6 and warm[-1] < warm[0] and joint[-1] < 0.7 * joint[0]
    assert [("mml" in log, "ctr" in log) for log in logs if "nll" in log] == [(False, False)] * 3 + [(True, False)] * 3
    first, last = (log for log in logs if "eval_entity_f1" in log)
    assert first["eval_recall@1"] >= 0.8 and 0 <= last["eval_entity_f1"] <= 1 and set(first) >= {"eval_bleu", "eval_recall@7"}


@pytest.mark.slow
def test_a_resumed_training_ends_as_one_that_was_not_stopped(trained, town):
    import shutil

    out, logs = trained
    again = town / "again"
    shutil.copytree(out, again)
    shutil.rmtree(again / "checkpoint-24")
    for name in ("retriever.json", "metrics.jsonl"):
        (again / name).unlink()
    assert main([*flags(town, again), "--resume_from_checkpoint", "true"]) == 0
    known = {log["step"]: log for log in map(json.loads, (again / "metrics.jsonl").read_text().splitlines()) if "nll" in log}
    assert known and all(known[log["step"]]["nll"] == pytest.approx(log["nll"], rel=1e-4) for log in logs if "nll" in log)


@pytest.mark.slow
def test_the_domain_ranks_as_the_training_did(trained, town):
    from safetensors.torch import load_file

    out, _ = trained
    kb = read_knowledge(town / "kb.jsonl", ["name", "food", "area", "phone"], {})
    turns = read_turns(town / "train.jsonl", kb)
    own = RetrieverArguments(top=2, hidden_size=32, num_layers=1, columns=list(kb.columns))
    module, learner = make(own, kb, turns)
    module.load_state_dict(load_file(out / "checkpoint-24" / "model.safetensors"), strict=False)
    same, domain = KnowledgeBase(kb.columns, kb.entities, {}), Trained(out)
    for turn in turns[:6]:
        said = [("user" if role == "user" else "assistant", text) for role, text in turn.context]
        found, wanted = domain.find(same, said, 2), learner.retrieve(module.eval(), [turn], negative=False, learns=False)
        assert [one.at for one in found] == wanted.places[0]
        assert [one.share for one in found] == pytest.approx(wanted.scores.softmax(dim=1)[0].tolist(), abs=1e-4)
        assert [one.seen for one in found] == [meta.seen for meta in wanted.metas[0]]
    with pytest.raises(BadInput, match=r"the retriever was trained on name, food, area, phone"):
        domain.find(KnowledgeBase(("name",), kb.entities, {}), [("user", "x")], 1)
    with pytest.raises(BadInput, match=r"has no readable retriever\.json"):
        Trained(town)


@pytest.mark.parametrize("form", ["prefix", "prompt", "none"])
def test_every_form_of_meta_knowledge_and_the_contrast(town, form):
    """One step each, in this process: all terms are there, and reach what they must."""
    kb = read_knowledge(town / "kb.jsonl", ["name", "food", "area", "phone"], {})
    turns = read_turns(town / "train.jsonl", kb)
    own = RetrieverArguments(top=2, hidden_size=32, num_layers=1, columns=list(kb.columns), meta=form, ctr_weight=1.0)
    module, learner = make(own, kb, turns)
    found = learner.retrieve(module, turns[:3], negative=True, learns=False)
    scores = learner.scores(module, turns[:3])
    assert [places[-1] for places in found.places] == scores.argmin(dim=1).tolist() and len(found.places[0]) == 3
    for learns in (False, True):
        module.zero_grad()
        terms = learner.joint(module, turns[:3], learns=learns)
        assert terms.keys() == {"nll", "ctr", *(("mml",) if learns else ())}
        torch.stack(list(terms.values())).sum().backward()
        reached = {name: any(p.grad is not None and p.grad.abs().sum() > 0 for p in getattr(module, name).parameters())
                   for name in ("context_encoder", "entity_encoder", "generator")}  # fmt: skip
        assert reached == {"context_encoder": learns, "entity_encoder": learns, "generator": True}
    assert measure(learner, module, turns[:3])[0].keys() == {"recall@1", "recall@5", "recall@7", "entity_f1", "bleu"}


REFUSED = [
    ({"data": None}, "--data is needed"),
    ({"columns": None}, "--columns is needed"),
    ({"kb": "none.jsonl"}, "no such file: none.jsonl"),
    ({"spellings": "center"}, "--spellings center: give a JSON object"),
    ({"confidence": [0.8, 0.2]}, "--confidence 0.8 0.2: give two numbers between 0 and 1"),
    ({"top": 0}, "--top 0: at least one"),
    ({"mml_weight": -1.0}, "--mml_weight -1: a weight is 0 or more"),
    ({"nll_weight": 0.0, "mml_weight": 0.0}, "all three weights are 0"),
    ({"nll_weight": 0.0, "generator_steps": 5}, "--generator_steps 5: the generator learns by --nll_weight, which is 0"),
]


@pytest.mark.parametrize(("changed", "said"), REFUSED)
def test_what_cannot_be_trained(town, changed, said):
    given = {"data": [str(town / "train.jsonl")], "kb": str(town / "kb.jsonl"), "columns": ["name"], **changed}
    with pytest.raises(TrainError) as caught:
        check(RetrieverArguments(**given))
    assert said in str(caught.value)


FILES = [
    ("[1]\n", "line 1 is not a JSON object"),
    ("{\n", "not JSON Lines"),
    ("", "the file has no rows"),
    ('{"a": 1}\n', "row 1 has no turns"),
    ('{"turns": [{"user": "a"}]}\n', "row 1: turns.0 must have user and system, both text"),
]


@pytest.mark.parametrize(("text", "said"), FILES)
def test_files_that_are_no_dialogues(town, tmp_path, text, said):
    kb = read_knowledge(town / "kb.jsonl", ["name"], {})
    (tmp_path / "d.jsonl").write_text(text)
    with pytest.raises(TrainError) as caught:
        read_turns(tmp_path / "d.jsonl", kb)
    assert said in str(caught.value)


@pytest.mark.parametrize(("name", "top"), [("camrest", 7), ("mwoz", 7), ("smd", 8)])
def test_the_papers_settings_are_flags(town, name, top):
    """arXiv 2310.08877, appendix: batch 2 x 32, 1,500 steps behind the warm-up, 1e-4, decay and clip 0.01, lengths."""
    more = ["--data", town / "train.jsonl", "--kb", town / "kb.jsonl", "--bf16", "false", "--use_cpu"]
    request = read_request("retriever", ["--config", f"recipes/mk-tod/{name}.yaml", *map(str, more)])
    own, training = parse(build_parser(), request)
    check(own)
    assert (own.top, own.max_retriever_length, own.max_context_length, own.max_entity_length, own.max_response_length) == (
        *(top, 128, 200, 100, 64),
    )
    assert training.per_device_train_batch_size * training.gradient_accumulation_steps == 64
    assert (training.learning_rate, training.weight_decay, training.max_grad_norm) == (1e-4, 0.01, 0.01)
    assert training.max_steps - own.retriever_steps == 1500 and training.greater_is_better


def test_a_misspelt_flag_and_a_kb_without_the_column(town, capsys):
    assert main([*flags(town, town / "x"), "--retriver_steps", "3"]) == 2
    assert "--retriver_steps: no such flag; did you mean --retriever_steps?" in capsys.readouterr().err
    with pytest.raises(TrainError, match=r"--columns title: .* has no such column; its columns are name, food, area, phone"):
        read_knowledge(town / "kb.jsonl", ["title"], {})


def test_labels_are_what_shares_most_and_turns_that_name_first(town):
    kb = read_knowledge(town / "kb.jsonl", ["name", "food", "area", "phone"], {})
    first, second = read_turns(town / "train.jsonl", kb)[:2]
    assert (first.label, first.named, first.gold) == (0, 0, ("blue gull", "fish"))
    assert (second.label, second.named, second.gold) == (0, None, ("555 00",))
    assert SimpleNamespace(**vars(second)).before == frozenset({"fish", "harbour", "blue gull"})
    assert Path(town).is_dir()
