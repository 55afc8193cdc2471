"""Export files: streamed from the database to disk, complete or not there at all.

A file is written beside its place under a name of its own, flushed to disk, and renamed by who still holds the right to
write it: a reader never sees half a file, and who lost that right never replaces a newer file. Nobody but this user can
read what is in the directory: API, workers and sweeper run as one user.
"""

import csv
import hashlib
import io
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from uuid import UUID, uuid4

from sqlalchemy import Row

from pipeline.results.rows import export_columns, our_columns, result_contact

PRIVATE_DIRECTORY, PRIVATE_FILE = 0o700, 0o600
SYNC_EVERY = 4_000_000
"""Bytes after which a file is flushed to disk: at its end alone, a slow disk would take longer than a lease."""
MIME_TYPES = {"csv": "text/csv", "json": "application/json"}


@dataclass(frozen=True, slots=True)
class ExportFile:
    """A whole export: where it belongs, what is in it, and where it is until then (`unfinished`).

    Both places are relative to the export directory.
    """

    asset_id: str
    format: str
    mime_type: str
    rows: int
    bytes: int
    sha256: str
    storage_key: str
    unfinished: str


Encoder = Callable[[Iterable[dict[str, Any]], Sequence[str]], Iterator[str]]


def write_export(
    directory: Path,
    run_id: UUID,
    export_format: str,
    extra_columns: Sequence[str],
    rows: Iterable[Row[Any]],
) -> ExportFile:
    """Write one export of a run beside its place.

    Raises `OSError` when the disk does not take it, and whatever `rows` does; then nothing is left.
    """
    key, name = f"{run_id}/contacts.{export_format}", f"{run_id}/.contacts.{export_format}.{uuid4().hex}"
    unfinished = directory / name
    # Each by itself: with `parents`, only the last would get this mode.
    directory.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)
    unfinished.parent.mkdir(mode=PRIVATE_DIRECTORY, exist_ok=True)
    ours = our_columns(extra_columns)
    counted = _Counted(result_contact(row, ours) for row in rows)
    try:
        digest = _write(unfinished, ENCODERS[export_format](counted, export_columns(extra_columns, ours)))
        size = unfinished.stat().st_size
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    mime_type = MIME_TYPES[export_format]
    return ExportFile(
        f"contacts_{export_format}", export_format, mime_type, counted.count, size, digest, key, unfinished=name
    )


def put_in_place(directory: Path, exports: Iterable[ExportFile]) -> None:
    """Give the files their names. Call it in the transaction that hands them out, under the run's lock.

    A second time does nothing. Raises `OSError` when a file is gone.
    """
    for export in exports:
        try:
            (directory / export.unfinished).replace(directory / export.storage_key)
        except FileNotFoundError:
            # An earlier try of the same transaction did it.
            if not (directory / export.storage_key).exists():
                raise


def discard(directory: Path, exports: Iterable[ExportFile]) -> None:
    """Delete files that are not put in their places any more."""
    for export in exports:
        with suppress(OSError):
            (directory / export.unfinished).unlink()


def has_exports(directory: Path, run_id: UUID) -> bool:
    """Whether anything of a run is in the export directory."""
    return (directory / str(run_id)).exists()


def remove_exports(directory: Path, run_id: UUID) -> None:
    """Delete a run's export files, also those never finished. Raises `OSError` when the disk does not let them go.

    A second time, or while somebody else does the same, does nothing.
    """
    place = directory / str(run_id)
    with suppress(FileNotFoundError):
        for path in place.iterdir():
            path.unlink(missing_ok=True)
        place.rmdir()


class _Counted:
    """Passes items on and counts them."""

    def __init__(self, items: Iterable[dict[str, Any]]) -> None:
        self._items = items
        self.count = 0

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for item in self._items:
            self.count += 1
            yield item


def _write(path: Path, pieces: Iterable[str]) -> str:
    digest, unsynced = hashlib.sha256(), 0
    with open(path, "xb", opener=_private) as file:
        for piece in pieces:
            data = piece.encode()
            digest.update(data)
            unsynced += file.write(data)
            if unsynced > SYNC_EVERY:
                unsynced = _sync(file)
        _sync(file)
    return digest.hexdigest()


def _sync(file: BinaryIO) -> int:
    file.flush()
    os.fsync(file.fileno())
    return 0


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, PRIVATE_FILE)


def _csv_lines(contacts: Iterable[dict[str, Any]], columns: Sequence[str]) -> Iterator[str]:
    """RFC 4180, UTF-8. Values that are not text keep their JSON form. A row costs what it holds, not what others do."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(columns)
    places = {column: place for place, column in enumerate(columns)}
    for contact in contacts:
        cells = [""] * len(columns)
        for column, value in contact.items():
            cells[places[column]] = _csv_value(value)
        writer.writerow(cells)
        yield _drained(buffer)
    yield _drained(buffer)


def _json_lines(contacts: Iterable[dict[str, Any]], _columns: Sequence[str]) -> Iterator[str]:
    """One JSON array, one contact a line."""
    before = "[\n"
    for contact in contacts:
        yield before + json.dumps(contact, ensure_ascii=False)
        before = ",\n"
    yield "\n]\n" if before != "[\n" else "[]\n"


ENCODERS: dict[str, Encoder] = {"csv": _csv_lines, "json": _json_lines}


def _csv_value(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _drained(buffer: io.StringIO) -> str:
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text
