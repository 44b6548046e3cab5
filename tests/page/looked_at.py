"""One run for all pages: two sources, two judges, a verifier, failures, dropped prompts, and texts that want to be markup."""

from __future__ import annotations

from pathlib import Path

from datakit.tables import TABLES
from tests.audit.test_audit import Build

EVIL = "<script>document.title = 'pwned'</script><img src=x onerror=alert(1)>\u202egnp.exe\u200b{{ 7 * 7 }}</div></article>"
MODELS = ("llama", "qwen")
OTHER = "other@1"


def make_run(folder: Path, prompts: int = 24) -> Path:
    """Of every prompt each model has a right and a wrong answer; llama's margins grow with the number, qwen's fall.

    p3 is asked in vain by llama, p5 is right by qwen alone, d0 and d1 are dropped, one for what it met.
    """
    build = Build(folder, select={"per_prompt": "one_per_source"})
    for at in range(prompts):
        name = f"p/{at:02d}"
        build.prompt(name, content=f"{EVIL} Question {at}? {'needle' if at == 7 else ''}")
        for model, step in zip(MODELS, (0.01, -0.01), strict=True):
            if name == "p/03" and model == "llama":
                build.failure(build.response_id(name, model, 0), model, message=EVIL)
                continue
            right = "failed" if name == "p/05" and model == "llama" else "passed"
            build.answer(name, model, 0, f"{EVIL} so it is 7, says {model} to {at}", right, 0.5 + step * at)
            build.answer(name, model, 1, f"{EVIL} so it is 8, says {model} to {at}, and {'more ' * at}", "failed", 0.25)
    for at, reason in enumerate(("contaminated: bench", "too short")):
        build.prompt(f"d/{at}", dropped=reason, content=f"{EVIL} dropped {at}")
    scores = [
        {"response_id": row["response_id"], "judge": OTHER, "score": float(len(row["text"]))} for row in build.rows["responses"]
    ]
    build.rows["scores"] += scores
    build.run.replace("judges", TABLES["judges"].frame([{"judge": name, "type": "x"} for name in ("armorm@r1", OTHER)]))
    build.run.replace(
        "overlaps",
        TABLES["overlaps"].frame(
            [
                {
                    "prompt_id": "d/0",
                    "reason": "contaminated: bench",
                    "met": "bench/9",
                    "share": 0.9,
                    "text": f"{EVIL} of the bench",
                }
            ]
        ),
    )
    for row in build.rows["verdicts"]:
        row["extracted"] = "7" if row["outcome"] == "passed" else "8"
    build.finish()
    return folder
