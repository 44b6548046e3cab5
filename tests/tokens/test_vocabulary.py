"""The bytes of tokens: every micro tokenizer, both spellings, and what cannot be told."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datakit.errors import BadInput
from datakit.tokens import token_bytes
from tests.helpers.folders import ROOT
from tests.helpers.laws import examples
from train import spelling
from train.errors import TrainError

MICRO = ROOT / "data" / "micro"
TOKENIZERS = ("target", "llama", "qwen2", "mistral", "gemma2", "chinese", "code-gemma2", "fusion-mistral")
TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=40)


def read(name):
    return json.loads((MICRO / name / "tokenizer.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def tokenizers():
    from tokenizers import Tokenizer

    return {name: Tokenizer.from_file(str(MICRO / name / "tokenizer.json")) for name in TOKENIZERS}


@pytest.mark.parametrize("name", TOKENIZERS)
@examples(20)
@given(text=TEXTS)
def test_the_bytes_of_a_texts_tokens_are_the_text(tokenizers, name, text):
    """But for a space that some write in front. A special token within the text has no bytes: such texts are left out."""
    spelt = token_bytes(read(name), name)
    ids = tokenizers[name].encode(text, add_special_tokens=False).ids
    pieces = [spelt[id] for id in ids]
    if None in pieces:
        assert any(token["content"] in text for token in read(name)["added_tokens"])
        return
    assert b"".join(pieces) in (text.encode(), b" " + text.encode())


@pytest.mark.parametrize("name", TOKENIZERS)
def test_training_spells_them_alike(name):
    assert spelling.token_bytes(read(name)) == token_bytes(read(name), name)


@pytest.mark.parametrize(("tokenizer", "bytes_of"), [
    ({"model": {"type": "BPE", "vocab": {"Ġa": 0, "Ä": 1, "Ċ": 2}}, "decoder": {"type": "ByteLevel"}}, [b" a", b"\xc4", b"\n"]),
    ({"model": {"type": "BPE", "vocab": {"▁a": 0, "<0xC4>": 1, "Ä": 2}}}, [b" a", b"\xc4", "Ä".encode()]),
    ({"model": {"type": "Unigram", "vocab": [["<unk>", 0.0], ["▁▁", -1.5]]},
      "added_tokens": [{"id": 0, "content": "<unk>", "special": True}, {"id": 3, "content": "<tool>", "special": False}]},
     [None, b"  ", None, b"<tool>"]),
])  # fmt: skip
def test_spellings(tokenizer, bytes_of):
    assert token_bytes(tokenizer, "t.json") == bytes_of == spelling.token_bytes(tokenizer)


def test_what_does_not_say_its_bytes_is_refused():
    wordpiece = {"model": {"type": "WordPiece", "vocab": {"a": 0, "##b": 1}, "continuing_subword_prefix": "##"}}
    with pytest.raises(BadInput, match=r"t\.json: a tokenizer of type WordPiece does not say"):
        token_bytes(wordpiece, "t.json")
    with pytest.raises(TrainError, match="of type WordPiece"):
        spelling.token_bytes(wordpiece)
