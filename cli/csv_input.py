"""Reads CSV files as people have them: any usual encoding, delimiter and column names.

`open_csv` looks through a file once to find out how to read it; `CsvFile.rows` then streams it, so that a file may have
any size. `read_contacts` and `open_addresses` interpret the columns: of a contacts file, of a list of addresses. Rows
are counted as a spreadsheet shows them: the first is row 1.
"""

import codecs
import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import BinaryIO, NamedTuple, TextIO

from cli.exit_codes import CommandFailed
from pipeline.mail.address.syntax import Address, parse_address

DELIMITERS = ",;\t|"
BYTE_ORDER_MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
MAX_FIELD_CHARS = 100_000
SAMPLE_ROWS = 100
BLOCK = 1 << 20
READ_AS_WINDOWS_1252 = "{} is not UTF-8; it was read as Windows-1252 (Latin-1). Check that accented names look right."

COLUMN_NAMES = {
    "first_name": {"first_name", "firstname", "first", "given_name", "forename"},
    "last_name": {"last_name", "lastname", "last", "surname", "family_name"},
    "full_name": {"full_name", "fullname", "name", "contact_name", "contact"},
    "company": {"company", "company_name", "organization", "organisation", "account", "account_name"},
    "domain": {"domain", "company_domain", "website", "company_website", "web_site", "url"},
    "email": {"email", "e_mail", "email_address", "work_email", "mail"},
}


class UnusableFile(CommandFailed):
    """Raised when a file can't be used; its text lists every problem, a sentence each."""


class Row(NamedTuple):
    """A row of a CSV file, with its number and the line of the file on which it ends."""

    number: int
    line: int
    cells: list[str]

    @property
    def is_blank(self) -> bool:
        """Whether all cells are empty or hold only spaces."""
        return not any(map(str.strip, self.cells))


@dataclass(frozen=True, slots=True)
class CsvFile:
    """How to read a file, and notices about that for the user."""

    path: Path
    encoding: str
    delimiter: str
    notices: Sequence[str]
    content: bytes | None = field(default=None, repr=False)
    """What came out of a pipe, which can be read only once; None for an ordinary file."""

    def rows(self) -> Iterator[Row]:
        """Yield all rows, including blank ones. Raises `UnusableFile`."""
        csv.field_size_limit(MAX_FIELD_CHARS)
        # With newline="" the reader decides where a row ends: characters such as U+2028 may be part of a value.
        with io.TextIOWrapper(_open(self.path, self.content), self.encoding, errors="replace", newline="") as text:
            reader = csv.reader(text, delimiter=self.delimiter, strict=True)
            try:
                for number, cells in enumerate(reader, start=1):
                    yield Row(number, reader.line_num, cells)
            except csv.Error as error:
                raise UnusableFile(
                    f"{self.path.name} is not a usable CSV file: line {reader.line_num}: {error}."
                ) from error


def open_csv(path: Path) -> CsvFile:
    """Find out how to read a file. Raises `UnusableFile`."""
    try:
        content = path.read_bytes() if _is_pipe(path) else None
        with _open(path, content) as file:
            encoding = _encoding(file)
        with io.TextIOWrapper(_open(path, content), encoding, errors="replace") as text:
            first_line = _first_line(path, text)
    except OSError as error:
        raise UnusableFile(f"{path} can't be read: {error.strerror}.") from error
    notices = [READ_AS_WINDOWS_1252.format(path.name)] if encoding == "cp1252" else []
    return CsvFile(path, encoding, max(DELIMITERS, key=first_line.count), notices, content)


def plain_title(title: str) -> str:
    """A column's title as `COLUMN_NAMES` spells it: `First Name` and `first-name` are `first_name`."""
    return title.strip().lower().replace(" ", "_").replace("-", "_")


@dataclass(frozen=True, slots=True)
class ContactsFile:
    """The contacts of a file, and notices for the user about how it was read."""

    contacts: list[dict[str, str]]
    notices: list[str] = field(default_factory=list)


def read_contacts(path: Path, preset: str = "full_pipeline") -> ContactsFile:
    """Read a contacts file. Raises `UnusableFile`, which lists every problem at once."""
    file = open_csv(path)
    rows = file.rows()
    header = next((row for row in rows if not row.is_blank), None)
    if header is None:
        raise UnusableFile(f"{path.name} is empty: it needs a header and a row for each contact.")
    columns = _recognise(header.cells)
    _check_columns(path, header.cells, columns, preset)
    notices = list(file.notices)
    contacts, problems = _contacts(columns, rows, preset, notices)
    if problems:
        refusal = f"Nothing was sent, since {path.name} has rows that can't be used:"
        raise UnusableFile("\n".join([refusal, *_shortened(problems)]))
    if not contacts:
        raise UnusableFile(f"{path.name} has a header but no contacts: add a row for each.")
    return ContactsFile(contacts, notices)


@dataclass(frozen=True, slots=True)
class AddressFile:
    """How to read a list of addresses. `header` is generated if the file has none."""

    file: CsvFile
    header: Sequence[str]
    has_header: bool
    column: int
    notices: Sequence[str]

    @property
    def path(self) -> Path:
        return self.file.path

    def rows(self) -> Iterator[list[str]]:
        """Yield each row that is not blank, as long as the header. Raises `UnusableFile`."""
        width = len(self.header)
        filled = (row for row in self.file.rows() if not row.is_blank)
        for row in islice(filled, int(self.has_header), None):
            if len(row.cells) > width:
                raise UnusableFile(_too_long(row, width))
            yield row.cells + [""] * (width - len(row.cells))


def open_addresses(path: Path) -> AddressFile:
    """Find out how to read a list of addresses. Raises `UnusableFile`."""
    if _is_pipe(path):
        raise UnusableFile(f"{path} is not an ordinary file: save what comes from it as one first.")
    file = open_csv(path)
    sample = list(islice((row.cells for row in file.rows() if not row.is_blank), SAMPLE_ROWS))
    if not sample:
        raise UnusableFile(f"{path.name} is empty: it needs an address in each row.")
    column = _address_column(path, sample)
    has_header = not isinstance(parse_address((sample[0] + [""] * column)[column]), Address)
    if has_header:
        return AddressFile(file, sample[0], has_header, column, file.notices)
    header = ["email" if index == column else f"column_{index + 1}" for index in range(len(sample[0]))]
    notice = f"{path.name} has no header: its first row is taken as an address, too."
    return AddressFile(file, header, has_header, column, [*file.notices, notice])


def _is_pipe(path: Path) -> bool:
    return path.exists() and not path.is_file() and not path.is_dir()


def _open(path: Path, content: bytes | None) -> BinaryIO:
    return path.open("rb") if content is None else io.BytesIO(content)


def _encoding(file: BinaryIO) -> str:
    """Follow the byte order mark; without one try UTF-8, then Windows-1252, which fits any bytes."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    block = file.read(BLOCK)
    for mark, name in BYTE_ORDER_MARKS.items():
        if block.startswith(mark):
            return name
    try:
        while block:
            decoder.decode(block)
            block = file.read(BLOCK)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"


def _first_line(path: Path, text: TextIO) -> str:
    """Return the first line that is not blank. Raises `UnusableFile` for a file with NUL, which is no text."""
    for block in iter(lambda: text.read(BLOCK), ""):
        if "\0" in block:
            raise UnusableFile(f"{path.name} is not a text file: save it as CSV.")
    text.seek(0)
    return next((line for line in text if line.strip()), "")


def _recognise(header: Sequence[str]) -> list[str]:
    """Rename each column that the engine knows; keep the names of others."""
    known = {alias: name for name, aliases in COLUMN_NAMES.items() for alias in aliases}
    taken: set[str] = set()
    columns = []
    for title in header:
        name = known.get(plain_title(title), title.strip())
        columns.append(title.strip() if name in taken else name)
        taken.add(name)
    return columns


def _check_columns(path: Path, header: Sequence[str], columns: Sequence[str], preset: str) -> None:
    titles = [title.strip() for title in header]
    repeated = sorted(name for name, times in Counter(columns).items() if times > 1)
    if repeated:
        alike = dict.fromkeys(title for title, name in zip(titles, columns, strict=True) if name == repeated[0])
        raise UnusableFile(f"{path.name} {_says_twice(list(alike))}: rename or remove one.")
    named = "full_name" in columns or {"first_name", "last_name"} <= set(columns)
    if "email" in columns or (preset == "full_pipeline" and named and "domain" in columns):
        return
    needed = (
        "an email column"
        if preset != "full_pipeline"
        else ("first_name and last_name (or full_name) with domain, or email")
    )
    raise UnusableFile(f"{path.name} has no usable columns: it needs {needed}. Found: {_listed(titles)}.")


def _says_twice(titles: Sequence[str]) -> str:
    if len(titles) == 1:
        return f"has the column {titles[0]!r} more than once"
    return f"has columns that mean the same, {' and '.join(map(repr, titles))}"


def _contacts(
    columns: Sequence[str], rows: Iterator[Row], preset: str, notices: list[str]
) -> tuple[list[dict[str, str]], list[str]]:
    contacts: list[dict[str, str]] = []
    problems: list[str] = []
    first_seen: dict[tuple[str, ...], int] = {}
    for row in rows:
        values = tuple(value.strip() for value in row.cells)
        if row.is_blank:
            notices.append(f"Row {row.number} is empty: left out.")
        elif len(values) > len(columns):
            problems.append(_too_long(row, len(columns)))
        elif values in first_seen:
            notices.append(f"Row {row.number} repeats row {first_seen[values]}: left out.")
        else:
            first_seen[values] = row.number
            contact = dict(zip(columns, (*values, *[""] * (len(columns) - len(values))), strict=True))
            problems.extend(f"Row {row.number}, {problem}" for problem in _missing(contact, preset))
            contacts.append(contact)
    return contacts, problems


def _missing(contact: dict[str, str], preset: str) -> Iterator[str]:
    if contact.get("email"):
        return
    if preset != "full_pipeline":
        yield "field email is missing: this preset verifies addresses that you bring."
        return
    # Only the API knows whether the engine has a list of companies.
    if not contact.get("domain") and not contact.get("company"):
        yield "field domain is missing: give the company's domain, or an email."
    if not contact.get("full_name"):
        for name in ("first_name", "last_name"):
            if not contact.get(name):
                yield f"field {name} is missing: give it, or full_name."


def _address_column(path: Path, sample: Sequence[Sequence[str]]) -> int:
    """Choose the column that is named so, or the one with the most addresses."""
    for index, title in enumerate(sample[0]):
        if plain_title(title) in COLUMN_NAMES["email"]:
            return index
    holding = [sum("@" in row[index] for row in sample if index < len(row)) for index in range(len(sample[0]))]
    if not max(holding):
        found = _listed(title.strip() for title in sample[0])
        raise UnusableFile(f"{path.name} has no column of addresses: call one `email`. Found: {found}.")
    return holding.index(max(holding))


def _listed(titles: Iterable[str]) -> str:
    return ", ".join(title or "(no name)" for title in titles)


def _too_long(row: Row, width: int) -> str:
    return f"Row {row.number} has {len(row.cells)} fields, the header {width}: quote what holds the delimiter."


def _shortened(problems: list[str], most: int = 20) -> list[str]:
    rest = len(problems) - most
    return [*problems[:most], f"... and {rest} more."] if rest > 0 else problems
