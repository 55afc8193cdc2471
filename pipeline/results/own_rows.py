"""Files of a run that was started from an upload: its rows with their results, and those that were rejected.

They are CSV, whatever the run's formats are: the rows are kept as CSV.
"""

import csv
import io
from collections.abc import Sequence
from typing import Any

from models.upload import Upload
from pipeline.files.own_rows import REJECTED, RESULT_COLUMNS, result_header
from pipeline.results.exports import FileSpec
from pipeline.uploads.rejected import rejected_header

OWN, REJECTS = "own_rows", "rejected_rows"
NO_RESULT = ("",) * len(RESULT_COLUMNS)

Rows = Sequence[Sequence[Any]]


def files_of_upload(upload: Upload, formats: Sequence[str]) -> list[FileSpec]:
    """The files of a completed run that was started from this upload; none for a run without exports."""
    if not formats:
        return []
    header = [heading for heading, _ in upload.recognised.get("columns", [])]
    return [
        FileSpec(OWN, "contacts", "Your Rows", "csv", make=lambda _: OwnRowsFormat(header)),
        FileSpec(REJECTS, "report", "Rejected Rows", "csv", make=lambda _: RejectedFormat(rejected_header(upload))),
    ]


class OwnRowsFormat:
    """Rows of `models.queries.OWN_ROWS`: each row of the file, and behind it the result of its contact."""

    def __init__(self, header: Sequence[str]) -> None:
        self._header = header

    def head(self) -> bytes:
        return _as_csv([result_header(self._header)]).encode()

    def rows(self, rows: Rows) -> bytes:
        results = _as_csv([_result(row) for row in rows]).split("\r\n")
        lines = (f"{self._line(row)},{result}\r\n" for row, result in zip(rows, results, strict=False))
        return "".join(lines).encode()

    def tail(self) -> bytes:
        return b""

    def _line(self, row: Sequence[Any]) -> str:
        """The row as it was sent. One that was rejected may have more or fewer cells than the header."""
        line, _, _, reason = row[:4]
        if reason is None:
            return str(line)
        cells = next(csv.reader(io.StringIO(line, newline="")), [])
        return _as_csv([[*cells, *[""] * len(self._header)][: len(self._header)]])[:-2]


class RejectedFormat:
    """Rows of `models.queries.REJECTED_ROWS`: number, field and reason, and behind them the row."""

    def __init__(self, header: Sequence[str]) -> None:
        self._header = header

    def head(self) -> bytes:
        return _as_csv([self._header]).encode()

    def rows(self, rows: Rows) -> bytes:
        return "".join(_rejected(*row) for row in rows).encode()

    def tail(self) -> bytes:
        return b""


def _rejected(number: int, field: str, reason: str, line: str) -> str:
    return f"{_as_csv([[number, field, reason]])[:-2]},{line}\r\n"


def _result(row: Sequence[Any]) -> Sequence[Any]:
    _, contact, field, reason, *result = row
    if reason is not None:
        return ("", REJECTED, f"{field}: {reason}", "", "")
    return NO_RESULT if contact is None else result


def _as_csv(rows: Rows) -> str:
    written = io.StringIO()
    csv.writer(written).writerows(rows)
    return written.getvalue()
