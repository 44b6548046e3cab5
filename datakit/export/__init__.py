"""demos and pairs -> folders as TRL, the hub and other tools take them."""

from datakit.export.folders import Exported, Wish, export_runs
from datakit.export.formats import FORMATS, Format
from datakit.export.mix import Mix

__all__ = ["FORMATS", "Exported", "Format", "Mix", "Wish", "export_runs"]
