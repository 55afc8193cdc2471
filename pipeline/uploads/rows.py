"""Makes the rows of `upload_rows` of a file's rows, as lines of COPY's text format."""

import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from uuid import UUID

from pipeline.errors import UnusableFile
from pipeline.files.contacts import Contact, ContactReader, PlacedRow, Rejected
from pipeline.files.headings import FIELDS
from pipeline.files.rows import NOT_TEXT
from pipeline.mail.address.syntax import normalise_domain

COLUMNS = (
    "upload_id", "row", "contact", "is_first", "work_order", "first_name", "last_name", "full_name", "company",
    "domain", "email", "extra", "field", "reason", "line",
)  # fmt: skip
ROWS_AT_ONCE = 1_000
NULL, NOTHING = "\\N", "{}"
_ESCAPED = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
_NO_DOMAIN = Rejected("domain", "it is missing: give the company's domain, or an email")
_NO_TEXT = Rejected("row", NOT_TEXT)

to_json = json.JSONEncoder(ensure_ascii=False).encode


@dataclass(slots=True)
class Found:
    """What was found in a file, once all of it is read. `faults` counts the rejected rows by field and reason."""

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
    _numbers: list[int | None] = field(default_factory=list)

    def blocks(self) -> Iterator[bytes]:
        """Yield the rows, some at a time."""
        placed = self.reader.place()
        seen = 0
        while some := list(islice(placed, ROWS_AT_ONCE)):
            seen += len(some)
            if seen > self.most_rows:
                raise UnusableFile(
                    f"{self.reader.table.name} has more than {self.most_rows:,} rows, the most of one upload: split it."
                )
            yield "".join(map(self._line, some)).encode()
            self.note_rows(seen)
        self.found.notes = self.reader.counts.footer

    def _line(self, placed: PlacedRow) -> str:
        line, is_text = _as_csv(placed.row.cells)
        if placed.rejected is None and placed.contact is None:
            self.found.empty += 1
            return self._copy_line(placed.row.number, None, is_first=False, line=line)
        self.found.rows += 1
        cells = placed.row.cells
        contact = self.reader.contact(placed.row) if len(cells) >= len(self.reader.table.header) else {}
        why = placed.rejected or (None if is_text else _NO_TEXT) or self._fault(contact)
        number = self._number(placed, why)
        if number is None:
            why = why or _NO_TEXT
            self.found.reject(placed.row.number, why, self.rejected_kept)
            return self._copy_line(placed.row.number, None, contact, is_first=False, why=why, line=line)
        is_first = number == self.found.contacts
        self.found.contacts += is_first
        self.found.repeated += not is_first
        return self._copy_line(placed.row.number, number, contact, is_first=is_first, line=line)

    def _fault(self, contact: Contact) -> Rejected | None:
        if self.knows_companies or contact.get("domain") or contact.get("email"):
            return None
        return _NO_DOMAIN

    def _number(self, placed: PlacedRow, why: Rejected | None) -> int | None:
        """The number of the row's contact, without those that were rejected here; None if it is rejected.

        A row that repeats a rejected one is a contact of its own, if there is nothing wrong with it.
        """
        if placed.contact is None:
            return None
        if placed.is_new:
            self._numbers.append(None)
        if why is None and self._numbers[placed.contact] is None:
            self._numbers[placed.contact] = self.found.contacts
        return None if why else self._numbers[placed.contact]

    def _copy_line(
        self,
        row: int,
        number: int | None,
        contact: Mapping[str, str] | None = None,
        *,
        is_first: bool,
        line: str,
        why: Rejected | None = None,
    ) -> str:
        fields = [(contact or {}).get(name, "") for name in FIELDS]
        extra = NOTHING
        if contact and is_first:
            further = {name: value for name, value in contact.items() if name not in FIELDS}
            self.found.columns.update(further)
            extra = to_json(further) if further else NOTHING
        if why:
            fields = [_storable(value) for value in fields]
        texts = [work_order(*fields[3:]) if is_first else "", *fields, extra]
        return "\t".join(
            (
                self.upload_id.hex,
                str(row),
                NULL if number is None else str(number),
                "t" if is_first else "f",
                *(text.translate(_ESCAPED) for text in texts),
                why.field if why else NULL,
                why.reason.translate(_ESCAPED) if why else NULL,
                line.translate(_ESCAPED) + "\n",
            )
        )


def _as_csv(cells: Sequence[str]) -> tuple[str, bool]:
    """A row as a line of CSV, and whether it holds nothing but text that can be stored."""
    written = io.StringIO()
    # With another end of lines the writer would not quote cells that have line ends in them.
    csv.writer(written, lineterminator="\r\n").writerow(cells)
    line = written.getvalue()[:-2]
    try:
        line.encode()
    except UnicodeEncodeError:
        return line.replace("\0", "\ufffd").encode("utf-8", "replace").decode(), False
    return line.replace("\0", "\ufffd"), "\0" not in line


def work_order(company: str, domain: str, email: str) -> str:
    """A sort key that groups contacts by domain, or by company if the domain is unknown."""
    return _normal(domain or email.rpartition("@")[2]) or f"\x01{company.casefold()}"


def _storable(text: str) -> str:
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


@lru_cache(maxsize=1 << 14)
def _normal(domain: str) -> str:
    return normalise_domain(domain) or ""
