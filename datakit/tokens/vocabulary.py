"""The bytes of each token of a tokenizer, read from tokenizer.json alone.

Two spellings are in use. Byte-level vocabularies write each byte as a printable character (GPT-2's table; Llama 3, Qwen).
Others write a word's space as ▁ and a byte without a token of its own as <0xAB> (SentencePiece; Llama 2, Mistral, Gemma).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from datakit.errors import BadInput

Vocabulary = Sequence[bytes | None]
"""The bytes by token id; None for special tokens and for unused ids."""
_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")


def token_bytes(tokenizer: Mapping[str, Any], where: str) -> list[bytes | None]:
    """Return the bytes of every token of a parsed tokenizer.json. Raise BadInput, naming `where`, if they cannot be told."""
    model = tokenizer.get("model") or {}
    vocabulary = model.get("vocab")
    if isinstance(vocabulary, list):  # Unigram: pairs of token and score
        vocabulary = {token: at for at, (token, _) in enumerate(vocabulary)}
    if not isinstance(vocabulary, dict) or model.get("continuing_subword_prefix"):
        raise BadInput(f"{where}: a tokenizer of type {model.get('type')} does not say which bytes its tokens stand for")
    added = tokenizer.get("added_tokens") or []
    size = 1 + max([*vocabulary.values(), *(token["id"] for token in added)], default=-1)
    found: list[bytes | None] = [None] * size
    spelt = _as_byte_level if "ByteLevel" in _parts(tokenizer) else _as_words
    for token, at in vocabulary.items():
        found[at] = spelt(token)
    for token in added:
        found[token["id"]] = None if token.get("special") else token["content"].encode()
    return found


def read_vocabulary(text: str, where: str) -> list[bytes | None]:
    """Return token_bytes of the text of a tokenizer.json."""
    try:
        values = json.loads(text)
    except ValueError as error:
        raise BadInput(f"{where}: not JSON ({error}); fetch it again") from error
    return token_bytes(values, where)


def _parts(tokenizer: Mapping[str, Any]) -> set[str]:
    """Return the types of the parts that split texts and join tokens."""

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
    """Return GPT-2's table: printable bytes of Latin-1 are themselves, the others follow from U+0100 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + at): byte for at, byte in enumerate(others)}
