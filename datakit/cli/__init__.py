"""The `datakit` command. Heavy imports stand inside the commands, so that `datakit --help` answers at once."""

from datakit.cli.app import main

__all__ = ["main"]
