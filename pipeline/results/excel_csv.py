"""CSV for a double-click in Excel: it must not run a value, nor change one, nor put all of a row into one cell."""

import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from models.queries import ResultRow
from pipeline.results.rows import Cells, Table
from pipeline.results.text_formats import csv_lines

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
"""Without it Excel takes UTF-8 for the code page of its country."""
MOST_DIGITS = 11
"""Excel shows longer numbers as 1.23E+11, and forgets digits beyond the fifteenth."""


class Separators(NamedTuple):
    """What a country's Excel expects between cells, and before decimals."""

    cell: str
    decimal: str


ENGLISH, CONTINENTAL = Separators(",", "."), Separators(";", ",")
LOCALES: Mapping[str, Separators] = dict.fromkeys(("de", "es", "fr", "it", "nl", "pl", "pt"), CONTINENTAL)
"""Where Excel's own separators differ from the English ones."""

# A formula, also behind the quotes that a text qualifier leaves or in full-width characters; or digits that Excel would
# take for a number, and shorten.
_CHANGED = re.compile(rf"[=+\-@\t\r\n＝＋－＠]|0\d+\Z|\d{{{MOST_DIGITS + 1},}}\Z", re.ASCII)


class ExcelCsvFormat:
    """CSV in UTF-8 with a byte order mark, and the separators of a country.

    A text that Excel would run or change has an apostrophe before it.
    """

    def __init__(self, table: Table, separators: Separators = ENGLISH) -> None:
        self._header, self._cells, self._separators = table.header, Cells(table), separators

    def head(self) -> bytes:
        return BYTE_ORDER_MARK + self._lines([self._header])

    def rows(self, rows: Sequence[ResultRow]) -> bytes:
        return self._lines(self._cells.of(rows))

    def tail(self) -> bytes:
        return b""

    def _lines(self, rows: Sequence[Sequence[Any]]) -> bytes:
        safe = partial(safe_in_excel, decimal=self._separators.decimal)
        return csv_lines([[safe(cell) for cell in row] for row in rows], self._separators.cell)


def safe_in_excel(cell: Any, decimal: str = ".") -> Any:
    """A cell that Excel shows as it is. Numbers stay numbers unless they are too long."""
    if isinstance(cell, str):
        return f"'{cell}" if _CHANGED.match(cell) else cell
    if isinstance(cell, int):
        return cell if -(10**MOST_DIGITS) < cell < 10**MOST_DIGITS else f"'{cell}"
    if isinstance(cell, float):
        return str(cell).replace(".", decimal)
    return cell
