"""Export files: streamed from the database to disk, complete or not there at all.

A file is written beside its place under a name of its own, flushed to disk, and renamed by who still holds the right to
write it: a reader never sees half a file, and who lost that right never replaces a newer file. Nobody but this user can
read what is in the directory: API, workers and sweeper run as one user.
"""

import hashlib
import os
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, NamedTuple
from uuid import UUID, uuid4

from models.artifact import EXPORT
from models.queries import ResultRow
from pipeline.results.formats import FORMATS, Format
from pipeline.results.rows import RESULT_COLUMNS, Table

PRIVATE_DIRECTORY, PRIVATE_FILE = 0o700, 0o600
SYNC_EVERY = 4_000_000
"""Bytes after which a file is flushed to disk: at its end alone, a slow disk would take longer than a lease."""


class FileSpec(NamedTuple):
    """A file that is to be written: as which asset, and which of the rows it holds, with which result columns."""

    asset_id: str
    kind: str
    label: str
    format: str
    select: Callable[[Sequence[ResultRow]], Sequence[ResultRow]] | None = None
    result_columns: Sequence[str] = RESULT_COLUMNS
    make: Callable[[Table], Format] | None = None
    """Makes the bytes of a file of other rows than result rows."""

    @property
    def name(self) -> str:
        """The name of the file."""
        stem = "contacts" if self.kind == EXPORT else self.asset_id
        return f"{stem}.{FORMATS[self.format].extension}"


@dataclass(frozen=True, slots=True)
class ExportFile:
    """A whole export: where it belongs, what is in it, and where it is until then (`unfinished`).

    Both places are relative to the export directory.
    """

    asset_id: str
    kind: str
    label: str
    format: str
    mime_type: str
    rows: int
    bytes: int
    sha256: str
    storage_key: str
    unfinished: str


def write_exports(
    directory: Path,
    run_id: UUID,
    wanted: Iterable[FileSpec],
    table: Table,
    batches: Iterable[Sequence[ResultRow]],
) -> list[ExportFile]:
    """Write files of a run beside their places, while its result rows are read once.

    Raises `OSError` when the disk does not take them, and whatever `batches` does; then nothing is left.
    """
    # Each by itself: with `parents`, only the last would get this mode.
    if not directory.exists():
        directory.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)
    (directory / str(run_id)).mkdir(mode=PRIVATE_DIRECTORY, exist_ok=True)
    files: list[_UnfinishedFile] = []
    try:
        # One after the other: if the second can't be created, the first is deleted.
        files += (_UnfinishedFile(directory, run_id, spec, table) for spec in wanted)
        for file in files:
            file.write_head()
        for rows in batches:
            for file in files:
                file.write(rows)
        return [file.finish() for file in files]
    except BaseException:
        for file in files:
            file.abandon()
        raise


def put_in_place(
    directory: Path, run_id: UUID, exports: Collection[ExportFile], handed_out: Iterable[str] = ()
) -> None:
    """Give the files their names, and delete what earlier attempts have left, but not what is `handed_out`.

    Call it in the transaction that hands them out, under the run's lock. A second time does nothing. Raises `OSError`
    when a file is gone.
    """
    names = {Path(key).name for key in (*handed_out, *(export.storage_key for export in exports))}
    for export in exports:
        try:
            (directory / export.unfinished).replace(directory / export.storage_key)
        except FileNotFoundError:
            # An earlier try of the same transaction did it.
            if not (directory / export.storage_key).exists():
                raise
    _remove_all_but(names, directory / str(run_id))


def discard(directory: Path, exports: Iterable[ExportFile]) -> None:
    """Delete files that are not put in their places any more."""
    for export in exports:
        with suppress(OSError):
            (directory / export.unfinished).unlink()


def has_exports(directory: Path, run_id: UUID) -> bool:
    """Whether anything of a run is in the export directory."""
    return (directory / str(run_id)).exists()


def remove_exports(directory: Path, run_id: UUID, handed_out: Iterable[str] = ()) -> None:
    """Delete a run's export files, also those never finished, but not those that are `handed_out`.

    Raises `OSError` when the disk does not let them go. A second time, or while somebody else does the same, does
    nothing.
    """
    place, names = directory / str(run_id), {Path(key).name for key in handed_out}
    _remove_all_but(names, place)
    if not names:
        with suppress(FileNotFoundError):
            place.rmdir()


def _remove_all_but(names: Collection[str], place: Path) -> None:
    with suppress(FileNotFoundError):
        for path in place.iterdir():
            if path.name not in names:
                path.unlink(missing_ok=True)


class _UnfinishedFile:
    """One export while it is written."""

    def __init__(self, directory: Path, run_id: UUID, spec: FileSpec, table: Table) -> None:
        self._run_id, self._spec = run_id, spec
        make = spec.make or FORMATS[spec.format].make
        self._format = make(replace(table, result_columns=spec.result_columns))
        self._unfinished = f"{run_id}/.{spec.name}.{uuid4().hex}"
        self._path = directory / self._unfinished
        self._digest = hashlib.sha256()
        self._rows = self._bytes = self._unsynced = 0
        self._file: BinaryIO = open(self._path, "xb", opener=_private)  # noqa: SIM115 - it stays open between batches

    def write_head(self) -> None:
        self._append(self._format.head())

    def write(self, rows: Sequence[ResultRow]) -> None:
        selected = self._spec.select(rows) if self._spec.select else rows
        self._rows += len(selected)
        self._append(self._format.rows(selected))

    def finish(self) -> ExportFile:
        """Write the rest, all of it to disk."""
        self._append(self._format.tail())
        with self._file:
            _sync(self._file)
        return ExportFile(
            asset_id=self._spec.asset_id,
            kind=self._spec.kind,
            label=self._spec.label,
            format=self._spec.format,
            mime_type=FORMATS[self._spec.format].mime_type,
            rows=self._rows,
            bytes=self._bytes,
            sha256=self._digest.hexdigest(),
            storage_key=f"{self._run_id}/{self._spec.name}",
            unfinished=self._unfinished,
        )

    def abandon(self) -> None:
        """Close and delete it."""
        with suppress(OSError):
            # Closing writes what is left in the buffer, which a full disk refuses once more.
            self._file.close()
        with suppress(OSError):
            self._path.unlink()

    def _append(self, data: bytes) -> None:
        self._digest.update(data)
        self._bytes += len(data)
        self._unsynced += self._file.write(data)
        if self._unsynced > SYNC_EVERY:
            self._unsynced = _sync(self._file)


def _sync(file: BinaryIO) -> int:
    file.flush()
    os.fsync(file.fileno())
    return 0


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, PRIVATE_FILE)
