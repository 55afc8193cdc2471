"""Measures a sheet of an XLSX file as the library lays it out (its `xlsx/cells_reader.rs`)."""

from zipfile import ZipInfo

from typing_extensions import override

from pipeline.errors import UnusableFile
from pipeline.files.workbook_size.archive import MOST_COLUMNS, MOST_ROWS, NOTHING, Archive, Extent
from pipeline.files.workbook_size.shared_texts import SharedTexts
from pipeline.files.workbook_size.xml import TagReader

AROUND_A_CELL, AROUND_A_ROW = 45, 60
"""Bytes of XML around a text that stands in its cell, and around the cells of a row."""
OF_A_MERGED_RANGE = 300
_ROW, _CELL, _VALUE = 1, 2, 3
_LEVELS = {"sheetData": 0, "row": _ROW, "c": _CELL, "v": _VALUE, "is": _VALUE, "f": _VALUE}
"""How deep elements stand in the data of a sheet. The library looks for them at any depth, and would see another sheet
than we do in a file that has them elsewhere."""
_LONGEST_NUMBER = 7


def check_sheet(workbook: Archive, entry: ZipInfo, texts: SharedTexts) -> None:
    """Refuse a sheet that is too large, or has a cell where none can be. Raises `UnusableFile`."""
    sheet = measure_sheet(workbook, entry, texts)
    workbook.check_extent(sheet.extent)
    workbook.check_text(sheet.repeated)
    size = sheet.repeated + sheet.written + texts.size + sheet.merged * OF_A_MERGED_RANGE
    workbook.check_memory(sheet.extent.places, sheet.cells, size)


def measure_sheet(workbook: Archive, entry: ZipInfo, texts: SharedTexts) -> "SheetReader":
    """Read a part that has a sheet."""
    reader = SheetReader(workbook, texts)
    size = reader.read(entry)
    reader.written = max(0, size - reader.cells * AROUND_A_CELL - reader.rows * AROUND_A_ROW)
    return reader


class SheetReader(TagReader):
    """Finds where cells with a value stand, and how much text they take."""

    def __init__(self, workbook: Archive, texts: SharedTexts) -> None:
        super().__init__(workbook)
        self.parser.CharacterDataHandler = self._text
        self.cells = self.rows = self.merged = self.repeated = self.written = 0
        """Filled cells, rows, merged ranges, bytes of shared texts in cells, of texts that stand in their cells."""
        self._texts = texts
        self._data = 0
        """The depth of the element that has the rows, while it is open."""
        self._next_row = self._row = self._column = 0
        self._top = self._left = 1 << 31
        self._bottom = self._right = -1
        self._letters: dict[str, int] = {}
        self._is_shared = self._is_in_number = False
        self._number = ""
        self._longest = 0

    @property
    def extent(self) -> Extent:
        """The rectangle that the library makes of the sheet."""
        return Extent(self._top, self._left, self._bottom, self._right) if self.cells else NOTHING

    @override
    def start(self, name: str, attributes: dict[str, str]) -> None:
        self.depth = depth = self.depth + 1
        local = name[name.find(":") + 1 :]
        if not self._data:
            self._start_outside(local)
            return
        level = _LEVELS.get(local)
        if level is None:
            self.merged += local == "mergeCell"
            self.check_depth()
        elif level != depth - self._data:
            self._refuse()
        elif level == _CELL:
            self._is_shared = attributes.get("t") == "s"
            self._row = self._next_row
            if (reference := attributes.get("r")) is not None:
                self._go_to(reference)
            elif self._column >= MOST_COLUMNS:
                self._refuse_place(f"the {self._column + 1:,}th cell of a row")
        elif level == _ROW:
            self.rows += 1
            if (reference := attributes.get("r")) is not None:
                self._next_row = self._row_of(reference.lstrip(_ANY_LETTER), reference)
        elif local != "f":
            self._fill(local)

    def _start_outside(self, local: str) -> None:
        if local == "sheetData":
            self._data = self.depth
        elif local == "mergeCell":
            self.merged += 1
        self.check_depth()

    @override
    def end(self, name: str) -> None:
        level = self.depth - self._data
        self.depth -= 1
        if not self._data or level > _VALUE:
            return
        if level == _VALUE:
            if self._is_in_number:
                self._is_in_number = False
                self.repeated += self._longest
        elif level == _CELL:
            self._column += name[name.find(":") + 1 :] == "c"
        elif level == _ROW:
            if name[name.find(":") + 1 :] == "row":
                self._next_row += 1
                self._column = 0
        else:
            self._data = 0

    def _fill(self, local: str) -> None:
        """Count a value at the place of the open cell."""
        row, column = self._row, self._column
        if row >= MOST_ROWS:
            self._refuse_place(f"a row {row + 1:,}")
        self.cells += 1
        if row < self._top:
            self._top = row
        if row > self._bottom:
            self._bottom = row
        if column < self._left:
            self._left = column
        if column > self._right:
            self._right = column
        if self._is_shared and local == "v":
            self._is_in_number, self._number, self._longest = True, "", 0

    def _text(self, data: str) -> None:
        """The parser may hand out a number in pieces, and the library may see only the first: the longest counts."""
        if self._is_in_number and self.depth - self._data == _VALUE:
            self._number = (self._number + data)[: _LONGEST_NUMBER + 3]
            self._longest = max(self._longest, self._texts.length(self._number))

    def _go_to(self, reference: str) -> None:
        letters = reference.rstrip("0123456789")
        column = self._letters.get(letters)
        if column is None:
            column = self._letters[letters] = self._column_of(letters, reference)
        self._column = column
        self._row = self._row_of(reference[len(letters) :], reference)

    def _row_of(self, digits: str, reference: str) -> int:
        row = int(digits) if digits.isdecimal() and digits.isascii() and len(digits) <= _LONGEST_NUMBER else 0
        if not 0 < row <= MOST_ROWS:
            self._refuse_place(reference)
        return row - 1

    def _column_of(self, letters: str, reference: str) -> int:
        column = 0
        if len(letters) <= 3 and letters.isalpha() and letters.isascii():
            for letter in letters.upper():
                column = column * 26 + ord(letter) - ord("A") + 1
        if not 0 < column <= MOST_COLUMNS:
            self._refuse_place(reference)
        return column - 1

    def _refuse_place(self, place: str) -> None:
        raise UnusableFile(
            f"{self.workbook.name} has {place[:40]!r}, and no sheet has more than {MOST_ROWS:,} rows of "
            f"{MOST_COLUMNS:,} columns: delete it, or save the file as CSV."
        )


_ANY_LETTER = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
