"""demos and pairs -> sft/ and dpo/ folders as TRL takes them."""

from datakit.export.folders import export_run

__all__ = ["export_run"]
