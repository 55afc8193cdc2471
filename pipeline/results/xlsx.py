"""Excel workbooks, written row by row: neither memory nor a temporary file grows with the run.

A worksheet is one XML file within a ZIP (ECMA-376). The libraries write it to a temporary file first, which a killed
process would leave behind with people's names (docs/decisions/0037-formats-of-exports.md).
"""

import re
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

from models.queries import ResultRow
from pipeline.results.pieces import Pieces
from pipeline.results.rows import Cells, Table

MOST_ROWS = 1_048_575
"""Contacts in a worksheet: it has 1,048,576 rows, and one is the header."""
MOST_CHARS = 32_767
MOST_DIGITS = 15
"""What a cell can hold: longer texts are cut, longer numbers become text."""
QUICK = 1
"""The level of compression. The best one takes four times as long and saves a fifth."""
LARGE = 1_500_000_000
OF_A_CELL = 60
"""Bytes of XML around a cell, to foresee whether a worksheet needs the large variant of ZIP."""

_SPREADSHEET = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"
_OF_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'

PARTS: Mapping[str, str] = {
    "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    f'<Override PartName="/xl/workbook.xml" ContentType="{_TYPE}.sheet.main+xml"/>'
    f'<Override PartName="/xl/styles.xml" ContentType="{_TYPE}.styles+xml"/>'
    f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{_TYPE}.worksheet+xml"/></Types>',
    "_rels/.rels": f'<Relationships xmlns="{_RELATIONS}">'
    f'<Relationship Id="rId1" Type="{_OF_OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
    "xl/workbook.xml": f'<workbook xmlns="{_SPREADSHEET}" xmlns:r="{_OF_OFFICE}">'
    '<sheets><sheet name="Contacts" sheetId="1" r:id="rId1"/></sheets></workbook>',
    "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_RELATIONS}">'
    f'<Relationship Id="rId1" Type="{_OF_OFFICE}/worksheet" Target="worksheets/sheet1.xml"/>'
    f'<Relationship Id="rId2" Type="{_OF_OFFICE}/styles" Target="styles.xml"/></Relationships>',
    # Format 0 is plain, format 1 bold.
    "xl/styles.xml": f'<styleSheet xmlns="{_SPREADSHEET}">'
    '<fonts count="2"><font><sz val="11"/><name val="Calibri"/></font>'
    '<font><b/><sz val="11"/><name val="Calibri"/></font></fonts>'
    '<fills count="2"><fill><patternFill patternType="none"/></fill>'
    '<fill><patternFill patternType="gray125"/></fill></fills>'
    '<borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders>'
    '<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs>'
    '<cellXfs count="2"><xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/>'
    '<xf numFmtId="0" fontId="1" fillId="0" borderId="0" xfId="0" applyFont="1"/></cellXfs>'
    '<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles></styleSheet>',
}
"""All parts of a workbook but the worksheet."""
SHEET_HEAD = (
    f'{_XML}<worksheet xmlns="{_SPREADSHEET}"><sheetViews><sheetView workbookViewId="0">'
    '<pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/></sheetView></sheetViews><sheetData>'
)
SHEET_TAIL = "</sheetData></worksheet>"

_MARKUP = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
# What XML can't hold, or changes, is written as _x000D_; and so is a text that looks like this.
_SPECIAL = re.compile("[&<>]|[\x00-\x08\x0b-\x1f\ufffe\uffff]|_(?=x[0-9A-Fa-f]{4}_)")


class XlsxFormat:
    """A workbook with one worksheet: a bold header that stays in view, and texts that are never taken for formulas."""

    def __init__(self, table: Table) -> None:
        self._header, self._cells = table.header, Cells(table)
        self._columns = [_letters(number) for number in range(len(self._header))]
        self._zipped = _Zipped()
        self._is_large = len(self._header) * table.contacts * OF_A_CELL > LARGE
        self._row = 1

    def head(self) -> bytes:
        for name, content in PARTS.items():
            self._zipped.add(name, _XML + content)
        self._zipped.open_part("xl/worksheets/sheet1.xml", is_large=self._is_large)
        titles = "".join(
            _text(f'{column}1" s="1', title) for column, title in zip(self._columns, self._header, strict=True)
        )
        return self._zipped.write(f'{SHEET_HEAD}<row r="1">{titles}</row>')

    def rows(self, rows: Sequence[ResultRow]) -> bytes:
        return self._zipped.write("".join([self._xml(cells) for cells in self._cells.of(rows)]))

    def tail(self) -> bytes:
        return self._zipped.write(SHEET_TAIL) + self._zipped.close()

    def _xml(self, cells: Sequence[Any]) -> str:
        self._row += 1
        row = self._row
        filled = [
            _text(f"{column}{row}", cell) if isinstance(cell, str) else _number(f"{column}{row}", cell)
            for column, cell in zip(self._columns, cells, strict=True)
            if cell is not None and cell != ""
        ]
        return f'<row r="{row}">{"".join(filled)}</row>'


class _Zipped:
    """A ZIP that is handed on as it grows."""

    def __init__(self) -> None:
        self._pieces = Pieces()
        file: Any = self._pieces
        self._file = zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=QUICK)

    def add(self, name: str, content: str) -> None:
        self._file.writestr(zipfile.ZipInfo(name), content)

    def open_part(self, name: str, *, is_large: bool) -> None:
        entry = zipfile.ZipInfo(name)
        entry.compress_type = zipfile.ZIP_DEFLATED
        self._part = self._file.open(entry, "w", force_zip64=is_large)

    def write(self, text: str) -> bytes:
        self._part.write(text.encode())
        return self._pieces.taken()

    def close(self) -> bytes:
        self._part.close()
        self._file.close()
        return self._pieces.taken()


def _letters(number: int) -> str:
    """The name of a column: A for 0, AA for 26."""
    name = ""
    number += 1
    while number:
        number, letter = divmod(number - 1, 26)
        name = chr(ord("A") + letter) + name
    return name


def _text(place: str, text: str) -> str:
    text = text[:MOST_CHARS]
    if _SPECIAL.search(text):
        text = _SPECIAL.sub(_escaped, text)
    keep = ' xml:space="preserve"' if text != text.strip() or "\n" in text else ""
    return f'<c r="{place}" t="inlineStr"><is><t{keep}>{text}</t></is></c>'


def _number(place: str, number: float) -> str:
    if isinstance(number, int) and abs(number) >= 10**MOST_DIGITS:
        return _text(place, str(number))
    return f'<c r="{place}"><v>{number!r}</v></c>'


def _escaped(found: re.Match[str]) -> str:
    char = found[0]
    return _MARKUP.get(char) or f"_x{ord(char):04X}_"
