"""What is in a run or an export: `datakit inspect`."""

from datakit.audit.inspect import inspect

__all__ = ["inspect"]
