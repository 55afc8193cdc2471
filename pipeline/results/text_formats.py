"""Formats that are text: CSV, JSON and NDJSON."""

import csv
import io
from collections.abc import Sequence
from json.encoder import encode_basestring
from typing import Any

from models.queries import ResultRow
from pipeline.results.rows import CONTACT_COLUMNS, NOTHING, OWN, Cells, Table, from_json, to_json


class CsvFormat:
    """RFC 4180, UTF-8."""

    def __init__(self, table: Table) -> None:
        self._header, self._cells = table.header, Cells(table)

    def head(self) -> bytes:
        return csv_lines([self._header])

    def rows(self, rows: Sequence[ResultRow]) -> bytes:
        return csv_lines(self._cells.of(rows))

    def tail(self) -> bytes:
        return b""


class JsonLines:
    """What `json.dumps` makes of `result_contact`, in a fraction of the time."""

    def __init__(self, table: Table) -> None:
        input_email, *results = table.ours.values()
        contact = [f'"{name}": %s' for name in (*CONTACT_COLUMNS, input_email)]
        result = [f'"{name}": %s' for name in results]
        self._contact = f"{{{', '.join([*contact, *result])}}}"
        self._contact_with_more = f"{{{', '.join([*contact, '%s', *result])}}}"

    def of(self, row: ResultRow) -> str:
        """A row as an object on one line."""
        values = [
            "null" if value is None else encode_basestring(value) if isinstance(value, str) else value
            for value in row[:-1]
        ]
        if row[-1] == NOTHING:
            return self._contact % tuple(values)
        values.insert(OWN, _members(row[-1]))
        return self._contact_with_more % tuple(values)


class JsonFormat:
    """One JSON array, one contact a line."""

    def __init__(self, table: Table) -> None:
        self._lines, self._before = JsonLines(table), "[\n"

    def head(self) -> bytes:
        return b""

    def rows(self, rows: Sequence[ResultRow]) -> bytes:
        if not rows:
            return b""
        before, self._before = self._before, ",\n"
        return (before + ",\n".join([self._lines.of(row) for row in rows])).encode()

    def tail(self) -> bytes:
        return b"[]\n" if self._before == "[\n" else b"\n]\n"


class NdjsonFormat:
    """One JSON object a line."""

    def __init__(self, table: Table) -> None:
        self._lines = JsonLines(table)

    def head(self) -> bytes:
        return b""

    def rows(self, rows: Sequence[ResultRow]) -> bytes:
        return "".join([self._lines.of(row) + "\n" for row in rows]).encode()

    def tail(self) -> bytes:
        return b""


def csv_lines(rows: Sequence[Sequence[Any]], delimiter: str = ",") -> bytes:
    """The rows as `csv` writes them."""
    buffer = io.StringIO()
    csv.writer(buffer, delimiter=delimiter).writerows(rows)
    return buffer.getvalue().encode()


def _members(extra: str) -> str:
    """What stands between the braces. It is stored as it is exported, but for runs of before: theirs is ASCII."""
    return (to_json(from_json(extra)[0]) if "\\" in extra else extra)[1:-1]
