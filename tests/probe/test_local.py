"""Texts read in a worker of the build: as plain forward passes say, whatever the batch; and the whole way to a merged model."""

import json

import pytest

from datakit.probe.forward import Reader, reading_worker
from datakit.tokens import locate, token_bytes
from tests.helpers.command import count, datakit, rows_of, write_recipe
from tests.helpers.folders import ROOT
from tests.helpers.later import later
from tests.train.conftest import cli as cli  # the real `train`, in a folder of the test's
from tests.train.conftest import hf_home as hf_home
from tests.train.conftest import no_network as no_network
from tests.train.test_runs import succeeded

torch = later("torch")
MICRO = ROOT / "data" / "micro"
ASKED = [{"role": "user", "content": "Tom has 3 apples and buys 4 more. How many apples has he?"}]
TEXTS = ["3 + 4 = 7 apples.\n#### 7", "7", "Tom has 3 + 4 = 7 apples. The answer is 7, so é 🦙 漢字.", "He has   many"]


def reader_of(name, top_k=4) -> Reader:
    folder = MICRO / name
    return reading_worker(folder, folder / "tokenizer.json", None, ["cpu"], top_k, {}, "devices").args[0]  # type: ignore[attr-defined]


def rows(*texts, messages=ASKED):
    return [{"messages": messages, "text": text} for text in texts]


@pytest.mark.parametrize("name", ["target", "qwen2", "mistral", "gemma2"])
def test_it_reads_as_plain_forward_passes_do(name):
    """One text at a time through the whole model, without padding, and nothing of ours in it but where the answer stands."""
    reader = reader_of(name)
    found = reader.read(rows(*TEXTS))
    spelt = token_bytes(json.loads((MICRO / name / "tokenizer.json").read_text()), name)
    for text, row in zip(TEXTS, found, strict=True):
        whole = reader.tokenizer.apply_chat_template([*ASKED, {"role": "assistant", "content": text}], tokenize=False)
        ids = reader.tokenizer(whole, add_special_tokens=False)["input_ids"]
        place = locate(ids, spelt, text.encode())
        with torch.no_grad():
            steps = reader.model(torch.tensor([ids])).logits[0].double().log_softmax(-1)[place.first - 1 : place.last - 1]
        gold = ids[place.first : place.last]
        assert (row["token_ids"], row["ends"], row["n_bytes"]) == (gold, place.ends, len(text.encode()))
        own = [steps[at, id].item() for at, id in enumerate(gold)]
        assert row["token_logprobs"] == pytest.approx(own, abs=1e-4) and row["nll"] == pytest.approx(-sum(own), abs=1e-3)
        values, top = steps.topk(4)
        assert row["top_logprobs"] == pytest.approx(values.flatten().tolist(), abs=2e-4)
        assert row["top_ids"] == top.flatten().tolist()
        assert spelt[gold[-1]] is None, "the token that ends the turn is read, too"


def test_the_batch_does_not_matter_and_memory_that_fails_makes_it_smaller(monkeypatch):
    reader = reader_of("qwen2")
    whole, forward, sizes = reader.read(rows(*TEXTS)), reader._forward, []

    def small(batch):
        sizes.append(len(batch))
        if len(batch) > 1:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return forward(batch)

    monkeypatch.setattr(reader, "_forward", small)
    alone = reader.read(rows(*TEXTS))
    assert max(sizes) == 4 and sizes.count(1) == 4
    for one, other in zip(whole, alone, strict=True):
        assert one["token_ids"] == other["token_ids"] and one["token_logprobs"] == pytest.approx(
            other["token_logprobs"], abs=1e-4
        )

    def never(batch):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(reader, "_forward", never)
    assert {row["error"] for row in reader.read(rows(*TEXTS))} == {"out_of_memory"}

    def broken(batch):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(reader, "_forward", broken)
    with pytest.raises(RuntimeError, match="mat1"):
        reader.read(rows("7"))


@pytest.mark.parametrize(("name", "text", "messages", "error"), [
    ("gemma2", "7", [{"role": "system", "content": "Be brief."}, *ASKED], "template"),
    ("qwen2", "7 " * 600, ASKED, "too_long"),
    ("qwen2", "7<|im_end|>8", ASKED, "not_found"),
    ("qwen2", "\ud800", ASKED, "not_unicode"),
])  # fmt: skip
def test_what_cannot_be_read_has_its_error(name, text, messages, error):
    """And the others of the batch are read."""
    failed, read = reader_of(name).read([*rows(text, messages=messages), *rows("7")])
    assert failed["error"] == error and failed["message"] and read["token_ids"]


@pytest.mark.slow
def test_from_sources_to_a_merged_model(cli, tmp_path):
    """Pairwise, as FuseChat: two sources and a pivot here, a target for each source, and the two merged."""
    problems = [json.loads(line) for line in (ROOT / "data/math/problems.jsonl").read_text().splitlines()[:12]]
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in problems))
    source = {"type": "local", "n": 2, "sampling": {"temperature": 0.8, "max_tokens": 96}, "devices": ["cpu"]}
    recipe = {
        "domain": "math",
        "prompts": [{"type": "file", "path": "p.jsonl",
                     "columns": {"prompt": "question", "reference": "answer", "solution": "solution"}}],
        "sources": [source | {"model": str(MICRO / name)} for name in ("qwen2", "mistral")],
        "verify": {"workers": 1}, "score": None,
        "select": {"split": "hash", "sft_share": 1.0, "margin": None},
        "probe": {"texts": "solutions", "pivot": str(MICRO / "target")}, "export": {"teacher": "pairwise"},
        "limits": {"min_pairs": None},
    }  # fmt: skip
    done = datakit("build", "--recipe", write_recipe(tmp_path / "r.yaml", recipe), "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    n = count(tmp_path / "run", "prompts")
    assert count(tmp_path / "run", "distributions") == 3 * n == 36
    parts = []
    for name in ("qwen2", "mistral"):
        fuse = ["fuse", "--data", f"run/fusion/{name}", "--model", MICRO / "target", "--max_steps", "3", "--output_dir", name]
        said = succeeded(cli(*fuse, "--gradient_checkpointing", "false", "--save_strategy", "no"))
        assert "12 texts" in said and "places aligned" in said
        parts.append(tmp_path / name)
    merged = ["merge", "--pivot", MICRO / "target", "--models", *parts, "--output_dir", "merged"]
    assert "Merged 2 models by sce" in succeeded(cli(*merged))
    weights = json.loads((tmp_path / "merged" / "merge.json").read_text())["tensor_weights"]
    assert all(sum(shares) == pytest.approx(1) and min(shares) > 0 for shares in weights.values())
    read = rows_of(tmp_path / "run", "SELECT model, sum(nll) / sum(n_bytes) AS nats FROM distributions GROUP BY 1 ORDER BY 1")
    assert len(read) == 3 and all(0 < row["nats"] < 3 for row in read)
    again = datakit("build", "--recipe", tmp_path / "r.yaml", "--out", tmp_path / "run")
    assert again.returncode == 0 and "probe" not in again.stderr.replace("--until probe", "")
