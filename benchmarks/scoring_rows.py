"""Rows for the memory part of `scoring.py`, and a worker that scores by length."""

from __future__ import annotations

import random
from pathlib import Path

from datakit.engine.protocol import Worker
from datakit.store import Run
from datakit.tables import IMPORTED, TABLES, Row, digest_of_messages, make_response_id

ANSWERS = 10
CHARACTERS = 2_000


def fill(folder: Path, n_rows: int) -> None:
    """Fill a run with prompts and ten different answers of random letters to each."""
    letters = random.Random(0)
    source = {"model": "m", "sampling": IMPORTED, "type": "responses", "n": ANSWERS}
    with Run.create(folder) as run:
        run.replace("sources", TABLES["sources"].frame([source]))
        prompts: list[Row] = []
        for at in range(0, n_rows // ANSWERS, 1000):
            some = [_prompt(number) for number in range(at, min(at + 1000, n_rows // ANSWERS))]
            prompts += some
            run.append("responses", [_response(row, index, letters) for row in some for index in range(ANSWERS)])
        run.replace("prompts", TABLES["prompts"].frame(prompts))


def _prompt(number: int) -> Row:
    messages = [{"role": "user", "content": f"question {number}"}]
    digest = digest_of_messages(messages)  # type: ignore[arg-type]
    return {"prompt_id": f"p{number}", "domain": "math", "source": "s", "messages": messages, "messages_digest": digest}


def _response(prompt: Row, index: int, letters: random.Random) -> Row:
    text = letters.randbytes(CHARACTERS // 2).hex()
    response_id = make_response_id(prompt["messages_digest"], "m", None, IMPORTED, index)
    ids = {"response_id": response_id, "prompt_id": prompt["prompt_id"], "sample_index": index}
    return ids | {"model": "m", "sampling": IMPORTED, "text": text}


def start() -> Worker:
    """Return a worker without a model."""
    columns = {"objectives": None, "n_tokens": 1, "n_tokens_cut": 0, "error": None, "message": None}
    return lambda rows: ({"score": float(len(row["messages"][-1]["content"])), **columns} for row in rows)
