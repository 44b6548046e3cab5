"""Write demos and pairs as folders that TRL, the hub and other tools read."""

from datakit.export.folders import Exported, Wish, export_runs
from datakit.export.formats import FORMATS, Format
from datakit.export.mix import Mix

__all__ = ["FORMATS", "Exported", "Format", "Mix", "Wish", "export_runs"]
