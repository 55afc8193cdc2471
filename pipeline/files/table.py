"""Opens a file of any kind as a table: a header and a stream of rows."""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from pipeline.errors import UnusableFile
from pipeline.files.dialect import SAMPLE_CHARS, find_dialect
from pipeline.files.encoding import Encoding, find_encoding, named_encoding
from pipeline.files.layout import find_layout, table_rows
from pipeline.files.rows import Dialect, Row, read_rows
from pipeline.files.source import Kind, Source, open_source

MAX_COLUMNS = 1_000
SAMPLE_OF_CELLS = 200
_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}


@dataclass(frozen=True, slots=True)
class Table:
    """A file as a table. `rows` streams it from the beginning, each time it is called.

    `header` has the file's own words; `description` says how the file is read, `notices` what the user should know.
    """

    path: Path
    name: str
    header: list[str]
    has_header: bool
    description: str
    notices: list[str]
    stream: Callable[[], Iterator[Row]]
    delimiter: str = ","

    def rows(self) -> Iterator[Row]:
        """Yield the rows below the header, in order, also blank ones and those with a problem.

        Each has as many cells as the header, unless it has a problem. Raises `UnusableFile`.
        """
        return self.stream()

    def sample(self) -> list[list[str]]:
        """The cells of the first rows that can be used."""
        usable = (row.cells for row in self.rows() if not (row.problem or row.is_footer or row.is_blank))
        return list(islice(usable, SAMPLE_OF_CELLS))


@dataclass(frozen=True, slots=True)
class RawRows:
    """All rows of a file, the header and what stands above it included, and how it is read."""

    source: Source
    stream: Callable[[], Iterator[Row]]
    description: str
    notices: tuple[str, ...] = ()
    delimiter: str = ","


def open_table(path: Path, encoding: str | None = None, known: frozenset[str] = frozenset()) -> Table:
    """Find out how to read a file. `encoding` and the headings in `known` are the user's word.

    Raises `UnusableFile`.
    """
    raw = open_rows(path, encoding)
    name = raw.source.name
    layout = find_layout(raw.stream(), name, known)
    if layout is None:
        raise UnusableFile(f"{name} is empty: it needs a header and a row for each contact.")
    if layout.width > MAX_COLUMNS:
        raise UnusableFile(f"{name} has {layout.width:,} columns, the most is {MAX_COLUMNS:,}: remove some.")
    return Table(
        path,
        name,
        layout.header,
        layout.header_row > 0,
        raw.description,
        [*raw.notices, *layout.notices],
        lambda: table_rows(raw.stream(), layout),
        raw.delimiter,
    )


def open_rows(path: Path, encoding: str | None = None) -> RawRows:
    """Find out how to read a file, not what its columns are. Raises `UnusableFile`."""
    source = open_source(path)
    if source.kind() is Kind.TEXT:
        return _text(source, encoding)
    raise UnusableFile(f"{source.name} is not a text file: save it as CSV.")


def _text(source: Source, named: str | None) -> RawRows:
    encoding = named_encoding(named) if named else find_encoding(source)
    with source.open() as file, io.TextIOWrapper(file, encoding.name, errors="replace", newline="") as text:
        sample = text.read(SAMPLE_CHARS)
    if "\0" in sample:
        raise UnusableFile(f"{source.name} is not a text file: save it as CSV.")
    return _delimited(source, encoding, find_dialect(sample))


def _delimited(source: Source, encoding: Encoding, dialect: Dialect) -> RawRows:
    def all_rows() -> Iterator[Row]:
        with source.open() as file, io.TextIOWrapper(file, encoding.name, errors="replace", newline="") as text:
            yield from read_rows(text, dialect, source.name)

    delimiter = _DELIMITERS.get(dialect.delimiter, repr(dialect.delimiter))
    notices = (encoding.notice,) if encoding.notice else ()
    return RawRows(source, all_rows, f"CSV with {delimiter}, {encoding.title}", notices, dialect.delimiter)
