"""Reads workbooks: the first sheet that is visible and not empty.

A sheet is the one thing that does not stream: the library keeps all of it, so that its size is checked before
(`workbook_size`).
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, time
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import python_calamine
from python_calamine import CalamineSheet, CalamineWorkbook

from models.bounds import shown
from pipeline.errors import UnusableFile
from pipeline.files.headings import count_known
from pipeline.files.layout import MOST_PREAMBLE
from pipeline.files.rows import MAX_ROW_CHARS, TOO_LONG, Row
from pipeline.files.workbook_size import check_size
from pipeline.files.worksheets import MOST_SHEETS, names_of_visible

NAMED_SHEETS = 3
_NOT_A_WORKBOOK = (
    "{} is not a workbook, or is damaged or cut off: copy or download it again, or save it as XLSX or CSV."
)


class Sheet(NamedTuple):
    """A sheet of a workbook, and a notice about other sheets."""

    sheet: CalamineSheet
    notice: str


def open_sheet(path: Path, name: str, most_memory: int) -> Sheet:
    """Open the sheet that is read, unless it takes more bytes of memory. Raises `UnusableFile`."""
    check_size(path, name, most_memory)
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
    names = names_of_visible(workbook)
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
    others = [shown(each) for each in names if each != sheet.name]
    if not others:
        return Sheet(sheet, "")
    named = ", ".join(map(repr, others[:NAMED_SHEETS]))
    more = f" and {len(others) - NAMED_SHEETS} more" if len(others) > NAMED_SHEETS else ""
    verb = "is" if len(others) == 1 else "are"
    return Sheet(sheet, f"{name}: sheet {shown(sheet.name)!r} is read; {named}{more} {verb} not.")


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
