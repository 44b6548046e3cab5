"""The `datakit` command. Heavy imports are inside the commands, so that `datakit --help` answers at once."""

from datakit.cli.app import main

__all__ = ["main"]
