"""The formats of export files."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple, Protocol

from models.queries import ResultRow
from pipeline.errors import InvalidInput
from pipeline.results.excel_csv import LOCALES, ExcelCsvFormat
from pipeline.results.rows import Table
from pipeline.results.text_formats import CsvFormat, JsonFormat, NdjsonFormat
from pipeline.results.xlsx import MOST_ROWS, XlsxFormat


class Format(Protocol):
    """Makes the bytes of one file: `head`, then `rows` for each batch, then `tail`."""

    def head(self) -> bytes: ...

    def rows(self, rows: Sequence[ResultRow]) -> bytes: ...

    def tail(self) -> bytes: ...


class FormatSpec(NamedTuple):
    """A format: what makes a file of it, its media type, the end of its files' names, and its name for people."""

    make: Callable[[Table], Format]
    mime_type: str
    extension: str
    label: str


def _parquet(table: Table) -> Format:
    # Loaded where it is used: it takes 50 MB and a third of a second.
    from pipeline.results.parquet import ParquetFormat

    return ParquetFormat(table)


CSV = "text/csv"
FORMATS: Mapping[str, FormatSpec] = {
    "csv": FormatSpec(CsvFormat, CSV, "csv", "CSV"),
    "json": FormatSpec(JsonFormat, "application/json", "json", "JSON"),
    "ndjson": FormatSpec(NdjsonFormat, "application/x-ndjson", "ndjson", "NDJSON"),
    "xlsx": FormatSpec(
        XlsxFormat, "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx", "Excel workbook"
    ),
    "parquet": FormatSpec(_parquet, "application/vnd.apache.parquet", "parquet", "Parquet"),
    "excel": FormatSpec(ExcelCsvFormat, CSV, "excel.csv", "CSV for Excel"),
    **{
        f"excel_{locale}": FormatSpec(
            partial(ExcelCsvFormat, separators=separators), CSV, f"excel_{locale}.csv", f"CSV for Excel, {locale}"
        )
        for locale, separators in LOCALES.items()
    },
}
"""All formats, by name."""

TYPED = frozenset({"parquet"})
"""The formats that need the types of the client's further columns."""


def check_size(name: str, contacts: int) -> None:
    """Raise `InvalidInput` if a file in this format can't hold so many contacts."""
    if name == "xlsx" and contacts > MOST_ROWS:
        raise InvalidInput(
            f"A worksheet holds {MOST_ROWS:,} contacts, and this run has {contacts:,}: choose csv or parquet."
        )
