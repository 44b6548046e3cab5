"""Batches of a run: lines that a vendor answers, and their progress, noted before and after every remote step.

    batches/<name>.jsonl          the lines, as they are uploaded
    batches/<name>.samples.jsonl  the samples of the lines: response_id, prompt_id, sample_index
    batches/<name>.json           the note, written last and replaced whole; it stays when the other files are removed

A kill between a remote step and its note leaves the note of a step that has begun. The result of that step, if any, is then
found by the file's name and the batch's metadata, which no other batch has.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple

from datakit.errors import RunError
from datakit.store.parts import writing
from datakit.store.run import Run

Step = Literal["written", "uploading", "uploaded", "creating", "running", "stored"]
Source = tuple[str, str | None, str]
"""model, revision, sampling: the identity of a source, by which its responses are known."""
FOLDER = "batches"


class Sample(NamedTuple):
    """The sample that a line asks for."""

    prompt_id: str
    messages_digest: str
    sample_index: int


class Line(NamedTuple):
    """One line of a batch, and the sample that it asks for."""

    data: bytes
    response_id: str
    sample: Sample
    prompt_tokens: float
    """A rough estimate."""


@dataclass(frozen=True)
class Batch:
    """The note of one batch."""

    name: str
    step: Step
    """The last step that has begun: `uploading` and `creating` may have been interrupted by a kill."""
    model: str
    revision: str | None
    sampling: str
    """The identity of the source, as in `responses`."""
    digest: str
    """SHA-256 of the lines."""
    n_lines: int
    n_bytes: int
    prompt_tokens: int
    completion_tokens: int | None
    """A rough upper estimate for all lines; None if nothing says how long an answer may get."""
    written_at: str
    file_id: str | None = None
    batch_id: str | None = None
    status: str | None = None
    """The vendor's last status."""

    @property
    def source(self) -> Source:
        """The identity of the batch's source."""
        return self.model, self.revision, self.sampling

    @property
    def file_name(self) -> str:
        """The name of the uploaded file."""
        return f"datakit-{self.name}.jsonl"

    @property
    def metadata(self) -> dict[str, str]:
        """The metadata that distinguish this batch from all others of the account."""
        return {"datakit_batch": self.name, "datakit_lines": self.digest}

    @property
    def may_be_paid(self) -> bool:
        """True if the vendor may be answering its lines and they are not stored yet."""
        return self.step in ("creating", "running")


@dataclass
class BatchFolder:
    """The batches of one run."""

    run: Run
    folder: Path = field(init=False)

    def __post_init__(self) -> None:
        self.folder = self.run.folder / FOLDER

    def notes(self) -> list[Batch]:
        """Return the batches that are not stored yet, oldest first. Raise RunError if a note cannot be read."""
        found = [self._read(path) for path in sorted(self.folder.glob("*.json"))]
        return [batch for batch in found if batch.step != "stored"]

    def write(
        self, lines: Iterator[Line], source: Source, tokens_each: int | None, max_lines: int, max_bytes: int
    ) -> Iterator[Batch]:
        """Write a source's lines, read lazily, to as few batches as the limits allow; `tokens_each`: the most per answer."""
        self.run.check_writable()
        self.folder.mkdir(exist_ok=True)
        line = next(lines, None)
        while line is not None:
            with writing(self.run.folder), _Writer(self.folder, self._new_name()) as writer:
                line = writer.fill(line, lines, max_lines, max_bytes)
            yield self.save(writer.note(source, tokens_each))

    def save(self, batch: Batch, **changes: Any) -> Batch:
        """Save the note with these changes; it is on disk when this returns."""
        self.run.check_writable()
        batch = replace(batch, **changes)
        path = self.note_path(batch)
        temporary = path.with_suffix(".tmp")
        with writing(self.run.folder), temporary.open("w", encoding="utf-8") as file:
            file.write(json.dumps(asdict(batch), indent=2, ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())
            temporary.rename(path)
        return batch

    def finish(self, batch: Batch, status: str) -> None:
        """Mark a batch whose lines are all rows by now: keep the note, remove the lines."""
        self.save(batch, step="stored", status=status)
        self._remove_files(batch.name)

    def discard(self, batch: Batch) -> None:
        """Remove a batch whose lines nobody has begun to answer."""
        self.note_path(batch).unlink()
        self._remove_files(batch.name)

    def clean(self) -> None:
        """Remove the files that a killed process left half-written or did not get to remove."""
        kept = {batch.name for batch in self.notes()}
        for path in self.folder.glob("*"):
            if path.suffix != ".json" and path.name.split(".")[0] not in kept:
                path.unlink()

    def note_path(self, batch: Batch) -> Path:
        """Return the path of a batch's note."""
        return self.folder / f"{batch.name}.json"

    def lines_path(self, batch: Batch) -> Path:
        """Return the path of the file that is uploaded."""
        return self.folder / f"{batch.name}.jsonl"

    def result_path(self, batch: Batch, number: int) -> Path:
        """Return the path to which a file of results is downloaded."""
        return self.folder / f"{batch.name}.result-{number}.jsonl"

    def samples(self, batch: Batch) -> dict[str, Sample]:
        """Return the samples of a batch's lines, by response_id."""
        with self._samples_path(batch.name).open(encoding="utf-8") as file:
            return {key: Sample(*sample) for key, *sample in map(json.loads, file)}

    def _samples_path(self, name: str) -> Path:
        return self.folder / f"{name}.samples.jsonl"

    def _new_name(self) -> str:
        """Return a number, for people, and a random part: two runs of one recipe have the same lines."""
        numbers = [int(path.name.partition("-")[0]) for path in self.folder.glob("*.json*")]
        return f"{max(numbers, default=0) + 1:06d}-{secrets.token_hex(6)}"

    def _remove_files(self, name: str) -> None:
        for path in self.folder.glob(f"{name}.*"):
            if path.suffix != ".json":
                path.unlink()

    def _read(self, path: Path) -> Batch:
        try:
            return Batch(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise RunError(f"{path}: not the note of a batch ({error}); the batch may be paid for: repair it") from error


class _Writer:
    """The two files of a batch that is being written, as a context manager."""

    def __init__(self, folder: Path, name: str) -> None:
        self._name = name
        self._lines: BinaryIO = (folder / f"{name}.jsonl").open("wb")
        self._samples = (folder / f"{name}.samples.jsonl").open("w", encoding="utf-8")
        self._hash = hashlib.sha256()
        self._n_lines = self._n_bytes = 0
        self._prompt_tokens = 0.0

    def __enter__(self) -> _Writer:
        return self

    def __exit__(self, *exc: object) -> None:
        for file in (self._lines, self._samples):
            with file:
                file.flush()
                os.fsync(file.fileno())

    def fill(self, line: Line, lines: Iterator[Line], max_lines: int, max_bytes: int) -> Line | None:
        """Write this line and as many more as the limits allow; return the first line without room, or None."""
        self._add(line)
        for more in lines:
            if self._n_lines >= max_lines or self._n_bytes + len(more.data) > max_bytes:
                return more
            self._add(more)
        return None

    def note(self, source: Source, tokens_each: int | None) -> Batch:
        """Return the first note of the batch."""
        model, revision, sampling = source
        return Batch(
            name=self._name,
            step="written",
            model=model,
            revision=revision,
            sampling=sampling,
            digest=self._hash.hexdigest()[:32],
            n_lines=self._n_lines,
            n_bytes=self._n_bytes,
            prompt_tokens=round(self._prompt_tokens),
            completion_tokens=None if tokens_each is None else tokens_each * self._n_lines,
            written_at=datetime.now(UTC).isoformat(),
        )

    def _add(self, line: Line) -> None:
        self._lines.write(line.data)
        self._samples.write(json.dumps([line.response_id, *line.sample]) + "\n")
        self._hash.update(line.data)
        self._n_lines += 1
        self._n_bytes += len(line.data)
        self._prompt_tokens += line.prompt_tokens
