"""Runs for the benchmarks of selection, made by SQL: complete, or narrow (without texts)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import duckdb

from datakit.recipe import parse
from datakit.store import Run, load_sql
from datakit.store.parts import COMPARED_BY
from datakit.tables import TABLES, digest_of_messages
from datakit.tables.compared import COMPARED

MODELS, SAMPLES, PART_ROWS = 4, 5, 400_000
JUDGE = "armorm@1"
SAMPLING = '{"max_tokens":2048,"temperature":0.8,"top_p":0.95}'

ROWS = """
CREATE OR REPLACE TEMP TABLE made AS
WITH numbered AS (
    SELECT i // 20 AS prompt, i % 20 // 5 AS model, i % 5 AS sample, i AS row
    FROM range($first, $last) AS t(i)
),

drawn AS (
    SELECT
        *,
        hash(row, 1) / 18446744073709551615.0 AS u,
        hash(row, 2) / 18446744073709551615.0 AS v,
        hash(row, 3) / 18446744073709551615.0 AS w,
        md5('prompt ' || prompt) [:24] AS messages_digest
    FROM numbered
),

written AS (
    SELECT
        * EXCLUDE (sample),
        sample,
        -- about a seventh of the answers are copies where the run is a nasty one
        if(
            $nasty AND w < 0.15,
            'a copy ' || prompt || ' ' || model,
            'answer ' || row || ' ' || repeat('some words of it ', 4 + (exp(3.6 * u))::INT)
        ) AS text
    FROM drawn
)

SELECT
    make_response_id(messages_digest, 'org/m' || model, NULL, $sampling, sample) AS response_id,
    'p' || prompt AS prompt_id,
    'org/m' || model AS model,
    sample AS sample_index,
    messages_digest,
    if($texts, text, NULL) AS text,
    if($texts, length(trim(text)), 40 + (1000 * u * u)::INT) AS n_chars,
    if($texts, md5_number_lower(trim(text)), md5_number_lower(row::VARCHAR)) AS text_hash,
    if($nasty AND v < 0.1, 'length', 'stop') AS finish_reason,
    (20 + 300 * u)::INT AS n_tokens,
    CASE
        WHEN $nasty AND v > 0.95 THEN NULL
        WHEN $nasty THEN round((0.2 * v + 0.1 * u)::DECIMAL(9, 6), 2)::DOUBLE
        ELSE 0.1 + 0.05 * (v + 0.4 * u)
    END AS score,
    CASE WHEN w < 0.5 THEN 'passed' WHEN w < 0.9 THEN 'failed' WHEN w < 0.95 THEN 'timeout' ELSE 'unparseable' END AS outcome
FROM written
"""


@dataclass(frozen=True)
class Shape:
    """The size and kind of a run."""

    rows: int
    texts: bool = True
    nasty: bool = False
    """True for scores of two digits, copies, truncated answers and answers without a score."""
    domain: str = "instruct"


def recipe_of(domain: str, **select: object) -> dict[str, object]:
    source = {"type": "endpoint", "base_urls": ["http://nowhere/v1"], "n": SAMPLES}
    return {
        "domain": domain,
        "prompts": [{"type": "file", "path": "p.jsonl"}],
        "sources": [{**source, "model": f"org/m{model}", "sampling": {"temperature": 0.8}} for model in range(MODELS)],
        "score": {"type": "armorm", "model": "j", "revision": "1"},
        "select": {"margin": [0.01, 0.1], "length_ratio_max": 1.5, **select},
    }


def write_run(folder: Path, shape: Shape) -> Path:
    """Write a run as a build would leave it before selection."""
    n_prompts = shape.rows // (MODELS * SAMPLES)
    with Run.create(folder) as run:
        run.save_recipe(parse(recipe_of(shape.domain), "r", folder))
        sources = [
            {"model": f"org/m{model}", "sampling": SAMPLING, "type": "endpoint", "n": SAMPLES} for model in range(MODELS)
        ]
        run.replace("sources", TABLES["sources"].frame(sources))
        run.replace("judges", TABLES["judges"].frame([{"judge": JUDGE, "type": "armorm"}]))
    tables = duckdb.connect()
    tables.execute("SET memory_limit = '3GB'; SET enable_progress_bar = false")
    tables.execute(load_sql("views/make_response_id"))
    message = digest_of_messages([{"role": "user", "content": "?"}])
    prompts = (
        "SELECT 'p' || i AS prompt_id, $domain AS domain, 'made' AS source, "
        "[{'role': 'user', 'content': 'Question ' || i || '?'}] AS messages, md5('prompt ' || i) [:24] AS messages_digest, "
        "$gold AS reference, $gold AS reference_digest, FALSE AS shares_messages FROM range($n) AS t(i)"
    )
    _copy(tables, folder / "prompts", 0, prompts, {"domain": shape.domain, "gold": message, "n": n_prompts})
    for number, first in enumerate(range(0, shape.rows, PART_ROWS), start=1):
        last = min(first + PART_ROWS, shape.rows)
        given = {"first": first, "last": last, "nasty": shape.nasty, "texts": shape.texts, "sampling": SAMPLING}
        tables.execute(ROWS, given)
        responses = "SELECT * EXCLUDE (score, outcome), $sampling AS sampling, NULL::VARCHAR AS revision FROM made"
        _copy(tables, folder / "responses", number, responses, {"sampling": SAMPLING})
        scores = "SELECT response_id, $judge AS judge, score FROM made WHERE score IS NOT NULL"
        _copy(tables, folder / "scores", number, scores, {"judge": JUDGE})
        if shape.domain == "math":
            verdicts = "SELECT response_id, $verifier AS verifier, $gold AS reference_digest, outcome FROM made"
            _copy(tables, folder / "verdicts", number, verdicts, {"verifier": _verifier(), "gold": message})
    tables.close()
    return folder


def _verifier() -> str:
    from datakit.domains import DOMAINS
    from datakit.recipe import VerifyMath

    verifier = DOMAINS["math"](VerifyMath()).verifier
    assert verifier is not None
    return verifier.name


def _copy(tables: duckdb.DuckDBPyConnection, folder: Path, number: int, sql: str, params: dict[str, object]) -> None:
    folder.mkdir(exist_ok=True)
    path = str(folder / f"part-{number:06d}.parquet").replace("'", "''")
    metadata = f", KV_METADATA {{'{COMPARED_BY}': '{COMPARED}'}}" if folder.name == "responses" else ""
    tables.execute(f"COPY ({sql}) TO '{path}' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 5000{metadata})", params)
