"""Reads workbooks: the first sheet that is visible and not empty.

A sheet is the one thing that does not stream: the library keeps all of it, so that its size is checked before.
"""

import re
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, time
from itertools import islice
from pathlib import Path
from typing import IO, NamedTuple

import python_calamine
from python_calamine import CalamineSheet, CalamineWorkbook, SheetTypeEnum, SheetVisibleEnum

from pipeline.errors import UnusableFile
from pipeline.files.headings import count_known
from pipeline.files.layout import MOST_PREAMBLE
from pipeline.files.rows import MAX_ROW_CHARS, TOO_LONG, Row

MOST_UNPACKED = 1 << 30
MOST_CELLS = 25_000_000
BLOCK = 1 << 20
_CELL = re.compile(rb'<c\b[^>]{0,100}?\br="([A-Z]{1,3})([0-9]{1,7})"')
_PART = re.compile(r"xl/|content\.xml")
"""What the archive of a workbook has: XLSX and XLSB, or ODS."""
_SHEET = re.compile(r"xl/worksheets/[^/]+\.xml")
MOST_SHEETS = 20
"""Sheets that are looked at for headings."""
_NOT_A_WORKBOOK = "{} is not a workbook, or is damaged or cut off: copy or download it again, or save it as XLSX or CSV."


class Sheet(NamedTuple):
    """A sheet of a workbook, and a notice about other sheets."""

    sheet: CalamineSheet
    notice: str


def open_sheet(path: Path, name: str) -> Sheet:
    """Open the sheet that is read. Raises `UnusableFile`."""
    _check_size(path, name)
    try:
        workbook = CalamineWorkbook.from_path(path)
        return _chosen(workbook, name)
    except python_calamine.PasswordError as error:
        raise UnusableFile(f"{name} needs a password: save it without one.") from error
    except (python_calamine.CalamineError, OSError) as error:
        raise UnusableFile(_NOT_A_WORKBOOK.format(name)) from error


def read_sheet(chosen: Sheet) -> Iterator[Row]:
    """Yield all rows of a sheet, numbered as it shows them."""
    merged = _merged_down(chosen.sheet)
    for number, values in enumerate(chosen.sheet.iter_rows(), start=1):
        cells = [_text(value) for value in values]
        if merged:
            merged.fill(number - 1, cells)
        is_long = sum(map(len, cells)) > MAX_ROW_CHARS
        yield Row(number, [each[:200] for each in cells] if is_long else cells, TOO_LONG if is_long else "")


def _chosen(workbook: CalamineWorkbook, name: str) -> Sheet:
    """The first visible sheet with headings that are known; else the first that is not empty."""
    names = [
        each.name
        for each in workbook.sheets_metadata
        if each.visible is SheetVisibleEnum.Visible and each.typ is SheetTypeEnum.WorkSheet
    ]
    filled = None
    for title in names[:MOST_SHEETS]:
        sheet = workbook.get_sheet_by_name(title)
        if not sheet.height:
            continue
        filled = filled or title
        if _has_known_header(sheet):
            return _noted(sheet, names, name)
    if filled is None:
        raise UnusableFile(f"{name} is empty: it needs a header and a row for each contact.")
    return _noted(workbook.get_sheet_by_name(filled), names, name)


def _has_known_header(sheet: CalamineSheet) -> bool:
    first = islice(sheet.iter_rows(), MOST_PREAMBLE)
    return any(count_known([value for value in row if isinstance(value, str)]) > 1 for row in first)


def _noted(sheet: CalamineSheet, names: Sequence[str], name: str) -> Sheet:
    others = len(names) - 1
    notice = f"{name}: sheet {sheet.name!r} is read, {others} other sheets are not." if others else ""
    return Sheet(sheet, notice)


class _MergedDown:
    """Cells that are merged over several rows: each of these rows has the value, as people see it."""

    def __init__(self, ranges: Iterable[tuple[tuple[int, int], tuple[int, int]]]) -> None:
        self._begin = {(first, column): last for (first, column), (last, _) in ranges if last > first}
        self._rows = {row for row, _ in self._begin}
        self._open: dict[int, tuple[int, str]] = {}

    def __bool__(self) -> bool:
        return bool(self._begin)

    def fill(self, row: int, cells: list[str]) -> None:
        """Fill the cells of the next row in place."""
        for column, (last, value) in list(self._open.items()):
            if row > last:
                del self._open[column]
            elif column < len(cells):
                cells[column] = cells[column] or value
        if row in self._rows:
            begun = ((column, self._begin.get((row, column))) for column in range(len(cells)))
            self._open |= {column: (last, cells[column]) for column, last in begun if last is not None}


def _merged_down(sheet: CalamineSheet) -> _MergedDown:
    return _MergedDown(sheet.merged_cell_ranges or ())


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if isinstance(value, datetime) and value.time() == time():
        value = value.date()
    return value.isoformat() if isinstance(value, date | time) else str(value)


def _check_size(path: Path, name: str) -> None:
    """Refuse what would not fit into memory: a small file can hold a sheet of billions of cells."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        if not any(_PART.match(entry.filename) for entry in entries):
            raise UnusableFile(f"{name} is not a workbook: unpack it, or save it as XLSX or CSV.")
        if sum(entry.file_size for entry in entries) > MOST_UNPACKED:
            raise UnusableFile(f"{name} unpacks to more than {MOST_UNPACKED >> 30} GB: save it as CSV.")
        for entry in entries:
            if _SHEET.fullmatch(entry.filename):
                with archive.open(entry) as content:
                    _check_cells(content, name)


def _check_cells(content: IO[bytes], name: str) -> None:
    column = row = 0
    rest = b""
    while block := content.read(BLOCK):
        block = rest + block
        for letters, number in _CELL.findall(block):
            column, row = max(column, _column_number(letters)), max(row, int(number))
        rest = block[-130:]
    if column * row > MOST_CELLS:
        raise UnusableFile(f"{name} has {row:,} rows of {column:,} columns: delete empty ones, or save it as CSV.")


def _column_number(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + letter - 64
    return number
