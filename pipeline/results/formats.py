"""The formats of export files: CSV and JSON. Each turns batches of result rows into text."""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from json.encoder import encode_basestring
from typing import Any, Protocol

from models.queries import ResultRow
from pipeline.results.rows import (
    CONTACT_COLUMNS,
    INPUT_EMAIL,
    OWN,
    RESULT_COLUMNS,
    export_columns,
    our_columns,
)

MIME_TYPES = {"csv": "text/csv", "json": "application/json"}
NOTHING = "{}"
SAME_IN_CSV = {str, int, float, type(None)}
"""What `csv` writes as JSON has it, but for quotes and null."""

_to_json = json.JSONEncoder(ensure_ascii=False).encode
_from_json = json.JSONDecoder().raw_decode
"""Without looking for white space around the value, for which `json.loads` takes as long again."""


class Format(Protocol):
    """Writes one file: `head`, then `rows` for each batch, then `tail`."""

    def head(self) -> str: ...

    def rows(self, rows: Sequence[ResultRow]) -> str: ...

    def tail(self) -> str: ...


class CsvFormat:
    """RFC 4180, UTF-8. Values that are not text keep their JSON form. A row costs what it holds, not what others do."""

    def __init__(self, extra_columns: Sequence[str]) -> None:
        self._header = export_columns(extra_columns, our_columns(extra_columns))
        self._places = {column: place for place, column in enumerate(extra_columns)}

    def head(self) -> str:
        return _csv([self._header])

    def rows(self, rows: Sequence[ResultRow]) -> str:
        if not self._places:
            return _csv([row[:-1] for row in rows])
        return _csv([(*row[:OWN], *self._further_cells(row[-1]), *row[OWN:-1]) for row in rows])

    def tail(self) -> str:
        return ""

    def _further_cells(self, extra: str) -> Sequence[Any]:
        cells: list[Any] = [None] * len(self._places)
        if extra != NOTHING:
            for column, value in _from_json(extra)[0].items():
                cells[self._places[column]] = value if type(value) in SAME_IN_CSV else _to_json(value)
        return cells


class JsonFormat:
    """One JSON array, one contact a line: what `json.dumps` makes of `result_contact`, in a fraction of the time."""

    def __init__(self, extra_columns: Sequence[str]) -> None:
        ours = our_columns(extra_columns)
        contact = [f'"{name}": %s' for name in (*CONTACT_COLUMNS, ours[INPUT_EMAIL])]
        result = [f'"{ours[name]}": %s' for name in RESULT_COLUMNS]
        self._contact = f"{{{', '.join([*contact, *result])}}}"
        self._contact_with_more = f"{{{', '.join([*contact, '%s', *result])}}}"
        self._before = "[\n"

    def head(self) -> str:
        return ""

    def rows(self, rows: Sequence[ResultRow]) -> str:
        before, self._before = self._before, ",\n"
        return before + ",\n".join([self._line(row) for row in rows])

    def tail(self) -> str:
        return "[]\n" if self._before == "[\n" else "\n]\n"

    def _line(self, row: ResultRow) -> str:
        values = [
            "null" if value is None else encode_basestring(value) if isinstance(value, str) else value
            for value in row[:-1]
        ]
        if row[-1] == NOTHING:
            return self._contact % tuple(values)
        values.insert(OWN, _members(row[-1]))
        return self._contact_with_more % tuple(values)


FORMATS: Mapping[str, Callable[[Sequence[str]], Format]] = {"csv": CsvFormat, "json": JsonFormat}
"""By name, what takes the further columns of a run's contacts and gives a format for one file."""


def _csv(rows: Sequence[Sequence[Any]]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerows(rows)
    return buffer.getvalue()


def _members(extra: str) -> str:
    """What stands between the braces. It is stored as it is exported, but for runs of before: theirs is ASCII."""
    return (_to_json(_from_json(extra)[0]) if "\\" in extra else extra)[1:-1]
