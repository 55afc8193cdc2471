"""Streams a list of addresses as people have it: a CSV with an address column wherever, or just one address a line.

Nothing of the file is kept in memory, so it may have any size. Delimiters, encodings and column names are those that
`cli.contacts_csv` knows.
"""

import codecs
import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from cli.contacts_csv import BYTE_ORDER_MARKS, COLUMN_NAMES, DELIMITERS, MAX_FIELD_CHARS, UnusableFile
from pipeline.mail.address.syntax import Address, parse_address

SAMPLE_ROWS = 100
BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class AddressFile:
    """How a list of addresses is to be read. `header` is invented where the file has none."""

    path: Path
    encoding: str
    delimiter: str
    header: Sequence[str]
    has_header: bool
    column: int
    notices: Sequence[str]

    def rows(self) -> Iterator[list[str]]:
        """Each row, as long as the header; blank lines are left out. Raises `UnusableFile`."""
        width = len(self.header)
        for number, row in enumerate(_read(self.path, self.encoding, self.delimiter), start=1):
            if number == 1 and self.has_header:
                continue
            if len(row) > width:
                raise UnusableFile(
                    f"Row {number} has {len(row)} fields, the header {width}: quote what holds the delimiter."
                )
            yield row + [""] * (width - len(row))


def open_addresses(path: Path) -> AddressFile:
    """Find out how to read a list. Raises `UnusableFile`."""
    encoding = _encoding(path)
    delimiter = _delimiter(path, encoding)
    sample = list(islice(_read(path, encoding, delimiter), SAMPLE_ROWS))
    if not sample:
        raise UnusableFile(f"{path.name} is empty: it needs an address in each row.")
    column = _address_column(path, sample)
    has_header = not isinstance(parse_address((sample[0] + [""] * column)[column]), Address)
    header = sample[0] if has_header else _invented_header(len(sample[0]), column)
    notices = []
    if encoding == "cp1252":
        notices.append(f"{path.name} is not UTF-8; it was read as Windows-1252 (Latin-1).")
    if not has_header:
        notices.append(f"{path.name} has no header: its first row is taken as an address, too.")
    return AddressFile(path, encoding, delimiter, header, has_header, column, notices)


def decode_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Each row of any list, with the number of its line; blank lines are left out. Raises `UnusableFile`."""
    encoding = _encoding(path)
    delimiter = _delimiter(path, encoding)
    csv.field_size_limit(MAX_FIELD_CHARS)
    with path.open(encoding=encoding, errors="replace", newline="") as file:
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        try:
            yield from ((reader.line_num, row) for row in reader if any(map(str.strip, row)))
        except csv.Error as error:
            raise UnusableFile(f"{path.name}, line {reader.line_num}, is not usable CSV: {error}.") from error


def _encoding(path: Path) -> str:
    """By its byte order mark; UTF-8 if all of it can be read so; otherwise Windows-1252, which can be anything."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    if path.exists() and not path.is_file() and not path.is_dir():
        raise UnusableFile(f"{path} is not an ordinary file: save what comes from it as one first.")
    try:
        with path.open("rb") as file:
            block = file.read(BLOCK)
            for mark, name in BYTE_ORDER_MARKS.items():
                if block.startswith(mark):
                    return name
            while block:
                if b"\0" in block:
                    raise UnusableFile(f"{path.name} is not a text file: save it as CSV.")
                decoder.decode(block)
                block = file.read(BLOCK)
            decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return "cp1252"
    except OSError as error:
        raise UnusableFile(f"{path} can't be read: {error.strerror}.") from error
    return "utf-8"


def _delimiter(path: Path, encoding: str) -> str:
    with path.open(encoding=encoding, errors="replace") as file:
        first_line = next((line for line in file if line.strip()), "")
    return max(DELIMITERS, key=first_line.count)


def _read(path: Path, encoding: str, delimiter: str) -> Iterator[list[str]]:
    csv.field_size_limit(MAX_FIELD_CHARS)
    with path.open(encoding=encoding, errors="replace", newline="") as file:
        try:
            yield from (row for row in csv.reader(file, delimiter=delimiter, strict=True) if any(map(str.strip, row)))
        except csv.Error as error:
            raise UnusableFile(f"{path.name} is not a usable CSV file: {error}.") from error


def _address_column(path: Path, sample: Sequence[Sequence[str]]) -> int:
    """The column that is called so, or the one that holds most addresses."""
    for index, title in enumerate(sample[0]):
        if title.strip().lower().replace(" ", "_").replace("-", "_") in COLUMN_NAMES["email"]:
            return index
    holding = [sum("@" in row[index] for row in sample if index < len(row)) for index in range(len(sample[0]))]
    if not max(holding):
        found = ", ".join(title.strip() or "(no name)" for title in sample[0])
        raise UnusableFile(f"{path.name} has no column of addresses: call one `email`. Found: {found}.")
    return holding.index(max(holding))


def _invented_header(width: int, column: int) -> list[str]:
    return ["email" if index == column else f"column_{index + 1}" for index in range(width)]
