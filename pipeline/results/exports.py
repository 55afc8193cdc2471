"""Export files: streamed from the database to the storage, complete or not there at all.

A reader never sees half a file, and a writer that lost the right to write never replaces a newer file: files are handed
out in the transaction that has artifacts name them, under the run's lock. How that is done differs between a folder,
where files are renamed, and a bucket, where each file has a row of its own (`pipeline.results.stored_files`).
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple
from uuid import UUID

from sqlalchemy.orm import Session

from models.artifact import EXPORT
from models.queries import ResultRow
from pipeline.results import stored_files
from pipeline.results.formats import FORMATS, Format
from pipeline.results.rows import RESULT_COLUMNS, Table
from pipeline.storage import Bucket, Folder, Storage


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

    Both are keys in the storage; in a bucket they are the same.
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
    storage: Storage,
    run_id: UUID,
    wanted: Iterable[FileSpec],
    table: Table,
    batches: Iterable[Sequence[ResultRow]],
    intend: Callable[[Sequence[str]], None] | None = None,
) -> list[ExportFile]:
    """Write files of a run beside their places, while its result rows are read once.

    For a bucket, `intend` notes and commits the keys first: without it, they can't be handed out. Raises `OSError` when
    the storage does not take them, and whatever `batches` does; then nothing is left.
    """
    files: list[_UnfinishedFile] = []
    keys = [_keys(storage, run_id, spec) for spec in wanted]
    if isinstance(storage, Bucket) and intend:
        intend([unfinished for _, unfinished, _ in keys])
    try:
        # One after the other: if the second can't be created, the first is deleted.
        files += (_UnfinishedFile(storage, spec, unfinished, key, table) for spec, unfinished, key in keys)
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
    session: Session, storage: Storage, run_id: UUID, exports: Sequence[ExportFile], handed_out: Iterable[str] = ()
) -> None:
    """Keep the files, and none of what earlier attempts have left, but what is `handed_out`.

    Call it in the transaction that hands them out, under the run's lock. A second time does nothing. Raises `OSError`
    when a file is gone, and `LeaseLost` when it was let go.
    """
    keys = {export.unfinished: export.storage_key for export in exports}
    if isinstance(storage, Folder):
        storage.put_in_place(run_id, keys, handed_out)
    else:
        stored_files.hand_out(session, run_id, list(keys))
        stored_files.let_go(session, run_id, [*handed_out, *keys])


def remove_exports(session: Session, storage: Storage, run_id: UUID, handed_out: Iterable[str] = ()) -> None:
    """Delete a run's files, also those never finished, but not those that are `handed_out`.

    Files in a bucket are let go: they are deleted after the commit. Raises `OSError` when a disk does not let them go.
    """
    if isinstance(storage, Folder):
        storage.remove_all_but(handed_out, run_id)
    else:
        stored_files.let_go(session, run_id, handed_out)


def _keys(storage: Storage, run_id: UUID, spec: FileSpec) -> tuple[FileSpec, str, str]:
    if isinstance(storage, Folder):
        return (spec, *storage.new_keys(run_id, spec.name))
    key = storage.new_key(run_id, spec.name)
    return spec, key, key


class _UnfinishedFile:
    """One export while it is written."""

    def __init__(self, storage: Storage, spec: FileSpec, unfinished: str, key: str, table: Table) -> None:
        self._spec, self._unfinished, self._key = spec, unfinished, key
        self._mime_type = FORMATS[spec.format].mime_type
        make = spec.make or FORMATS[spec.format].make
        self._format = make(replace(table, result_columns=spec.result_columns))
        self._digest = hashlib.sha256()
        self._rows = self._bytes = 0
        self._file = storage.create(unfinished, self._mime_type)

    def write_head(self) -> None:
        self._append(self._format.head())

    def write(self, rows: Sequence[ResultRow]) -> None:
        selected = self._spec.select(rows) if self._spec.select else rows
        self._rows += len(selected)
        self._append(self._format.rows(selected))

    def finish(self) -> ExportFile:
        """Write the rest, and have all of it stored."""
        self._append(self._format.tail())
        self._file.finish()
        return ExportFile(
            asset_id=self._spec.asset_id,
            kind=self._spec.kind,
            label=self._spec.label,
            format=self._spec.format,
            mime_type=self._mime_type,
            rows=self._rows,
            bytes=self._bytes,
            sha256=self._digest.hexdigest(),
            storage_key=self._key,
            unfinished=self._unfinished,
        )

    def abandon(self) -> None:
        """Write no more of it, and delete what there is."""
        self._file.abandon()

    def _append(self, data: bytes) -> None:
        self._digest.update(data)
        self._bytes += len(data)
        self._file.write(data)
