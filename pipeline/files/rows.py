"""Splits text into rows: CSV of any delimiter and quoting. A row that can't be read is yielded with its problem.

Only CR, LF and CRLF end a row. Where a quote is stray, the row that it stands in is given up and reading goes on with
the next line, so that one bad row never takes others with it.
"""

import csv
import io
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, TextIO

from pipeline.errors import UnusableFile

MAX_ROW_CHARS = 1_000_000
MAX_ROW_LINES = 1_000
MOST_READ_AGAIN = 1_000_000
"""Lines that are read again behind stray quotes, in a whole file: with more of them it would take for ever."""
STRAY_QUOTE = "a quotation mark is open, or stands inside a value: double it, or close it"
TOO_LONG = f"the row is longer than {MAX_ROW_CHARS:,} characters"
NOT_TEXT = "a character is damaged or of another encoding: correct it, or name the encoding with --encoding"


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a CSV file is written. `skipped_lines` stand above its first row: Excel's `sep=`.

    `has_blanks` says that blanks follow the delimiters, and `is_nested` that each row is in quotes as a whole, as Excel
    saves a file that it had not split.
    """

    delimiter: str = ","
    quote: str = '"'
    escape: str | None = None
    skipped_lines: int = 0
    has_blanks: bool = False
    is_nested: bool = False


class Row(NamedTuple):
    """A row of a file. The first is number 1, as a spreadsheet shows them.

    `problem` says why it can't be used; its cells are then what could be read. `is_footer` marks notes below the table.
    """

    number: int
    cells: list[str]
    problem: str = ""
    is_footer: bool = False

    @property
    def is_blank(self) -> bool:
        """Whether all cells are empty or hold only spaces."""
        return not self.problem and not any(map(str.strip, self.cells))


def read_rows(text: TextIO, dialect: Dialect, name: str) -> Iterator[Row]:
    """Yield all rows, also blank ones and those with a problem. Raises `UnusableFile`."""
    csv.field_size_limit(MAX_ROW_CHARS)
    lines = _Lines(text, name)
    for _ in range(dialect.skipped_lines):
        next(lines, None)
    number = 0
    while True:
        reader = _reader(lines, dialect)
        try:
            for cells in reader:
                number += 1
                problem = NOT_TEXT if lines.is_damaged else ""
                lines.begin_row()
                row = Row(number, cells, problem)
                yield _unpacked(row, dialect) if dialect.is_nested else row
            return
        except csv.Error:
            number += 1
            problem = TOO_LONG if lines.is_cut else STRAY_QUOTE
            yield Row(number, [lines.give_up_first()], problem)


def _unpacked(row: Row, dialect: Dialect) -> Row:
    """The row within a row that is in quotes as a whole."""
    if row.problem or len(row.cells) != 1:
        return row
    try:
        inner = list(_reader(io.StringIO(row.cells[0], newline=""), dialect))
    except csv.Error:
        return row._replace(problem=STRAY_QUOTE)
    return row._replace(cells=inner[0] if inner else [], problem=STRAY_QUOTE if len(inner) > 1 else "")


def _reader(lines: Iterator[str], dialect: Dialect) -> "Iterator[list[str]]":
    return csv.reader(
        lines,
        delimiter=dialect.delimiter,
        quotechar=dialect.quote,
        escapechar=dialect.escape,
        skipinitialspace=dialect.has_blanks,
        doublequote=True,
        strict=True,
    )


class _Lines:
    """The lines of a text, each at most `MAX_ROW_CHARS` long. Those of the current row can be read again."""

    def __init__(self, text: TextIO, name: str) -> None:
        self._text, self._name = text, name
        self._row: list[str] = []
        self._again: deque[str] = deque()
        self._chars = self._read_again = 0
        self.is_cut = False
        self.is_damaged = False

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if len(self._row) >= MAX_ROW_LINES or self._chars >= MAX_ROW_CHARS:
            raise csv.Error
        line = self._again.popleft() if self._again else self._text.readline(MAX_ROW_CHARS)
        if not line:
            raise StopIteration
        self._row.append(line)
        self._chars += len(line)
        if len(line) >= MAX_ROW_CHARS and line[-1] not in "\r\n":
            self._skip_rest_of_line()
        if "\ufffd" in line:
            self.is_damaged = True
        return line

    def begin_row(self) -> None:
        self._row.clear()
        self._chars = 0
        self.is_damaged = False

    def give_up_first(self) -> str:
        """Give up the first line of the row, and have its others read again."""
        first, *others = self._row
        self._read_again += len(others)
        if self._read_again > MOST_READ_AGAIN:
            raise UnusableFile(f"{self._name} has too many stray quotation marks to be read: export it again.")
        self._again.extendleft(reversed(others))
        self._row.clear()
        self._chars = 0
        self.is_cut = self.is_damaged = False
        return first[:200].rstrip("\r\n")

    def _skip_rest_of_line(self) -> None:
        self.is_cut = True
        while (more := self._text.readline(MAX_ROW_CHARS)) and more[-1] not in "\r\n":
            pass
        raise csv.Error
