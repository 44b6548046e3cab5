"""What is in a run or an export, as one plain dict: `datakit inspect`. report.py draws it.

Every number comes from one of sql/audit_*.sql; here they are put together and held against the recipe's limits. A number that
does not exist is None, never NaN.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from datakit.audit.from_export import (
    _inspect_exports,
)
from datakit.audit.from_run import _inspect_run
from datakit.errors import BadInput
from datakit.tables import EXPORTED


def inspect(folder: Path) -> dict[str, Any]:
    """The report on a run folder, an export (sft/ or dpo/), or a folder that holds exports.

    BadInput for anything else.
    """
    if (folder / "recipe.json").is_file():
        return _inspect_run(folder)
    exports = [path for path in (folder, *(folder / kind for kind in EXPORTED)) if (path / "manifest.json").is_file()]
    if exports:
        return _inspect_exports(folder, exports)
    what = "there is no such folder" if not folder.exists() else "neither a run (recipe.json) nor an export (manifest.json)"
    raise BadInput(
        f"{folder}: {what}; give the folder that 'datakit build --out' or 'datakit export' wrote (by default runs/<domain>)"
    )


# --------------------------------------------------------------------------------------------------------------------- runs


# ------------------------------------------------------------------------------------------------------------------ exports


# --------------------------------------------------------------------------------------------------------------- all of them
