"""Measures the tables of an ODS file as the library lays them out (its `ods.rs`)."""

from zipfile import ZipInfo

from typing_extensions import override

from pipeline.files.workbook_size.archive import Archive
from pipeline.files.workbook_size.xml import TagReader

_NOTHING, _TABLE, _ROW, _CELL = range(4)
"""What is open."""
_WITHIN = {
    "table:table": _NOTHING,
    "table:table-row": _TABLE,
    "table:table-cell": _ROW,
    "table:covered-table-cell": _ROW,
}
"""What the elements of a table stand in. The library compares names with their prefixes, and takes the end of a table
that is in a cell for that of the cell."""
_LONGEST_NUMBER = 10
AROUND_A_CELL = 110
"""Bytes of XML around a text that stands in its cell."""


def check_open_document(workbook: Archive, entry: ZipInfo) -> None:
    """Refuse an ODS file that is too large. Raises `UnusableFile`.

    A row or a cell may say that it is repeated a million times; empty ones at the end don't count.
    """
    reader = _TableReader(workbook)
    reader.read(entry)
    reader.check()


class _TableReader(TagReader):
    def __init__(self, workbook: Archive) -> None:
        super().__init__(workbook)
        self._open = _NOTHING
        self._row = self._times = self._column = 0
        self._laid_out = 0
        """Cells of the open row, without empty ones that no other cell follows."""
        self._begin = self._copies = 0
        """Where the open cell begins, and how many filled cells it stands for."""
        self._rows = self._columns = 0
        """Of the open table, up to its last filled cells."""
        self._places = self._cells = self._size = 0
        """Of all tables, which the library holds together."""

    def check(self) -> None:
        self.workbook.check_memory(self._places, self._cells, self._size)

    @override
    def start(self, name: str, attributes: dict[str, str]) -> None:
        self.depth += 1
        within = _WITHIN.get(name)
        if within is None:
            self.check_depth()
            if name == "text:s" and self._open == _CELL:
                self._add_text(self._copies * self._number(attributes.get("text:c")))
            return
        if within != self._open:
            self._refuse()
        self._open += 1
        if within == _NOTHING:
            self._row = self._times = self._rows = self._columns = 0
        elif within == _TABLE:
            self._row += self._times
            self._times = self._number(attributes.get("table:number-rows-repeated"))
            self._column = self._laid_out = 0
        else:
            self._start_cell(attributes)

    def _start_cell(self, attributes: dict[str, str]) -> None:
        repeated = self._number(attributes.get("table:number-columns-repeated"))
        self._laid_out = self._column
        self._column += repeated
        self._begin, self._copies = self.parser.CurrentByteIndex, 0
        if any(name.startswith("office:") or name == "table:formula" for name in attributes):
            self._laid_out = self._column
            self._copies = self._times * repeated
            self._rows = max(self._rows, self._row + self._times)
            self._columns = max(self._columns, self._column)
            self._cells += self._copies

    @override
    def end(self, name: str) -> None:
        self.depth -= 1
        within = _WITHIN.get(name)
        if within is None:
            return
        self._open = within
        if within == _ROW:
            self._add_text(self._copies * max(0, self.parser.CurrentByteIndex - self._begin - AROUND_A_CELL))
        elif within == _TABLE:
            self._places += self._laid_out
        else:
            self.workbook.check_block(self._rows, self._columns)
            self._places += self._rows * self._columns

    def _add_text(self, size: int) -> None:
        self._size += size
        self.workbook.check_text(self._size)

    def _number(self, number: str | None) -> int:
        """How often something is repeated. The library reads a sign as well."""
        if number is None:
            return 1
        digits = number.removeprefix("+").lstrip("0") or "0"
        if not (digits.isdecimal() and digits.isascii()) or len(digits) > _LONGEST_NUMBER:
            self._refuse()
        return int(digits)
