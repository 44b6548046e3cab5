"""Prompts in Chinese. As with instructions nothing is right or wrong by itself: a judge decides, or none, as in FuseChat-3.0
(README: one sample of one source, all of it for SFT), if the recipe says so (`select.allow_unjudged`).

The recipe's `curate.answers` says what answers must be like: their language, simplified characters, nothing damaged, no
repetition.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from datakit.domains.protocol import Verifier
from datakit.domains.reading import read_prompts
from datakit.recipe.verify import Unverified
from datakit.tables import Prompt, Row

HAN_SHARE = 0.5  # minimum share of Han characters among these and words in Latin letters
_HAN = re.compile(r"[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_LATIN = re.compile(r"[A-Za-z\u00c0-\u024f]+")
_KANA = re.compile(r"[\u3041-\u3096\u30a1-\u30fa]")
_OTHER = re.compile(r"```|翻译|译成|英文|英语|代码|程序|函数|日语|日文|正则")
"""Topics that justify letters of other scripts in a prompt: translation, languages, code."""


class Chinese:
    """Prompts of one or more turns in simplified or traditional Chinese; a reference is kept but not used."""

    name = "chinese"
    verifier: Verifier | None = None

    def __init__(self, options: Unverified) -> None:
        """There are no options."""

    def read(self, rows: Iterable[Row], source: str) -> Iterator[Prompt]:
        """Yield prompts; those in other languages or with damaged characters (U+FFFD) are dropped."""
        for prompt in read_prompts(self.name, rows, source):
            asked = "\n".join(message["content"] for message in prompt.messages if message["role"] == "user")
            yield prompt if prompt.dropped is not None else replace(prompt, dropped=fault(asked))

    def gold(self, prompt: Prompt) -> str | None:
        """Return None: no answer is known to be right."""
        return None


def fault(text: str) -> str | None:
    """Return why a text is not a prompt of this domain, or None."""
    if "\ufffd" in text:
        return "damaged characters"
    if _KANA.search(text) and not _OTHER.search(text):
        return "Japanese"
    n_han = len(_HAN.findall(text))
    if not n_han or (n_han < HAN_SHARE * (n_han + len(_LATIN.findall(text))) and not _OTHER.search(text)):
        return "not in Chinese"
    return None
