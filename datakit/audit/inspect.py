"""`datakit inspect`: describe what is in a run or an export.

Every number comes from a statement of sql/audit/; here they are combined and compared with the recipe's limits.
"""

from __future__ import annotations

from pathlib import Path

from datakit.audit.from_export import TABLE_OF, inspect_exports
from datakit.audit.from_run import inspect_run
from datakit.audit.queries import A_FEW, Shown
from datakit.audit.report import Report
from datakit.errors import BadInput
from datakit.store import Run


def inspect(folder: Path, shown: Shown = A_FEW) -> Report:
    """Return the report on a run folder, an export (sft/, dpo/ or wrpo/), or a folder that contains exports.

    Raises BadInput for anything else.
    """
    if (folder / "recipe.json").is_file():
        with Run.open(folder) as run:
            return inspect_run(run, shown=shown)
    phases = [path for kind in TABLE_OF if ((path := folder / kind) / "manifest.json").is_file()]
    if exports := phases or ([folder] if (folder / "manifest.json").is_file() else []):
        return inspect_exports(folder, exports, shown)
    what = "there is no such folder" if not folder.exists() else "neither a run (recipe.json) nor an export (manifest.json)"
    raise BadInput(
        f"{folder}: {what}; give the folder that 'datakit build --out' or 'datakit export' wrote (by default runs/<domain>)"
    )
