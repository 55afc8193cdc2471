"""Makes contacts of a table's rows. A row that can't be used has the field at fault and a reason; the others go on."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from models.bounds import ADDRESS, COLUMN_CHARS, COLUMN_NAME, COLUMNS_OF_CONTACT, NAME
from pipeline.errors import UnusableFile
from pipeline.files.cells import first_address, is_nothing
from pipeline.files.columns import Columns, nearest, recognise
from pipeline.files.headings import FIELDS
from pipeline.files.rows import Row
from pipeline.files.source import MOST_MEMORY
from pipeline.files.table import Table, open_table
from pipeline.lookup.names.same_person import domain_in, same_contact

NAMES = ("first_name", "last_name", "full_name")
ALSO_CALLED = {
    "first_name": ("first name", "given name"),
    "last_name": ("last name", "surname", "family name"),
    "full_name": ("full name", "name"),
    "domain": ("domain", "website", "web address", "company url"),
    "email": ("email", "email address"),
}
"""With headings that are nearly these, the user probably means these fields."""
MOST_CHARS = {"domain": ADDRESS, "email": ADDRESS}
CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_INVISIBLE = "\u200b\ufeff\u2060"
_ROW = "row"
"""What the column `field` says where no one cell is at fault."""


class Rejected(NamedTuple):
    """Why a row can't be used: the field at fault, and a sentence without its value."""

    field: str
    reason: str


class PlacedRow(NamedTuple):
    """A row of a file, and what became of it.

    `contact` is the number of its contact among the different ones of the file, from 0; a repeated row has the number
    of the first. None for a blank row and for one with `rejected`.
    """

    row: Row
    contact: int | None = None
    is_new: bool = False
    rejected: Rejected | None = None


Contact = dict[str, str]


@dataclass(slots=True)
class Counts:
    """How many rows became what, after all have been read."""

    rows: int = 0
    contacts: int = 0
    repeated: int = 0
    blank: int = 0
    footer: int = 0
    rejected: int = 0
    fields_at_fault: Counter[tuple[str, str]] = field(default_factory=Counter)


@dataclass(slots=True)
class ContactReader:
    """Reads the contacts of a table for a preset. The columns are those that were recognised."""

    table: Table
    columns: Columns
    preset: str
    knows_companies: bool = True
    """Whether a company will do where there is no domain: where that is not known, whoever gets the contact decides."""
    counts: Counts = field(default_factory=Counts)
    _names: dict[int, str] = field(init=False, repr=False)
    _read: tuple[Row, Contact] | None = field(default=None, init=False, repr=False)
    """The row that was read last, with its fields."""

    def __post_init__(self) -> None:
        check_columns(self.table, self.columns, self.preset)
        self._names = sent_names(self.columns)

    @property
    def sent_columns(self) -> Mapping[int, str]:
        """The columns that are sent beside our fields, by index, and their names."""
        return self._names

    def place(self) -> Iterator[PlacedRow]:
        """Yield each row with what becomes of it, always the same for the same file. Notes below are left out."""
        self.counts = counts = Counts()
        seen: dict[bytes, int] = {}
        for row in self.table.rows():
            if row.is_footer:
                counts.footer += 1
            elif row.is_blank:
                counts.blank += 1
                yield PlacedRow(row)
            else:
                counts.rows += 1
                yield self._placed(row, seen)

    def contacts(self) -> Iterator[Contact]:
        """Yield each different contact, with its further columns."""
        for placed in self.place():
            if placed.is_new:
                yield self.contact(placed.row)

    def contact(self, row: Row) -> Contact:
        """The contact of a row: our fields, then the other columns that are filled."""
        cells = row.cells
        contact = dict(self._fields(row))
        for index, name in self._names.items():
            if cells[index].strip():
                contact[name] = cells[index].strip()
        return contact

    def fault(self, row: Row) -> Rejected | None:
        """Why a row that is not blank can't be used; None if it can."""
        return Rejected(_ROW, row.problem) if row.problem else self._rejected(row, self._fields(row))

    def _placed(self, row: Row, seen: dict[bytes, int]) -> PlacedRow:
        fields = {} if row.problem else self._fields(row)
        rejected = self.fault(row)
        if rejected:
            self.counts.rejected += 1
            self.counts.fields_at_fault[rejected] += 1
            return PlacedRow(row, rejected=rejected)
        number = seen.setdefault(key_of(fields, self.preset), len(seen))
        is_new = number == self.counts.contacts
        self.counts.contacts += is_new
        self.counts.repeated += not is_new
        return PlacedRow(row, number, is_new)

    def _fields(self, row: Row) -> Contact:
        if self._read is None or self._read[0] is not row:
            cells = row.cells
            self._read = row, {name: clean(name, cells[index]) for name, index in self.columns.fields.items()}
        return self._read[1]

    def _rejected(self, row: Row, fields: Contact) -> Rejected | None:
        return next(_faults(fields, self.preset, knows_companies=self.knows_companies), None) or self._oversized(row)

    def _oversized(self, row: Row) -> Rejected | None:
        cells = [(index, row.cells[index]) for index in self._names]
        if sum(len(cell) + COLUMN_NAME.most for _, cell in cells) > COLUMN_CHARS.most:
            sent = sum(len(cell.strip()) + len(self._names[index]) + 8 for index, cell in cells if cell.strip())
            if sent > COLUMN_CHARS.most:
                return Rejected(
                    _ROW, f"its further columns have more than {COLUMN_CHARS.most} characters: shorten them"
                )
        return None


def open_contacts(
    path: Path,
    preset: str = "full_pipeline",
    mapping: Mapping[str, str] | None = None,
    encoding: str | None = None,
    *,
    called: str | None = None,
    most_memory: int = MOST_MEMORY,
) -> ContactReader:
    """Find out how to read a file of contacts. `mapping` gives fields the headings of their columns.

    Messages have the name of the path, unless the file is `called` otherwise. A workbook may take `most_memory` bytes.
    Raises `UnusableFile`.
    """
    chosen = mapping or {}
    table = open_chosen(path, chosen, encoding, called=called, most_memory=most_memory)
    return contacts_in(table, preset, chosen)


def open_chosen(
    path: Path,
    chosen: Mapping[str, str],
    encoding: str | None,
    *,
    called: str | None = None,
    most_memory: int = MOST_MEMORY,
) -> Table:
    """The table of a file. A row with the headings that `chosen` names is its header. Raises `UnusableFile`."""
    known = frozenset(heading.strip() for heading in chosen.values())
    return open_table(path, encoding, known, called=called, most_memory=most_memory)


def contacts_in(table: Table, preset: str, chosen: Mapping[str, str]) -> ContactReader:
    """The contacts of a table. Raises `UnusableFile` if it has no columns for the preset."""
    return ContactReader(table, recognise(table.header, table.sample(), chosen), preset)


def check_columns(table: Table, columns: Columns, preset: str) -> None:
    """Raise `UnusableFile` if the columns that were recognised are not enough for the preset."""
    fields = columns.fields.keys()
    named = "full_name" in fields or {"first_name", "last_name"} <= fields
    if "email" in fields or (preset == "full_pipeline" and named and {"domain", "company"} & fields):
        return
    if preset != "full_pipeline":
        needed, wanted = "an email column", ["email"]
    else:
        needed = "first_name and last_name (or full_name) with domain, or email"
        wanted = [*(() if {"domain", "company"} & fields else ("domain",)), *(() if named else NAMES), "email"]
    missing = [name for name in wanted if name not in fields]
    to_say = [f"--map {name}=COLUMN" for name in missing if name in ("first_name", "last_name", "domain")]
    sentences = [
        f"{table.name} has no usable columns: it needs {needed}.",
        *columns.notices,
        nearest(table.header, [words for name in missing for words in ALSO_CALLED[name]]),
        f"Say which is which, such as {' '.join(to_say) or '--map email=COLUMN'}.",
    ]
    raise UnusableFile(" ".join(sentences))


def clean(name: str, cell: str) -> str:
    """A cell as the value of a field: without what is around it; empty if it says that there is nothing."""
    text = cell.strip()
    if not text.isascii():
        text = text.strip(_INVISIBLE).strip()
    if not text:
        return ""
    if is_nothing(text) and (name not in NAMES or not text.isalpha()):
        return ""
    if name == "email":
        return first_address(text)
    if name == "domain" and len(text) > ADDRESS.most:
        # A web address with a long path.
        return domain_in(text) or text
    return text


def _faults(fields: Mapping[str, str], preset: str, *, knows_companies: bool) -> Iterator[Rejected]:
    for name, value in fields.items():
        most = MOST_CHARS.get(name, NAME).most
        if len(value) > most:
            yield Rejected(name, f"it has more than {most} characters: shorten it")
        if not value.isprintable() and CONTROLS.search(value):
            yield Rejected(name, "it holds control characters: remove them")
    if fields.get("email"):
        return
    if preset != "full_pipeline":
        yield Rejected("email", "it is missing: this preset verifies addresses that you bring")
        return
    yield from _faults_of_company(fields, knows_companies=knows_companies)
    if not fields.get("full_name"):
        for name in ("first_name", "last_name"):
            if not fields.get(name):
                yield Rejected(name, "it is missing: give it, or full_name")


def _faults_of_company(fields: Mapping[str, str], *, knows_companies: bool) -> Iterator[Rejected]:
    if fields.get("company") and knows_companies:
        return
    if not fields.get("domain"):
        yield Rejected("domain", "it is missing: give the company's domain, or an email")
    elif domain_in(fields["domain"]) is None:
        yield Rejected("domain", "it holds no domain name: give one such as company.example, or an email")


def key_of(fields: Mapping[str, str], preset: str) -> bytes:
    """Rows with the same key are one contact: the same person, or for a preset that only verifies the same address."""
    return digest_of_key(same_contact(fields, by_address=preset != "full_pipeline"))


def digest_of_key(same: str) -> bytes:
    """What is kept of a row's key: twelve bytes."""
    return blake2b(same.encode("utf-8", "replace"), digest_size=12).digest()


def sent_names(columns: Columns) -> dict[int, str]:
    """The columns that are sent beside our fields, by index: each under a name of its own, as many as the API takes."""
    taken = set(FIELDS)
    names: dict[int, str] = {}
    for index, title in enumerate(columns.header):
        if index in columns.fields.values():
            continue
        name = plain = (title or f"column_{index + 1}")[: COLUMN_NAME.most - 10]
        times = 1
        while name in taken:
            times += 1
            name = f"{plain} ({times})"
        taken.add(name)
        names[index] = name
    return dict(list(names.items())[: COLUMNS_OF_CONTACT.most])
