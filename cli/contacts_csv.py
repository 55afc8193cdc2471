"""Reads a contacts file as people have them: any usual encoding, delimiter and column names.

It says everything that is wrong at once, by row and field, and nothing is sent until all of it is right.
Rows are counted as a spreadsheet shows them: the header is row 1.
"""

import csv
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cli.exit_codes import CommandFailed

DELIMITERS = ",;\t|"
BYTE_ORDER_MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
MAX_FIELD_CHARS = 100_000
NumberedRow = tuple[int, list[str]]

COLUMN_NAMES = {
    "first_name": {"first_name", "firstname", "first", "given_name", "forename"},
    "last_name": {"last_name", "lastname", "last", "surname", "family_name"},
    "full_name": {"full_name", "fullname", "name", "contact_name", "contact"},
    "company": {"company", "company_name", "organization", "organisation", "account", "account_name"},
    "domain": {"domain", "company_domain", "website", "company_website", "web_site", "url"},
    "email": {"email", "e_mail", "email_address", "work_email", "mail"},
}


class UnusableFile(CommandFailed):
    """Raised when a contacts file can't be used; its text lists every problem, a sentence each."""


@dataclass(frozen=True, slots=True)
class ContactsFile:
    """What a contacts file holds, and what its owner should know about how it was read."""

    contacts: list[dict[str, str]]
    notices: list[str] = field(default_factory=list)


def read_contacts(path: Path, preset: str = "full_pipeline") -> ContactsFile:
    """Read a contacts file. Raises `UnusableFile`."""
    notices: list[str] = []
    text = _decode(path, notices)
    header, rows = _parse(path, text)
    columns = _recognise(header)
    _check_columns(path, columns, preset)
    contacts, problems = _contacts(columns, rows, preset, notices)
    if problems:
        raise UnusableFile("\n".join(_shortened(problems)))
    if not contacts:
        raise UnusableFile(f"{path.name} has a header but no contacts: add a row for each.")
    return ContactsFile(contacts, notices)


def _decode(path: Path, notices: list[str]) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UnusableFile(f"{path} can't be read: {error.strerror}.") from error
    encoding = next((name for mark, name in BYTE_ORDER_MARKS.items() if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        text = data.decode("cp1252", errors="replace")
        notices.append(
            f"{path.name} is not UTF-8; it was read as Windows-1252 (Latin-1). Check that accented names look right."
        )
    if "\x00" in text:
        raise UnusableFile(f"{path.name} is not a text file: save it as CSV.")
    if not text.strip():
        raise UnusableFile(f"{path.name} is empty: it needs a header and a row for each contact.")
    return text


def _parse(path: Path, text: str) -> tuple[list[str], list[NumberedRow]]:
    first_line = next(line for line in io.StringIO(text, newline="") if line.strip())
    delimiter = max(DELIMITERS, key=first_line.count)
    csv.field_size_limit(MAX_FIELD_CHARS)
    # Not by splitlines(): it also cuts at characters that may stand within a value, such as U+2028.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        rows = list(enumerate(reader, start=1))
    except csv.Error as error:
        raise UnusableFile(f"{path.name} is not a usable CSV file: line {reader.line_num}: {error}.") from error
    header, titles = next((number, row) for number, row in rows if any(row))
    return titles, rows[header:]


def _recognise(header: Sequence[str]) -> list[str]:
    """Each column under the name that the engine knows, or its own."""
    known = {alias: name for name, aliases in COLUMN_NAMES.items() for alias in aliases}
    taken: set[str] = set()
    columns = []
    for title in header:
        plain = title.strip().lower().replace(" ", "_").replace("-", "_")
        name = known.get(plain, title.strip())
        columns.append(title.strip() if name in taken else name)
        taken.add(name)
    return columns


def _check_columns(path: Path, columns: Sequence[str], preset: str) -> None:
    repeated = sorted(name for name, times in Counter(columns).items() if times > 1)
    if repeated:
        raise UnusableFile(f"{path.name} has the column {repeated[0]!r} more than once: rename or remove one.")
    named = "full_name" in columns or {"first_name", "last_name"} <= set(columns)
    if "email" in columns or (preset == "full_pipeline" and named and "domain" in columns):
        return
    needed = (
        "an email column"
        if preset != "full_pipeline"
        else ("first_name and last_name (or full_name) with domain, or email")
    )
    found = ", ".join(name or "(no name)" for name in columns)
    raise UnusableFile(f"{path.name} has no usable columns: it needs {needed}. Found: {found}.")


def _contacts(
    columns: Sequence[str], rows: Sequence[NumberedRow], preset: str, notices: list[str]
) -> tuple[list[dict[str, str]], list[str]]:
    contacts: list[dict[str, str]] = []
    problems: list[str] = []
    first_seen: dict[tuple[str, ...], int] = {}
    for number, row in rows:
        values = tuple(value.strip() for value in row)
        if not any(values):
            notices.append(f"Row {number} is empty: left out.")
        elif len(values) > len(columns):
            problems.append(
                f"Row {number} has {len(values)} fields, the header {len(columns)}: quote what holds the delimiter."
            )
        elif values in first_seen:
            notices.append(f"Row {number} repeats row {first_seen[values]}: left out.")
        else:
            first_seen[values] = number
            contact = dict(zip(columns, (*values, *[""] * (len(columns) - len(values))), strict=True))
            problems.extend(f"Row {number}, {problem}" for problem in _missing(contact, preset))
            contacts.append(contact)
    return contacts, problems


def _missing(contact: dict[str, str], preset: str) -> Iterator[str]:
    if contact.get("email"):
        return
    if preset != "full_pipeline":
        yield "field email is missing: this preset verifies addresses that you bring."
        return
    # Whether the engine knows companies' domains is the API's to say.
    if not contact.get("domain") and not contact.get("company"):
        yield "field domain is missing: give the company's domain, or an email."
    if not contact.get("full_name"):
        for name in ("first_name", "last_name"):
            if not contact.get(name):
                yield f"field {name} is missing: give it, or full_name."


def _shortened(problems: list[str], most: int = 20) -> list[str]:
    rest = len(problems) - most
    return [*problems[:most], f"... and {rest} more."] if rest > 0 else problems
