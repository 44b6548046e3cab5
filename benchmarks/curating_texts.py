"""Texts for the benchmark of curation: items of real benchmarks with planted changes, and prompts made of real sentences."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path

from timing import read_rows

from datakit.tables import Item

GROUPS = {
    "math": ("gsm8k", "math", "amc23"),
    "code": ("humaneval", "mbpp"),
    "instruct": ("alpacaeval2", "arena_hard", "mt_bench"),
    "chinese": ("alignbench",),
}
CHANGES = ("wrapped", "other numbers", "5 % words", "10 % words", "20 % words")
WRAPS = (
    ("Please help me with my homework. ", " Thank you very much in advance!"),
    ("You are a careful assistant.\n\nQuestion: ", "\n\nAnswer step by step, and say how sure you are."),
    ("I was asked this yesterday and could not answer:\n", ""),
)
CHINESE_WRAPS = (("请帮我回答下面的问题。", "谢谢。"), ("你是一个认真的助手。", "请一步一步地说明。"))
WORD = re.compile(r"\w+")
HAN = re.compile(r"[\u3400-\u9fff]")


def items(data: Path) -> dict[str, list[Item]]:
    """Return the items by benchmark."""
    names = [name for group in GROUPS.values() for name in group]
    return {
        name: [Item(name, str(row["id"]), (row["text"],)) for row in read_rows(data / "benchmarks" / f"{name}.jsonl.gz", None)]
        for name in names
    }


def unplanted(data: Path) -> list[str]:
    """Return prompts of which almost none are items: gsm8k_train, ifeval and halluqa."""
    found = [
        row["prompt"] for name in ("gsm8k_train", "ifeval") for row in read_rows(data / "prompts" / f"{name}.jsonl.gz", None)
    ]
    chinese = {row["prompt_id"]: row["prompt"] for row in read_rows(data / "responses" / "chinese.jsonl.gz", None)}
    return [*found, *chinese.values()]


def planted(there: dict[str, list[Item]], change: str, seed: int) -> dict[str, list[str]]:
    """Return changed items by group: a hundred of each benchmark, or all if there are fewer."""
    chance = random.Random(f"{change}/{seed}")
    vocabulary = {group: _vocabulary([item for name in names for item in there[name]]) for group, names in GROUPS.items()}
    return {
        group: [
            _changed(item.texts[0], change, vocabulary[group], chance)
            for name in names
            for item in chance.sample(there[name], min(100, len(there[name])))
        ]
        for group, names in GROUPS.items()
    }


def _vocabulary(found: list[Item]) -> list[str]:
    words = [word for item in found for word in WORD.findall(item.texts[0]) if not HAN.search(word) and word.isalpha()]
    return words or sorted({character for item in found for character in HAN.findall(item.texts[0])})


def _changed(text: str, change: str, vocabulary: list[str], chance: random.Random) -> str:
    han = sorted({character for character in text if HAN.match(character)})
    chinese = len(HAN.findall(text)) > 0.3 * len(text)
    if change == "wrapped":
        before, after = chance.choice(CHINESE_WRAPS if chinese else WRAPS)
        return f"{before}{text}{after}"
    if change == "other numbers":
        return re.sub(r"\d+", lambda digits: str(chance.randint(2, 10 ** len(digits[0]) + 7)), text)
    share = int(change.split()[0]) / 100
    if chinese:  # a character is a word
        return "".join(chance.choice(han) if HAN.match(one) and chance.random() < share else one for one in text)
    words = list(WORD.finditer(text))
    changed = {word.start() for word in chance.sample(words, round(share * len(words)))}
    return WORD.sub(lambda word: chance.choice(vocabulary) if word.start() in changed else word[0], text)


def sentences(data: Path) -> tuple[list[str], list[str]]:
    """Return English and Chinese sentences from real answers and prompts."""
    english: set[str] = set()
    for name in ("instruct", "instruct_scored", "math"):
        for row in read_rows(data / "responses" / f"{name}.jsonl.gz", 3_000):
            english.update(one.strip() for one in re.split(r"(?<=[.!?])\s+|\n+", row["response"]))
    chinese: set[str] = set()
    for row in read_rows(data / "responses" / "chinese.jsonl.gz", None):
        chinese.update(one.strip() for one in re.split(r"(?<=[。！？])|\n+", row["response"]))
    return (
        sorted(one for one in english if 5 <= len(one.split()) <= 30 and one.isascii()),
        sorted(one for one in chinese if 8 <= len(HAN.findall(one)) <= 80),
    )


def prompts(data: Path, n: int, seed: int = 0) -> Iterator[str]:
    """Yield n prompts of one to four sentences, nine of ten English; one of 17 is an earlier one with a small change."""
    english, chinese = sentences(data)
    chance = random.Random(seed)
    earlier: list[str] = []
    for at in range(n):
        if at % 17 == 16:
            yield _edited(chance.choice(earlier), chance)
            continue
        pool, most = (chinese, 3) if at % 10 == 9 else (english, 4)
        text = " ".join(chance.sample(pool, chance.randint(1, most)))
        earlier = [*earlier[-4_000:], text] if at % 5_000 == 0 else earlier
        earlier.append(text)
        yield text


def _edited(text: str, chance: random.Random) -> str:
    """Change a text slightly: capitals, one or two other words, an appendix, other numbers, or its sentences reordered."""
    kind = chance.randrange(6)
    words = text.split(" ")
    if kind == 0:
        return text.upper()
    if kind in (1, 2):
        for _ in range(kind):
            words[chance.randrange(len(words))] = chance.choice(("lantern", "quickly", "seven", "blue", "perhaps"))
        return " ".join(words)
    if kind == 3:
        return f"{text} Please answer in one paragraph."
    if kind == 4:
        return re.sub(r"\d+", lambda digits: str(chance.randint(2, 999)), text)
    found = re.split(r"(?<=[.!?。])\s*", text)
    chance.shuffle(found)
    return " ".join(found)
