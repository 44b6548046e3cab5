"""One run for all pages: two sources, a judge that pays for length, a verifier, and texts that would like to be markup."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.imported_runs import imported_run

EVIL = "<script>alert('x')</script><img src=//evil.example/a.png>\u202egnp.exe\u200b{{ 7 * 7 }}</p></div>"
EVIL_MODEL = 'org/<b onclick="alert(1)">m'
MODELS = ("org/plain", EVIL_MODEL)


@pytest.fixture(scope="session")
def evil_run(tmp_path_factory) -> Path:
    """12 sums, two models, three answers each: a long right one, a short right one, a wrong one of a length in between."""
    rows = []
    for at in range(12):
        for model in MODELS:
            right, wrong = f"{EVIL} so \\boxed{{{at}}}", f"so \\boxed{{{at + 1}}}"
            texts = (("long " * 40 + right, 0.9), (right, 0.5), ("long " * 20 + wrong, 0.6 if at % 3 else 0.2))
            rows += [
                {"prompt": f"{EVIL} What is {at} + 0?", "reference": str(at), "model": model, "text": text, "score": score}
                for text, score in texts
            ]
    sections = {"verify": {"workers": 1}, "select": {"margin": [0.1, 0.8]}, "limits": {"min_pairs": 5}}
    return imported_run(tmp_path_factory.mktemp("evil") / "run", rows, {}, domain="math", **sections)
