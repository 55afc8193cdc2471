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
from pipeline.files.contacts import CONTROLS, MOST_CHARS, ContactReader, Rejected, clean, digest_of_key
from pipeline.files.headings import FIELDS
from pipeline.files.rows import NOT_TEXT, Row
from pipeline.lookup.names.same_person import domain_in, same_contact_in

COLUMNS = (
    "upload_id", "row", "contact", "is_first", "work_order", "first_name", "last_name", "full_name", "company",
    "domain", "email", "extra", "field", "reason", "line",
)  # fmt: skip
ROWS_AT_ONCE = 500
"""Few enough for a socket's buffer: Postgres stores a batch while the next one is made."""
NOTHING = "{}"
_OF_EMPTY_ROW = f"\t\t\t\t\t\t{NOTHING}\t\\N\t\\N"
_ESCAPED = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
_TO_ESCAPE = "\\\t\n\r"
_INVISIBLE = "\u200b\ufeff\u2060"
_BETWEEN = "|"
"""What cells are joined with to search them."""
_SEVERAL = re.compile(r"[\s,;:|<>()\[\]\"']")
"""What may stand between addresses, or around one."""
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
            table = [row for row in some if not row.is_footer]
            self.found.notes += len(some) - len(table)
            yield self._block(table)
            self.note_rows(seen)

    def _block(self, rows: Sequence[Row]) -> bytes:
        return "".join(self._lines(_Batch(rows, self.reader))).encode() if rows else b""

    def _lines(self, batch: "_Batch") -> Iterator[str]:
        start, numbers = self.upload_id.hex, self._numbers
        unusual = self._unusual(batch)
        further = batch.further(self.found.columns)
        rows = zip(batch.rows, batch.keys(), batch.shown, batch.orders(), further, batch.lines, strict=True)
        for index, (row, key, shown, order, extra, line) in enumerate(rows):
            if index in unusual:
                why = unusual[index]
                yield f"{start}\t{row.number}\t\\N\tf\t\t{self._noted(batch, index, why)}\t{line}\n"
            elif (number := numbers.setdefault(key, len(numbers))) == self.found.contacts:
                self.found.contacts += 1
                yield f"{start}\t{row.number}\t{number}\tt\t{order}\t{shown}\t{extra}\t\\N\t\\N\t{line}\n"
            else:
                self.found.repeated += 1
                yield f"{start}\t{row.number}\t{number}\tf\t\t{shown}\t{{}}\t\\N\t\\N\t{line}\n"
        self.found.rows += len(batch.rows) - list(unusual.values()).count(None)

    def _unusual(self, batch: "_Batch") -> dict[int, Rejected | None]:
        """The rows that give no contact, by their places, and why; None for an empty one."""
        unusual: dict[int, Rejected | None] = {}
        for index in sorted(batch.doubtful | self._incomplete(batch)):
            row, fields = batch.rows[index], batch.fields[index]
            why = None if row.is_blank else self._fault(batch, index, fields)
            if why or row.is_blank:
                unusual[index] = why
        return unusual

    def _incomplete(self, batch: "_Batch") -> set[int]:
        first_names, last_names, full_names, _, domains, emails = batch.values
        if self.reader.preset != _FULL_PIPELINE:
            return set() if all(emails) else {index for index, email in enumerate(emails) if not email}
        is_named = all(full_names) or (all(first_names) and all(last_names))
        if is_named and all(map(domain_in, set(domains))):
            return set()
        knows = self.knows_companies
        return {
            index
            for index, (first, last, full, company, domain, email) in enumerate(batch.fields)
            if not (email or ((domain_in(domain) or (company and (domain or knows))) and (full or (first and last))))
        }

    def _fault(self, batch: "_Batch", index: int, fields: Sequence[str]) -> Rejected | None:
        if why := self.reader.fault(batch.rows[index]):
            return why
        if index in batch.unstorable:
            return _NO_TEXT
        *_, domain, email = fields
        return None if email or domain or self.knows_companies else _NO_DOMAIN

    def _noted(self, batch: "_Batch", index: int, why: Rejected | None) -> str:
        """The columns from the first name to the reason, of a row that gives no contact."""
        if why is None:
            self.found.empty += 1
            return _OF_EMPTY_ROW
        self.found.reject(batch.rows[index].number, why, self.rejected_kept)
        shown = "\t".join(escaped(storable(value)) for value in batch.fields[index])
        return f"{shown}\t{NOTHING}\t{why.field}\t{escaped(why.reason)}"


class _Batch:
    """Rows, column by column. `doubtful` are the places of those that must be looked at one by one.

    `values` are the columns of our fields, `fields` the same row by row, and `lines` the whole rows as CSV, ready for
    COPY. The rows in `unstorable` hold something that is no text.
    """

    def __init__(self, rows: Sequence[Row], reader: ContactReader) -> None:
        self.rows, self._reader = rows, reader
        width = len(reader.table.header)
        self.doubtful = {index for index, row in enumerate(rows) if row.problem}
        self.unstorable: set[int] = set()
        self.lines = self._csv_lines([row.cells for row in rows])
        self._columns = list(zip(*(self._fitted(row, width) for row in rows), strict=True))
        self.values = list(map(self._field, FIELDS))
        self.fields: list[tuple[str, ...]] = list(zip(*self.values, strict=True))
        self.shown = list(map("\t".join, self.fields))
        self._text = "\n".join(self.shown)
        ours = self._text.count("\t") == (len(FIELDS) - 1) * len(rows) and self._text.count("\n") == len(rows) - 1
        joined = f"{_BETWEEN}{self._text}{_BETWEEN}".replace("\t", _BETWEEN).replace("\n", _BETWEEN)
        self._is_odd = not ours or not joined.isprintable() or any(odd in joined for odd in ("  ", " |", "| "))
        self._needs_escape = self._is_odd or "\\" in joined
        if self._needs_escape:
            self.shown = ["\t".join(map(escaped, fields)) for fields in self.fields]

    def keys(self) -> list[bytes]:
        """What makes rows the same contact."""
        by_address = self._reader.preset != _FULL_PIPELINE
        return [digest_of_key(same_contact_in(*fields, by_address=by_address)) for fields in self.fields]

    def orders(self) -> list[str]:
        """Sort keys that group contacts by domain, or by company if the domain is unknown."""
        places = [domain or email.rpartition("@")[2] for *_, domain, email in self.fields]
        normal = {place: domain_in(place) or "" for place in set(places)}
        orders = [normal[place] for place in places]
        if not all(orders):
            orders = [order or f"\x01{row[3].casefold()}" for order, row in zip(orders, self.fields, strict=True)]
        return list(map(escaped, orders)) if self._needs_escape else orders

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
        return _escaped_where_needed(objects)

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
        several = name == "email" and any("@" in value and _SEVERAL.search(value) for value in values)
        web_address = name == "domain" and max(map(len, values)) > most
        if several or web_address or _has_any(joined, _INVISIBLE) or holds_words_for_nothing(values):
            values = [clean(name, cell) for cell in column]
        if max(map(len, values)) > most or not joined.isprintable():
            self.doubtful |= {at for at, value in enumerate(values) if len(value) > most or CONTROLS.search(value)}
        return values

    def _csv_lines(self, cells: Sequence[Sequence[str]]) -> list[str]:
        lines = _joined_with_commas(cells)
        text = "\n".join(lines)
        if "\0" in text or not is_storable(text):
            lines = [self._storable_line(at, row) for at, row in enumerate(cells)]
        most = COLUMN_CHARS.most - sum(len(name) + 8 for name in self._reader.sent_columns.values())
        if max(map(len, lines)) > most:
            self.doubtful |= {at for at, line in enumerate(lines) if len(line) > most}
        return _escaped_where_needed(lines)

    def _storable_line(self, at: int, cells: Sequence[str]) -> str:
        line = _as_csv(cells)
        if "\0" in line or not is_storable(line):
            self.unstorable.add(at)
            self.doubtful.add(at)
        return storable(line)


def _joined_with_commas(rows: Sequence[Sequence[str]]) -> list[str]:
    """What `_as_csv` makes of each row: most have no cell to be quoted, and writing CSV takes ten times as long."""
    lines = list(map(",".join, rows))
    commas = sum(map(len, rows)) - len(rows)
    text = "\n".join(lines)
    is_plain = text.count(",") == commas and text.count("\n") == len(rows) - 1 and not _has_any(text, '"\r')
    if is_plain and all(lines):
        return lines
    return [
        line if line and line.count(",") == len(row) - 1 and not _has_any(line, '"\r\n') else _as_csv(row)
        for line, row in zip(lines, rows, strict=True)
    ]


def _as_csv(cells: Sequence[str]) -> str:
    written = io.StringIO()
    # With another end of lines the writer would not quote cells that have line ends in them.
    csv.writer(written, lineterminator="\r\n").writerow(cells)
    return written.getvalue()[:-2]


def _has_any(text: str, chars: str) -> bool:
    """Searching for one character after the other is many times as fast as a regular expression."""
    return any(char in text for char in chars)


def _escaped_where_needed(texts: list[str]) -> list[str]:
    return list(map(escaped, texts)) if _has_any(_BETWEEN.join(texts), _TO_ESCAPE) else texts


def escaped(text: str) -> str:
    """A text as COPY takes it."""
    return text.translate(_ESCAPED)


def is_storable(text: str) -> bool:
    """Whether a text has no halves of surrogate pairs, which are no characters."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def storable(text: str) -> str:
    """The text without what can't be stored."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
