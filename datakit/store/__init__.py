"""A run folder: Parquet parts, journals, and SQL over them. Only this room knows the files of a run."""

from datakit.store.batches import Batch, BatchFolder, Line, Sample
from datakit.store.database import Database, Tables, load_sql
from datakit.store.flags import Flags
from datakit.store.manifest import Note
from datakit.store.mirror import mirrored
from datakit.store.parts import writing
from datakit.store.pull import pull
from datakit.store.run import Journal, Run
from datakit.store.spool import Spool

__all__ = [
    "Batch",
    "BatchFolder",
    "Database",
    "Flags",
    "Journal",
    "Line",
    "Note",
    "Run",
    "Sample",
    "Spool",
    "Tables",
    "load_sql",
    "mirrored",
    "pull",
    "writing",
]
