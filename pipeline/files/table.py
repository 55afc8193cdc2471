"""Opens a file of any kind as a table: a header and a stream of rows."""

import io
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TextIO

from pipeline.errors import UnusableFile
from pipeline.files import foreign, ndjson, parquet
from pipeline.files.dialect import SAMPLE_CHARS, find_dialect
from pipeline.files.encoding import Encoding, find_encoding, named_encoding
from pipeline.files.layout import Layout, find_layout, table_rows
from pipeline.files.ndjson import is_ndjson
from pipeline.files.rows import Dialect, Row, read_rows
from pipeline.files.source import MOST_MEMORY, Kind, Source, open_source

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
    """All rows of a file, the header and what stands above it included, and how it is read.

    Where the format itself says what the columns are, they are the `header`, and also row 0.
    """

    source: Source
    stream: Callable[[], Iterator[Row]]
    description: str
    notices: tuple[str, ...] = ()
    delimiter: str = ","
    header: list[str] | None = None

    def layout(self, known: frozenset[str]) -> Layout | None:
        """Find the header; None if there is no row."""
        if self.header is not None:
            return Layout(self.header, 0) if self.header else None
        return find_layout(self.stream(), self.source.name, known)


def open_table(
    path: Path,
    encoding: str | None = None,
    known: frozenset[str] = frozenset(),
    *,
    called: str | None = None,
    most_memory: int = MOST_MEMORY,
) -> Table:
    """Find out how to read a file. `encoding` and the headings in `known` are the user's word.

    Messages have the name of the path, unless the file is `called` otherwise. Raises `UnusableFile`.
    """
    raw = open_rows(path, encoding, called=called, most_memory=most_memory)
    name = raw.source.name
    layout = raw.layout(known)
    if layout is None:
        raise UnusableFile(f"{name} is empty: it needs a header and a row for each contact.")
    if layout.width > MAX_COLUMNS:
        raise UnusableFile(f"{name} has {layout.width:,} columns, the most is {MAX_COLUMNS:,}: remove some.")
    return Table(
        path,
        name,
        layout.header,
        raw.header is not None or layout.header_row > 0,
        raw.description,
        [*raw.notices, *layout.notices],
        lambda: table_rows(raw.stream(), layout),
        raw.delimiter,
    )


def open_rows(
    path: Path, encoding: str | None = None, *, called: str | None = None, most_memory: int = MOST_MEMORY
) -> RawRows:
    """Find out how to read a file, not what its columns are. Raises `UnusableFile`."""
    source = open_source(path, called, most_memory)
    return _READERS[source.kind()](source, encoding)


def _text(source: Source, named: str | None) -> RawRows:
    encoding = named_encoding(named) if named else find_encoding(source)
    with _decoded(source, encoding) as text:
        sample = text.read(SAMPLE_CHARS)
    if "\0" in sample:
        raise UnusableFile(f"{source.name} is not a text file: save it as CSV.")
    foreign.refuse_text(sample, source.name)
    if is_ndjson(sample):
        return _ndjson(source, encoding)
    if sample.lstrip("\ufeff \r\n\t")[:1] in ("[", "{"):
        raise UnusableFile(f"{source.name} is JSON: write one object on each line (NDJSON), or save it as CSV.")
    return _delimited(source, encoding, find_dialect(sample))


@contextmanager
def _decoded(source: Source, encoding: Encoding) -> Iterator[TextIO]:
    with source.open() as file, io.TextIOWrapper(file, encoding.name, errors="replace", newline="") as text:
        yield text


def _delimited(source: Source, encoding: Encoding, dialect: Dialect) -> RawRows:
    def all_rows() -> Iterator[Row]:
        with _decoded(source, encoding) as text:
            yield from read_rows(text, dialect, source.name)

    delimiter = _DELIMITERS.get(dialect.delimiter, repr(dialect.delimiter))
    description = f"CSV with {delimiter}, {encoding.title}"
    return RawRows(source, all_rows, description, _notices(encoding.notice), dialect.delimiter)


def _ndjson(source: Source, encoding: Encoding) -> RawRows:
    def text() -> AbstractContextManager[TextIO]:
        return _decoded(source, encoding)

    header = ndjson.read_header(text, source.name)
    rows = _headed(header, lambda: ndjson.read_objects(text, header))
    return RawRows(source, rows, f"NDJSON, {encoding.title}", _notices(encoding.notice), header=header)


def _parquet(source: Source, _encoding: str | None) -> RawRows:
    path = source.plain_path()
    header = parquet.read_header(path, source.name)
    rows = _headed(header, lambda: parquet.read_records(path, source.name))
    return RawRows(source, rows, "Parquet", header=header)


def _workbook(source: Source, _encoding: str | None) -> RawRows:
    # It is slow to load, and only workbooks need it.
    from pipeline.files.workbook import open_sheet, read_sheet

    sheet = open_sheet(source.plain_path(), source.name, source.most_memory)
    return RawRows(source, lambda: read_sheet(sheet), "Excel", _notices(sheet.notice))


def _headed(header: list[str], rows: Callable[[], Iterator[Row]]) -> Callable[[], Iterator[Row]]:
    return lambda: chain([Row(0, header)], rows())


def _notices(notice: str) -> tuple[str, ...]:
    return (notice,) if notice else ()


_READERS: dict[Kind, Callable[[Source, str | None], RawRows]] = {
    Kind.TEXT: _text,
    Kind.WORKBOOK: _workbook,
    Kind.PARQUET: _parquet,
}
