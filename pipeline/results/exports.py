"""Export files: streamed from the database to disk, complete or not there at all.

A file is written beside its place under a name of its own, flushed to disk, then renamed: a reader never
sees half a file, and writing it twice ends in the same bytes.
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
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Row

from pipeline.results.rows import export_columns, result_record

MIME_TYPES = {"csv": "text/csv", "json": "application/json"}


@dataclass(frozen=True, slots=True)
class ExportFile:
    """A finished export: where it is (relative to the export directory), and what is in it."""

    asset_id: str
    format: str
    mime_type: str
    rows: int
    bytes: int
    sha256: str
    storage_key: str


Encoder = Callable[[Iterable[dict[str, Any]], Sequence[str]], Iterator[str]]


def write_export(
    directory: Path,
    run_id: UUID,
    export_format: str,
    extra_columns: Sequence[str],
    rows: Iterable[Row[Any]],
) -> ExportFile:
    """Write one export of a run. Raises `OSError` when the disk does not take it; then nothing is left."""
    key = f"{run_id}/contacts.{export_format}"
    place = directory / key
    place.parent.mkdir(parents=True, exist_ok=True)
    unfinished = place.with_name(f".{place.name}.{uuid4().hex}")
    counted = _Counted(result_record(row, extra_columns) for row in rows)
    try:
        digest = _write(unfinished, ENCODERS[export_format](counted, export_columns(extra_columns)))
        size = unfinished.stat().st_size
        unfinished.replace(place)
    finally:
        unfinished.unlink(missing_ok=True)
    return ExportFile(
        f"contacts_{export_format}",
        export_format,
        MIME_TYPES[export_format],
        counted.count,
        size,
        digest,
        key,
    )


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
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for piece in pieces:
            data = piece.encode()
            digest.update(data)
            file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()


def _csv_lines(records: Iterable[dict[str, Any]], columns: Sequence[str]) -> Iterator[str]:
    """RFC 4180, UTF-8. Values that are not text keep their JSON form."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(columns)
    for record in records:
        writer.writerow([_csv_value(record.get(column)) for column in columns])
        yield _drained(buffer)
    yield _drained(buffer)


def _json_lines(records: Iterable[dict[str, Any]], _columns: Sequence[str]) -> Iterator[str]:
    """One JSON array, one record a line."""
    before = "[\n"
    for record in records:
        yield before + json.dumps(record, ensure_ascii=False)
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
