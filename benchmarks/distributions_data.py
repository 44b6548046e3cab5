"""The texts for the demonstration of fusion by distributions: right answers of one source with its rows, and controls."""

from __future__ import annotations

import json
import math
import random
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl
from transformers import AutoTokenizer

from datakit.tables import digest
from train.align import Aligner, Reading, Tokens, tokens_of
from train.fuse import read_vocabularies
from train.spelling import vocabulary_of

MOST_TEXTS, MOST_HELD_OUT = 600, 200
HELD_OUT = 0.2
"""The share of the prompts whose texts are held out, the same prompts for all sources."""
PLACES = ("token_logprobs", "top_ids", "top_logprobs")


@dataclass(frozen=True)
class Texts:
    """One source's texts, in the columns of a fusion export."""

    train: pl.DataFrame
    held_out: pl.DataFrame
    vocabulary: Path

    @classmethod
    def of(cls, run: Path, source: str, folder: Path) -> Texts:
        """Read the texts of a run's export; which ones depends on the hashes of their prompts and ids."""
        rows = pl.read_parquet(run / "fusion" / "train.parquet").filter(pl.col("teacher").str.ends_with(folder.name))
        places = [int(digest("held out", prompt), 16) / 16**24 for prompt in rows["prompt_id"]]
        order = [digest("order", text) for text in rows["text_id"]]
        rows = rows.with_columns(place=pl.Series(places), order=pl.Series(order)).sort("order")
        train, held = rows.filter(pl.col("place") >= HELD_OUT), rows.filter(pl.col("place") < HELD_OUT)
        gone = ("place", "order")
        return cls(
            train.head(MOST_TEXTS).drop(gone), held.head(MOST_HELD_OUT).drop(gone), run / "fusion" / "vocabulary.parquet"
        )

    def write(self, folder: Path) -> None:
        """Write them as a folder for `train fuse` and `train sft`."""
        folder.mkdir(parents=True, exist_ok=True)
        self.train.write_parquet(folder / "train.parquet")
        shutil.copyfile(self.vocabulary, folder / "vocabulary.parquet")

    def entropy(self, target: Path) -> float:
        """Return the mean entropy of the target's soft labels in nats per place, over all places that it learns."""
        tokenizer = AutoTokenizer.from_pretrained(target)
        key = self.train.select("teacher", "teacher_revision").row(0)
        spelt = read_vocabularies([self.vocabulary.parent])[key]
        ours = vocabulary_of(tokenizer)
        pairs = []
        for row in self.train.iter_rows(named=True):
            before = tokenizer.apply_chat_template(row["prompt"], add_generation_prompt=True)["input_ids"]
            whole = tokenizer.apply_chat_template(row["prompt"] + row["completion"])["input_ids"]
            _, tokens = tokens_of(whole[len(before) :], ours, row["completion"][-1]["content"].encode())
            n = len(row["token_ids"])
            k = len(row["top_ids"]) // n
            both = list(zip(row["top_ids"], row["top_logprobs"], strict=True))
            top = [both[at * k : (at + 1) * k] for at in range(n)]
            pairs.append((tokens, Reading(Tokens(row["token_ids"], row["ends"]), row["token_logprobs"], top)))
        aligner = Aligner(spelt, ours, 10)
        for tokens, reading in pairs:
            aligner.count(tokens, reading.tokens)
        total = sum(
            -q * math.log(q)
            for tokens, reading in pairs
            for soft in aligner.soften(tokens, reading).values()
            for q in soft.probabilities.values()
            if q > 0
        )
        return total / sum(len(tokens.ids) for tokens, _ in pairs)


def displaced(texts: Texts) -> Texts:
    """Return the texts with each place's probabilities and other candidates taken from another place of the text. The likeliest
    stays the text's own token: as confident as the source, with alternatives that belong elsewhere."""
    chance = random.Random(1)
    rows = []
    for row in texts.train.iter_rows(named=True):
        n = len(row["token_ids"])
        k = len(row["top_ids"]) // n
        places = list(range(n))
        chance.shuffle(places)
        ids = []
        for at, other in enumerate(places):
            own, its = row["token_ids"][at], row["token_ids"][other]
            ids += [own if one == its else one for one in row["top_ids"][other * k : (other + 1) * k]]
        logprobs = [value for other in places for value in row["top_logprobs"][other * k : (other + 1) * k]]
        moved = ([row["token_logprobs"][other] for other in places], ids, logprobs)
        rows.append(row | dict(zip(PLACES, moved, strict=True)))
    return replace(texts, train=pl.DataFrame(rows, schema=texts.train.schema))


def smoothing(entropy: float, target: Path) -> float:
    """Return the label smoothing (a share spread over the whole vocabulary) that has this entropy."""
    size = json.loads((target / "config.json").read_text(encoding="utf-8"))["vocab_size"]

    def excess(share: float) -> float:
        own, other = 1 - share * (1 - 1 / size), share / size
        return -own * math.log(own) - (size - 1) * other * math.log(other) - entropy

    least, most = 0.0, 0.5
    for _ in range(60):
        middle = (least + most) / 2
        least, most = (middle, most) if excess(middle) < 0 else (least, middle)
    return least
