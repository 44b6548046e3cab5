"""Find data sets whose programs cannot be verified, because they import what `verify.libraries` does not list."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterable

from datakit.collect.begin import Begun
from datakit.domains.code.suites import PROGRAM_MODULES
from datakit.progress import Monitor
from datakit.recipe import Recipe, VerifyCode
from datakit.store import Run
from datakit.wording import counted

LOOKED_AT = 10_000
"""The number of prompts that are read as a sample of the rest."""
_IMPORT = re.compile(
    r"^[ \t]*(?:from[ \t]+([A-Za-z_]\w*)[\w.]*[ \t]+import\b|import[ \t]+([A-Za-z_][\w.]*(?:[ \t]+as[ \t]+\w+)?"
    r"(?:[ \t]*,[ \t]*[A-Za-z_][\w.]*(?:[ \t]+as[ \t]+\w+)?)*)[ \t]*(?:[#;]|$))",
    re.MULTILINE,
)


def warn_of_libraries(run: Run, recipe: Recipe, begun: Begun, monitor: Monitor) -> None:
    """Warn before anything is sampled; see `unlisted`."""
    if isinstance(recipe.verify, VerifyCode):
        kept = f"SELECT solution, reference FROM {begun.prompts.relation} WHERE dropped IS NULL LIMIT {LOOKED_AT}"
        texts = [(row["solution"], row["reference"]) for frame in run.stream(kept, {}, rows=1000) for row in frame.to_dicts()]
        if found := unlisted(texts, recipe.verify.libraries):
            monitor.say(found, warning=True)


def unlisted(texts: Iterable[tuple[str | None, str | None]], libraries: list[str]) -> str | None:
    """Return a warning if more than half of the prompts (solution, tests) import what is neither standard nor listed, else
    None."""
    listed = {library.partition(".")[0] for library in libraries} | sys.stdlib_module_names | {"pytest", *PROGRAM_MODULES}
    missing = [imported(f"{solution or ''}\n{tests or ''}") - listed for solution, tests in texts]
    concerned = sum(map(bool, missing))
    if concerned * 2 <= len(missing):
        return None
    names = [name for name, _ in Counter(name for one in missing for name in sorted(one)).most_common(5)]
    wanted = ", ".join([*libraries, *names])
    return (
        f"{', '.join(names)}: imported by {concerned:,} of {counted(len(missing), 'prompts')}, and not in verify.libraries: "
        f"answers to them cannot be verified. Install it here, and write  verify: {{libraries: [{wanted}]}}"
    )


def imported(text: str) -> set[str]:
    """Return the top-level names of the modules that a Python text imports, as far as its lines show."""
    found = set[str]()
    for taken, listed in _IMPORT.findall(text):
        found |= {part.split()[0].partition(".")[0] for part in (taken or listed).split(",")}
    return found
