"""Makes the rows of `upload_rows` of a file's rows, as lines of COPY's text format.

A million rows take seconds if Python touches no cell by itself. So a batch of rows is worked column by column, by
functions that are written in C: each column is stripped, searched and escaped as a whole. What such a search finds is
looked at row by row, by the reader of the command line: both say the same of each row.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from json.encoder import encode_basestring
from uuid import UUID

from models.bounds import COLUMN_CHARS, NAME
from pipeline.errors import UnusableFile
from pipeline.files.cells import holds_words_for_nothing
from pipeline.files.contacts import CONTROLS, MOST_CHARS, ContactReader, Rejected, clean, key_of
from pipeline.files.headings import FIELDS
from pipeline.files.rows import NOT_TEXT, Row
from pipeline.lookup.names.same_person import domain_in

COLUMNS = (
    "upload_id", "row", "contact", "is_first", "work_order", "first_name", "last_name", "full_name", "company",
    "domain", "email", "extra", "field", "reason", "line",
)  # fmt: skip
ROWS_AT_ONCE = 2_000
NULL, NOTHING = "\\N", "{}"
_ESCAPED = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
_TO_ESCAPE = re.compile(r"[\\\t\n\r]")
_INVISIBLE = re.compile("[\u200b\ufeff\u2060]")
_SEVERAL = re.compile(r"[\s,;:|<>()\[\]\"']")
"""What may stand between addresses, or around one."""
_BETWEEN = "\0"
"""What columns are joined with to search them. A cell with NUL in it is damaged, and found before."""
_FULL_PIPELINE = "full_pipeline"
_NO_DOMAIN = Rejected("domain", "it is missing: give the company's domain, or an email")
_NO_TEXT = Rejected("row", NOT_TEXT)

Column = Sequence[str]


@dataclass(slots=True)
class Found:
    """What was found in a file, once all of it is read. `columns` are the further columns that are filled."""

    rows: int = 0
    contacts: int = 0
    repeated: int = 0
    empty: int = 0
    notes: int = 0
    rejected: int = 0
    first_rejected: list[tuple[int, Rejected]] = field(default_factory=list)
    faults: Counter[Rejected] = field(default_factory=Counter)
    columns: set[str] = field(default_factory=set)

    def reject(self, row: int, why: Rejected, most_kept: int) -> None:
        self.rejected += 1
        self.faults[why] += 1
        if len(self.first_rejected) < most_kept:
            self.first_rejected.append((row, why))


@dataclass(slots=True)
class RowMaker:
    """Reads a file once and makes its rows. `found` is complete when all of them were made.

    Without `knows_companies` a contact needs a domain or an address, as in a request. Raises `UnusableFile` for a file
    of more than `most_rows` rows, the empty ones included.
    """

    upload_id: UUID
    reader: ContactReader
    most_rows: int
    knows_companies: bool
    note_rows: Callable[[int], None] = lambda _: None
    rejected_kept: int = 20
    found: Found = field(default_factory=Found)
    _numbers: dict[bytes, int] = field(default_factory=dict)

    def blocks(self) -> Iterator[bytes]:
        """Yield the rows, some at a time."""
        rows = self.reader.table.rows()
        seen = 0
        while some := list(islice(rows, ROWS_AT_ONCE)):
            seen += len(some)
            if seen > self.most_rows:
                raise UnusableFile(
                    f"{self.reader.table.name} has more than {self.most_rows:,} rows, the most of one upload: split it."
                )
            yield self._block([row for row in some if not row.is_footer])
            self.found.notes += sum(row.is_footer for row in some)
            self.note_rows(seen)

    def _block(self, rows: Sequence[Row]) -> bytes:
        batch = _Batch(rows, self.reader)
        return "".join(self._lines(batch)).encode() if rows else b""

    def _lines(self, batch: "_Batch") -> Iterator[str]:
        start = self.upload_id.hex
        found, numbers = self.found, self._numbers
        extra = batch.further(found.columns)
        for index, (row, fields, line) in enumerate(zip(batch.rows, batch.fields, batch.lines, strict=True)):
            if not any(fields) and row.is_blank:
                found.empty += 1
                yield f"{start}\t{row.number}\t\\N\tf\t\t\t\t\t\t\t\t{{}}\t\\N\t\\N\t{line}\n"
                continue
            found.rows += 1
            why = self._fault(batch, index, row, fields)
            if why is not None:
                found.reject(row.number, why, self.rejected_kept)
                shown = "\t".join(escaped(_storable(value)) for value in fields)
                yield f"{start}\t{row.number}\t\\N\tf\t\t{shown}\t{{}}\t{why.field}\t{escaped(why.reason)}\t{line}\n"
                continue
            number = numbers.setdefault(batch.key(fields), len(numbers))
            shown = "\t".join(map(escaped, fields)) if batch.needs_escape else "\t".join(fields)
            if number < found.contacts:
                found.repeated += 1
                yield f"{start}\t{row.number}\t{number}\tf\t\t{shown}\t{{}}\t\\N\t\\N\t{line}\n"
                continue
            found.contacts += 1
            order = work_order(fields[3], fields[4], fields[5])
            order = escaped(order) if batch.needs_escape else order
            yield f"{start}\t{row.number}\t{number}\tt\t{order}\t{shown}\t{extra[index]}\t\\N\t\\N\t{line}\n"

    def _fault(self, batch: "_Batch", index: int, row: Row, fields: Sequence[str]) -> Rejected | None:
        first, last, full, company, domain, email = fields
        is_complete = email or (
            self.reader.preset == _FULL_PIPELINE and (domain or company) and (full or (first and last))
        )
        names_company = email or company or domain_in(domain)
        if not is_complete or not names_company or index in batch.doubtful:
            why = self.reader.fault(row)
            if why or index in batch.unstorable:
                return why or _NO_TEXT
        return None if email or domain or self.knows_companies else _NO_DOMAIN


class _Batch:
    """Rows, column by column. `doubtful` are the places of those that must be looked at one by one.

    `fields` are the values of our fields for each row, `lines` the whole rows as CSV, ready for COPY. The rows in
    `unstorable` hold something that is no text.
    """

    def __init__(self, rows: Sequence[Row], reader: ContactReader) -> None:
        self.rows, self._reader = rows, reader
        width = len(reader.table.header)
        self.doubtful = {index for index, row in enumerate(rows) if row.problem}
        self.unstorable: set[int] = set()
        self.lines = self._csv_lines([row.cells for row in rows])
        self._columns = list(zip(*(self._fitted(row, width) for row in rows), strict=True))
        self.fields: list[tuple[str, ...]] = list(zip(*map(self._field, FIELDS), strict=True))
        joined = _BETWEEN.join(_BETWEEN.join(fields) for fields in self.fields)
        self.needs_escape = _TO_ESCAPE.search(joined) is not None

    def key(self, fields: Sequence[str]) -> bytes:
        """What makes rows the same contact."""
        return key_of(dict(zip(FIELDS, fields, strict=True)), self._reader.preset)

    def further(self, filled: set[str]) -> list[str]:
        """The further columns of each row as a JSON object, escaped for COPY. Adds to the names that are `filled`."""
        pieces: list[list[str]] = []
        for index, name in self._reader.sent_columns.items():
            start = f"{encode_basestring(name)}: "
            values = list(map(str.strip, self._columns[index]))
            if any(values):
                filled.add(name)
                pieces.append([start + encode_basestring(value) if value else "" for value in values])
        if not pieces:
            return [NOTHING] * len(self.rows)
        objects = [f"{{{', '.join(filter(None, row))}}}" for row in zip(*pieces, strict=True)]
        return list(map(escaped, objects)) if _TO_ESCAPE.search(_BETWEEN.join(objects)) else objects

    def _fitted(self, row: Row, width: int) -> Sequence[str]:
        cells = row.cells
        return cells if len(cells) == width else [*cells, *[""] * width][:width]

    def _field(self, name: str) -> Column:
        index = self._reader.columns.fields.get(name)
        if index is None:
            return [""] * len(self.rows)
        column = self._columns[index]
        values = list(map(str.strip, column))
        joined = _BETWEEN.join(values)
        most = MOST_CHARS.get(name, NAME).most
        several = name == "email" and _SEVERAL.search(joined)
        web_address = name == "domain" and max(map(len, values)) > most
        if several or web_address or _INVISIBLE.search(joined) or holds_words_for_nothing(values):
            values = [clean(name, cell) for cell in column]
        if max(map(len, values)) > most or CONTROLS.search(joined.replace(_BETWEEN, "")):
            self.doubtful |= {at for at, value in enumerate(values) if len(value) > most or CONTROLS.search(value)}
        return values

    def _csv_lines(self, cells: Sequence[Sequence[str]]) -> list[str]:
        written = io.StringIO()
        csv.writer(written, lineterminator="\r\n").writerows(cells)
        text = written.getvalue()
        lines = text.split("\r\n")[:-1]
        if "\0" in text or not _is_storable(text):
            lines = [self._storable_line(at, row) for at, row in enumerate(cells)]
        elif len(lines) != len(cells):
            # A cell has an end of line in it.
            lines = [_as_csv(row) for row in cells]
        frame = sum(len(name) + 8 for name in self._reader.sent_columns.values())
        self.doubtful |= {at for at, line in enumerate(lines) if len(line) + frame > COLUMN_CHARS.most}
        return list(map(escaped, lines)) if _TO_ESCAPE.search(_BETWEEN.join(lines)) else lines

    def _storable_line(self, at: int, cells: Sequence[str]) -> str:
        line = _as_csv(cells)
        if "\0" in line or not _is_storable(line):
            self.unstorable.add(at)
            self.doubtful.add(at)
        return _storable(line)


def _as_csv(cells: Sequence[str]) -> str:
    written = io.StringIO()
    # With another end of lines the writer would not quote cells that have line ends in them.
    csv.writer(written, lineterminator="\r\n").writerow(cells)
    return written.getvalue()[:-2]


def escaped(text: str) -> str:
    """A text as COPY takes it."""
    return text.translate(_ESCAPED)


def work_order(company: str, domain: str, email: str) -> str:
    """A sort key that groups contacts by domain, or by company if the domain is unknown."""
    return domain_in(domain or email.rpartition("@")[2]) or f"\x01{company.casefold()}"


def _is_storable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _storable(text: str) -> str:
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
