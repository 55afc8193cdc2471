"""Reads the file of `growth submit`: shows how it was read, and puts aside the rows that can't be used."""

import csv
import io
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import typer

from cli.terminal import errors, say
from cli.whole_file import whole_file
from pipeline.errors import UnusableFile
from pipeline.files.contacts import Contact, ContactReader, PlacedRow, open_contacts
from pipeline.files.headings import FIELDS

EXPLAINED = 20
"""How many rejected rows are explained on the screen; all are in the file of rejected rows."""


MOST_CONTACTS, MOST_CHARACTERS = 100_000, 16_000_000
"""What is sent in one request. A file that holds more is uploaded: few bytes can hold many short addresses, and unpack
to many."""


class HoldsMore(Exception):
    """Raised when a file turns out to hold more than one request takes."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How a contacts file is to be read, as the user says."""

    preset: str = "full_pipeline"
    mapping: Mapping[str, str] = field(default_factory=dict)
    encoding: str | None = None
    knows_companies: bool = True


def parse_mapping(options: Sequence[str]) -> dict[str, str]:
    """Read `--map` options: `domain=Company Domain Name`. An empty heading takes the field from no column."""
    mapping = {}
    for option in options:
        name, equals, heading = option.partition("=")
        if not equals or name.strip() not in FIELDS:
            raise typer.BadParameter(f'say --map FIELD="Column", with a field of {", ".join(FIELDS)}.')
        mapping[name.strip()] = heading.strip().strip('"')
    return mapping


def open_submission(path: Path, reading: Reading) -> ContactReader:
    """Find out how to read a contacts file. Raises `UnusableFile`."""
    reader = open_contacts(path, reading.preset, reading.mapping, reading.encoding)
    reader.knows_companies = reading.knows_companies
    return reader


def collect(reader: ContactReader, rejects: Path | None, *, all_of_them: bool = True) -> list[Contact]:
    """Return the different contacts, and write the rejected rows to a file of their own, if any.

    Without such a file (`--strict`), or if no row can be used, the whole file is refused. Raises `UnusableFile`, and
    `HoldsMore`, unless `all_of_them` are wanted, if there is more than one request takes; then nothing is written.
    """
    contacts: list[Contact] = []
    explained: list[str] = []
    characters = 0
    with ExitStack() as stack:
        write = None
        for placed in reader.place():
            if placed.is_new:
                contacts.append(reader.contact(placed.row))
                characters += sum(map(len, placed.row.cells))
                if not all_of_them and (len(contacts) > MOST_CONTACTS or characters > MOST_CHARACTERS):
                    raise HoldsMore
            if placed.rejected is None:
                continue
            if len(explained) < EXPLAINED:
                explained.append(_explained(placed))
            if rejects is not None:
                write = write or _RejectedRows(stack, rejects, reader.table.header)
                write.add(placed)
    _check(reader, contacts, explained, rejects)
    return contacts


def say_how_it_is_read(reader: ContactReader) -> None:
    """Print on stderr what was recognised, before anything is sent."""
    columns = ", ".join(f"{name} = {heading}" for name, heading in reader.columns.described())
    say(f"{reader.table.name}: {reader.table.description}. Columns: {columns}.", to=errors)
    for notice in [*reader.table.notices, *reader.columns.notices]:
        say(notice, style="yellow", to=errors)


def say_counts(reader: ContactReader, rejects: Path | None) -> None:
    """Print on stderr what became of the rows, where that is more than each of them sent."""
    counts = reader.counts
    if counts.footer:
        say(f"{rows_are(counts.footer)} below the table: left out as notes.", style="yellow", to=errors)
    if counts.blank:
        say(f"{rows_are(counts.blank)} empty: left out.", style="yellow", to=errors)
    if counts.repeated:
        say(
            f"{rows_are(counts.repeated)} repeated: worked and charged once, and delivered to each.",
            style="yellow",
            to=errors,
        )
    if counts.rejected:
        where = f": see {rejects}, which has the reasons" if rejects else ""
        verb = "costs" if counts.rejected == 1 else "cost"
        say(f"{rows_are(counts.rejected)} not usable and {verb} nothing{where}.", style="yellow", to=errors)


@dataclass(slots=True)
class DryRun:
    """What is found in a file besides the reader's counts."""

    first_rejected: dict[tuple[str, str], int] = field(default_factory=dict)
    """The first row that was rejected for each field and reason."""
    without_domain: int = 0
    """Contacts with nothing but a company."""


def read_to_the_end(reader: ContactReader) -> DryRun:
    """Read all rows, and send nothing."""
    found = DryRun()
    for placed in reader.place():
        if placed.rejected:
            found.first_rejected.setdefault(placed.rejected, placed.row.number)
        elif placed.is_new:
            found.without_domain += not {"domain", "email"} & _filled(reader.contact(placed.row))
    return found


def _filled(contact: Contact) -> set[str]:
    return {name for name in FIELDS if contact.get(name)}


def say_dry_run(reader: ContactReader, found: DryRun) -> None:
    """Print on stdout what would be sent."""
    described = dict(reader.columns.described())
    for name in FIELDS:
        say(f"{name:<11} {described.get(name, '(no column)')}")
    taken = set(reader.columns.fields.values())
    others = [title for index, title in enumerate(reader.table.header) if index not in taken and title]
    say(f"{'as they are':<11} {', '.join(others) or '(no other columns)'}")
    counts = reader.counts
    say(f"{counts.contacts} contacts would be sent, from {counts.rows} rows; nothing was sent.")
    if found.without_domain:
        say(
            f"{found.without_domain} of them have a company and no domain: they are sent if the engine knows companies."
        )
    for at_fault, times in counts.fields_at_fault.most_common(EXPLAINED):
        first = f"{'row' if times == 1 else 'the first is row'} {found.first_rejected[at_fault]}"
        say(f"{rows_are(times)} not usable, {first}: {at_fault[0]}: {at_fault[1]}.")


def check_dry_run(reader: ContactReader, *, strict: bool) -> None:
    """Raise `UnusableFile` if the file, which was read to its end, would be refused."""
    name, counts = reader.table.name, reader.counts
    if strict and counts.rejected:
        raise UnusableFile(f"{name} would be refused: with --strict, each of its rows must be usable.")
    if not counts.contacts:
        raise UnusableFile(f"{name} would be refused: it has no row that can be used.")


def dry_run_of(reader: ContactReader) -> dict[str, Any]:
    """What would be sent, for a program."""
    counts = reader.counts
    faults = counts.fields_at_fault.most_common()
    return {
        "columns": dict(reader.columns.described()),
        "rows": counts.rows,
        "contacts": counts.contacts,
        "repeated": counts.repeated,
        "rejected": counts.rejected,
        "reasons": [{"field": name, "reason": reason, "rows": times} for (name, reason), times in faults],
    }


def _check(reader: ContactReader, contacts: Sequence[Contact], explained: list[str], rejects: Path | None) -> None:
    name, rejected = reader.table.name, reader.counts.rejected
    if rejected and (rejects is None or not contacts):
        more = [f"... and {rejected - len(explained)} more."] if rejected > len(explained) else []
        raise UnusableFile(
            "\n".join([f"Nothing was sent, since {name} has rows that can't be used:", *explained, *more])
        )
    if not contacts:
        raise UnusableFile(f"{name} has a header but no contacts: add a row for each.")


def _explained(placed: PlacedRow) -> str:
    assert placed.rejected  # noqa: S101 - the caller asked
    where = "" if placed.rejected.field == "row" else f"field {placed.rejected.field}: "
    return f"Row {placed.row.number}, {where}{placed.rejected.reason}."


def rows_are(count: int) -> str:
    """The beginning of a sentence about so many rows."""
    return "1 row is" if count == 1 else f"{count} rows are"


class _RejectedRows:
    """The file of rejected rows: row number, field, reason, then the row itself."""

    def __init__(self, stack: ExitStack, place: Path, header: Sequence[str]) -> None:
        binary = stack.enter_context(whole_file(place))
        text = io.TextIOWrapper(binary, encoding="utf-8", newline="")
        stack.callback(text.detach)
        self._writer = csv.writer(text)
        self._writer.writerow(["row", "field", "reason", *header])

    def add(self, placed: PlacedRow) -> None:
        self._writer.writerow([placed.row.number, *(placed.rejected or ()), *placed.row.cells])


def rejects_beside(path: Path) -> Path:
    """Where the rejected rows of a file go: beside it, or into the current folder if it is a pipe."""
    folder = path.parent if path.is_file() else Path()
    return folder / f"{path.name.removesuffix('.gz').removesuffix('.zst').rsplit('.', 1)[0]}.rejected.csv"
