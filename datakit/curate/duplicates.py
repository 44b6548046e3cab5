"""Duplicate prompts: equal to an earlier one, or near by the exact Jaccard similarity of their 3-grams.

The first in the recipe's order stays. Near duplicates are found with a prefix filter, an inverted index and a count of all
grams of every candidate pair, in SQL over a database on disk; nothing is estimated. Prompts that must not be joined never
match: the reference (if answers are verified) and, in mathematics, the numbers of a prompt are part of its grams.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import polars as pl

from datakit.curate.texts import grams, numbers
from datakit.recipe.curate import Duplicates
from datakit.store import Tables, load_sql

N = 3
MOST_OF_A_GRAM = 1_000
MEMORY = "800MB"


class Twin(NamedTuple):
    """A prompt, the earlier one that it repeats (both by number), and how similar they are."""

    number: int
    met: int
    similarity: float


class Comparison:
    """All prompts that may be duplicates, on disk. Add them batch by batch, then query."""

    def __init__(self, given: Duplicates, folder: Path, domain: str, verified: bool) -> None:
        self._given = given
        self._by_numbers = domain == "math"
        self._verified = verified
        self._tables = Tables(lambda error: f"curate.duplicates: {error}", folder / "duplicates.duckdb", MEMORY)
        self._tables.connection.execute("CREATE TABLE texts (number UINTEGER, key UBIGINT)")
        self._tables.connection.execute("CREATE TABLE grams (number UINTEGER, gram UBIGINT)")

    def add(self, batch: pl.DataFrame) -> None:
        """Add prompts: number, text, tokens, reference_digest."""
        words = pl.col("tokens").list.join(" ")
        said = pl.when(words == "").then(pl.col("text").str.strip_chars()).otherwise(words)
        apart = [pl.col("reference_digest").fill_null("") if self._verified else pl.lit("")]
        apart += [numbers(pl.col("tokens"))] if self._by_numbers else []
        keyed = batch.with_columns(
            key=pl.concat_str(said, apart[0], separator="\x1f").hash(), apart=pl.concat_str(apart, separator="\x1f").hash()
        )
        self._tables.add("texts", keyed.select("number", "key"))
        if self._given.near is not None:
            mixed = grams(batch, N).join(keyed.select("number", "apart"), on="number")
            self._tables.add("grams", mixed.select("number", pl.col("gram").xor(pl.col("apart"))))

    def exact(self) -> list[Twin]:
        """Return the prompts with the tokens and the reference of an earlier one."""
        if not self._given.exact:
            return []
        return [Twin(number, met, 1.0) for number, met in self._tables.query(load_sql("curate/find_exact")).iter_rows()]

    def near(self, dropped: list[int]) -> list[Twin]:
        """Return the prompts near to an earlier one that stays, among those not dropped for another reason."""
        if self._given.near is None:
            return []
        tables, near = self._tables, {"near": self._given.near}
        tables.keep("dropped", pl.DataFrame({"number": dropped}, schema={"number": pl.UInt32}))
        tables.make_table("shared_grams", load_sql("curate/shared_grams"))
        tables.make_table("sizes", "SELECT number, count(*) AS n_grams FROM grams GROUP BY number")
        tables.make_table("rarest_grams", load_sql("curate/rarest_grams"), near)
        tables.make_table("near_candidates", load_sql("curate/near_candidates"), {**near, "most": MOST_OF_A_GRAM})
        tables.make_table("near_pairs", load_sql("curate/near_pairs"), near)
        gone: set[int] = set()
        twins = []
        for met, number, similarity in self.pairs().iter_rows():
            if met not in gone and number not in gone:
                gone.add(number)
                twins.append(Twin(number, met, similarity))
        return twins

    def pairs(self) -> pl.DataFrame:
        """Return every near pair that `near` has found: met (the earlier one), number, similarity."""
        return self._tables.query("SELECT met, number, similarity FROM near_pairs ORDER BY number, met")

    def close(self) -> None:
        """Close the database."""
        self._tables.close()
