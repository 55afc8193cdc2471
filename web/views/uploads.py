"""A file as it was read: its columns, its first contacts, and the rows that can't be used."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

from sqlalchemy import Row
from sqlalchemy.orm import Session

from models.bounds import HEADING
from models.upload import Upload
from pipeline.files.columns import Columns
from pipeline.files.contacts import sent_names
from pipeline.files.headings import FIELDS
from pipeline.lookup.names.same_person import domain_in
from pipeline.uploads.contacts import first_contacts
from pipeline.uploads.rejected import rejected_page

FIRST = 10
VALUES = 3
MOST_COLUMNS = 60
"""A wider file is shown in part. All of its columns are kept."""


class ColumnView(NamedTuple):
    """A column of the file: the field that it becomes, if it becomes one, and whether that can be changed."""

    heading: str
    field: str
    values: str
    why: str
    can_be_chosen: bool


class FirstRow(NamedTuple):
    """A contact, as it will be worked: the number of its row, and its cells in the order of the preview's columns."""

    row: int
    cells: Sequence[str]


class RejectedView(NamedTuple):
    """A row that can't be used."""

    row: int
    line: str
    field: str
    reason: str


class FileView(NamedTuple):
    """What was read of a file."""

    columns: Sequence[ColumnView]
    hidden_columns: int
    recognised: int
    headings: Sequence[str]
    first: Sequence[FirstRow]
    rejected: Sequence[RejectedView]
    description: str
    notices: Sequence[str]
    counts: Mapping[str, int]


def file_view(session: Session, upload: Upload) -> FileView:
    """A file that was read, or refused: then there are only its columns, if it has any."""
    first = first_contacts(session, upload.id, FIRST) if upload.is_ready else []
    table = _Table(upload)
    shown = table.fields_and_further()
    return FileView(
        [*islice(table.columns(first), MOST_COLUMNS)],
        max(0, len(table.header) - MOST_COLUMNS),
        len(table.fields),
        shown,
        [FirstRow(each.row, [_as_worked(each, name) for name in shown]) for each in first],
        _rejected(session, upload) if upload.counts.get("rejected") else [],
        upload.recognised.get("description", ""),
        upload.recognised.get("notices", []),
        upload.counts,
    )


def mapping_of(form: Mapping[str, str], headings: Sequence[str], changed: str) -> dict[str, str]:
    """The heading of each field, as a form has them; nothing for a field without a column.

    A field that two columns claim belongs to the one that was `changed`, or else to the first.
    """
    chosen = dict.fromkeys(FIELDS, "")
    names = [f"map-{number}" for number in range(len(headings))]
    for name, heading in sorted(zip(names, headings, strict=True), key=lambda each: each[0] != changed):
        field = form.get(name, "")
        if field in chosen and not chosen[field]:
            chosen[field] = heading
    return chosen


class _Table:
    """The columns of a file, as they were recognised."""

    def __init__(self, upload: Upload) -> None:
        given = upload.recognised.get("columns", [])
        self._upload = upload
        self.header = [heading for heading, _ in given]
        self.fields = {name: index for index, (_, name) in enumerate(given) if name}
        self._further = sent_names(Columns(self.header, self.fields))

    def fields_and_further(self) -> Sequence[str]:
        """What a contact has: our fields, then its further columns."""
        names = [name for name in FIELDS if name in self.fields]
        return [*names, *(name for name in self._further.values() if name in self._upload.extra_columns)][:MOST_COLUMNS]

    def columns(self, first: Sequence[Row[Any]]) -> Iterator[ColumnView]:
        by_index = {index: name for name, index in self.fields.items()}
        seen: set[str] = set()
        for index, heading in enumerate(self.header):
            plain, field = heading.strip(), by_index.get(index, "")
            yield ColumnView(
                heading,
                field,
                ", ".join(self._values(index, field, first)),
                self._why(plain, field),
                bool(plain) and plain not in seen and len(heading) <= HEADING.most,
            )
            seen.add(plain)

    def _values(self, index: int, field: str, first: Sequence[Row[Any]]) -> Sequence[str]:
        """The first values of a column: as they were read, or as they are in a refused file."""
        if self._upload.refusal:
            values: Sequence[Sequence[str]] = self._upload.recognised.get("values", [])
            return values[index] if index < len(values) else []
        cells = (_cell(each, field or self._further.get(index, "")) for each in first)
        return [*islice(filter(None, cells), VALUES)]

    def _why(self, heading: str, field: str) -> str:
        if not field:
            return "Comes back untouched"
        return "Chosen" if self._upload.mapping.get(field, "").strip() == heading else "Recognised"


def _cell(row: Row[Any], name: str) -> str:
    return str((getattr(row, name) if name in FIELDS else row.extra.get(name)) or "")


def _as_worked(row: Row[Any], name: str) -> str:
    """A cell as it is worked: of a web address its domain is asked."""
    cell = _cell(row, name)
    return (domain_in(cell) if name == "domain" else None) or cell


def _rejected(session: Session, upload: Upload) -> Sequence[RejectedView]:
    rows = rejected_page(session, upload.id, -1, FIRST)
    return [RejectedView(each.row, each.line.strip(), each.field or "", each.reason) for each in rows]
