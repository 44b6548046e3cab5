"""The bytes that each token of a tokenizer stands for, from the contents of tokenizer.json.

Two spellings are in use. Byte-level vocabularies write each byte as a printable character (GPT-2's table; Llama 3, Qwen).
Others write a word's space as ▁ and a byte that has no token of its own as <0xAB> (SentencePiece; Llama 2, Mistral, Gemma).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from train.errors import TrainError

Vocabulary = Sequence[bytes | None]
"""Bytes by token id; None for special tokens and unused ids."""
_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")


def vocabulary_of(tokenizer: Any) -> list[bytes | None]:
    """Return the vocabulary of a loaded tokenizer. Raise TrainError if its bytes are unknown."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise TrainError("train fuse: the target's tokenizer has no tokenizer.json, so its tokens cannot be aligned by bytes")
    return token_bytes(json.loads(backend.to_str()))


def token_bytes(tokenizer: dict[str, Any]) -> list[bytes | None]:
    """Return the bytes of every token of a parsed tokenizer.json. Raise TrainError if they are unknown."""
    model = tokenizer.get("model") or {}
    vocabulary = model.get("vocab")
    if isinstance(vocabulary, list):  # Unigram: pairs of token and score
        vocabulary = {token: at for at, (token, _) in enumerate(vocabulary)}
    if not isinstance(vocabulary, dict) or model.get("continuing_subword_prefix"):
        raise TrainError(f"train fuse: a tokenizer of type {model.get('type')} does not say which bytes its tokens stand for")
    added = tokenizer.get("added_tokens") or []
    size = 1 + max([*vocabulary.values(), *(token["id"] for token in added)], default=-1)
    found: list[bytes | None] = [None] * size
    spelt = _as_byte_level if "ByteLevel" in _parts(tokenizer) else _as_words
    for token, at in vocabulary.items():
        found[at] = spelt(token)
    for token in added:
        found[token["id"]] = None if token.get("special") else token["content"].encode()
    return found


def _parts(tokenizer: dict[str, Any]) -> set[str]:
    """Return the types of the parts that split texts (pre_tokenizer) and join tokens (decoder)."""

    def types(part: Any) -> Iterator[str]:
        if isinstance(part, dict):
            yield str(part.get("type"))
            for inner in (*part.get("pretokenizers", ()), *part.get("decoders", ())):
                yield from types(inner)

    return {*types(tokenizer.get("pre_tokenizer")), *types(tokenizer.get("decoder"))}


def _as_words(token: str) -> bytes:
    if found := _BYTE.fullmatch(token):
        return bytes([int(found[1], 16)])
    return token.replace("▁", " ").encode()


def _as_byte_level(token: str) -> bytes:
    table = _byte_of_character()
    return b"".join(bytes([table[letter]]) if letter in table else letter.encode() for letter in token)


@cache
def _byte_of_character() -> dict[str, int]:
    """Return GPT-2's table: printable bytes of Latin-1 stand for themselves, the others are numbered from U+0100 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + at): byte for at, byte in enumerate(others)}
