"""Refuses workbooks that would not fit into memory: a small file can hold billions of cells, or a text a million times.

The library that reads them keeps a sheet as a block of cells, empty ones too, with a copy of its text in each. So the
parts of the archive are read through first, in pieces.
"""

import copy
import re
import zipfile
import zlib
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.errors import UnusableFile
from pipeline.files.source import damaged

MOST_UNPACKED = 1 << 30
MOST_CELLS = 25_000_000
MOST_TEXT = 1 << 30
"""Bytes of text in all cells of a sheet together."""
AROUND_A_CELL = 45
"""Bytes of XML around a text that stands in its cell."""
OF_A_PLACE, OF_A_CELL = 32, 64
"""Bytes of memory that each place of the block takes, and each cell that is written in the file, beside its text: of
700,000 cells it was 70 MB, text included."""
BLOCK = 1 << 20
_LONGEST_TAG = 300
MOST_OF_BINARY = 100 << 20
"""Bytes of a sheet of an XLSB file, which is read as a whole."""
_PART = re.compile(r"xl/|content\.xml")
"""What the archive of a workbook has: XLSX and XLSB, or ODS."""
_SHEET = re.compile(r"xl/worksheets/[^/]+\.xml")
_BINARY_SHEET = re.compile(r"xl/worksheets/[^/]+\.bin")
_READ = re.compile(r".*\.(?:xml|rels|bin)")
_CELL = re.compile(
    rb'<(?:\w{1,9}:)?c\b[^>]{0,99}?\br="([A-Z]{1,3})(\d{1,7})"([^>]{0,99})>(?:<(?:\w{1,9}:)?v>(\d{1,9})<)?'
)
_SHARED_TEXT = re.compile(rb"<(?:\w{1,9}:)?si\b")
_ODS_TAG = re.compile(rb"<table:(table-row|(?:covered-)?table-cell|table)(?=[\s/>])([^>]{0,250})>")
_REPEATED = re.compile(rb'number-(?:rows|columns)-repeated="(\d{1,9})"')


def check_size(path: Path, name: str, most_memory: int) -> None:
    """Refuse a workbook that is too large, or no archive that can be read. Raises `UnusableFile`."""
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            _check(_Archive(archive, name, most_memory))
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise damaged(name) from error


@dataclass(frozen=True, slots=True)
class _Archive:
    archive: zipfile.ZipFile
    name: str
    most_memory: int

    def parts(self) -> list[str]:
        """The parts that a workbook's reader may read."""
        return [entry.filename for entry in self.archive.infolist() if _READ.fullmatch(entry.filename)]

    def blocks(self, part: str) -> Iterator[bytes]:
        """Yield the content of a part. Raises `UnusableFile` if that is more than the archive says."""
        # The library trusts the compressed stream, `zipfile` the size that is written beside it.
        entry = copy.copy(self.archive.getinfo(part))
        declared, size = entry.file_size, 0
        entry.file_size, entry.CRC = declared + 1, None  # type: ignore[assignment]
        with self.archive.open(entry) as content:
            while block := content.read(BLOCK):
                size += len(block)
                yield block
        if size > declared:
            raise damaged(self.name)

    def pieces(self, part: str) -> Iterator[bytes]:
        """Yield the content of an XML part in pieces that begin with a tag, unless a text is longer than a piece."""
        rest = b""
        for block in self.blocks(part):
            piece = rest + block
            cut = piece.rfind(b"<", 0, max(0, len(piece) - _LONGEST_TAG))
            cut = cut if cut > 0 else len(piece)
            yield piece[:cut]
            rest = piece[cut:]
        yield rest


def _check(workbook: _Archive) -> None:
    entries = workbook.archive.infolist()
    if not any(_PART.match(entry.filename) for entry in entries):
        raise UnusableFile(f"{workbook.name} is not a workbook: unpack it, or save it as XLSX or CSV.")
    if sum(entry.file_size for entry in entries) > MOST_UNPACKED:
        raise _too_large(workbook)
    texts = _Texts.of(workbook)
    for part in workbook.parts():
        if _SHEET.fullmatch(part):
            _check_sheet(workbook, part, texts)
        elif _BINARY_SHEET.fullmatch(part):
            _check_binary(workbook, part)
        elif part == "content.xml":
            _check_open_document(workbook, part)
        elif part != _Texts.PART:
            for _ in workbook.blocks(part):
                pass


def _too_large(workbook: _Archive) -> UnusableFile:
    return UnusableFile(f"{workbook.name} unpacks to more than {MOST_UNPACKED >> 30} GB: save it as CSV.")


def _check_block(workbook: _Archive, rows: int, columns: int) -> None:
    if rows * columns > MOST_CELLS:
        raise UnusableFile(
            f"{workbook.name} has {rows:,} rows of {columns:,} columns: delete empty ones, or save it as CSV."
        )


def _check_text(workbook: _Archive, size: int) -> None:
    if size > MOST_TEXT:
        raise UnusableFile(f"{workbook.name} holds more than {MOST_TEXT >> 30} GB of text: save it as CSV.")


@dataclass(slots=True)
class _Texts:
    """The lengths of the texts that cells of an XLSX file share."""

    PART = "xl/sharedStrings.xml"
    lengths: "array[int]" = field(default_factory=lambda: array("I", [0]))
    """The first is that of what stands before the first text."""

    @classmethod
    def of(cls, workbook: _Archive) -> "_Texts":
        texts = cls()
        for piece in workbook.pieces(cls.PART) if cls.PART in workbook.parts() else ():
            more, *others = _SHARED_TEXT.split(piece)
            texts.lengths[-1] += len(more)
            texts.lengths.extend(map(len, others))
            if len(texts.lengths) > MOST_CELLS:
                raise _too_large(workbook)
        return texts

    def length(self, number: int) -> int:
        return self.lengths[number + 1] if number + 1 < len(self.lengths) else 0


def _check_memory(workbook: _Archive, places: int, cells: int, size: int) -> None:
    needed = places * OF_A_PLACE + cells * OF_A_CELL + size
    if needed > workbook.most_memory:
        raise UnusableFile(
            f"{workbook.name} has {cells:,} cells, which would take some {needed / 1e6:,.0f} MB of memory, and the "
            f"most is {workbook.most_memory / 1e6:,.0f} MB: save it as CSV, which may be of any size."
        )


def _check_sheet(workbook: _Archive, part: str, texts: _Texts) -> None:
    columns = rows = size = inline = cells = 0
    for piece in workbook.pieces(part):
        found = _CELL.findall(piece)
        cells += len(found)
        if b'"inlineStr"' in piece:
            inline += max(0, len(piece) - len(found) * AROUND_A_CELL)
        for letters, number, kind, value in found:
            columns, rows = max(columns, _column_number(letters)), max(rows, int(number))
            if value and b't="s"' in kind:
                size += texts.length(int(value))
    _check_block(workbook, rows, columns)
    _check_text(workbook, size)
    _check_memory(workbook, rows * columns, cells, size + inline + sum(texts.lengths))


def _column_number(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + letter - 64
    return number


def _check_open_document(workbook: _Archive, part: str) -> None:
    """A row or a cell of an ODS file may say that it is repeated a million times; empty ones at the end don't count."""
    row = times = column = rows = columns = copies = size = 0
    for piece in workbook.pieces(part):
        place = 0
        for found in _ODS_TAG.finditer(piece):
            size += copies * (found.start() - place)
            place = found.end()
            tag, attributes = found.groups()
            repeated = _REPEATED.search(attributes)
            count, copies = int(repeated[1]) if repeated else 1, 0
            if tag == b"table":
                row = times = column = 0
            elif tag == b"table-row":
                row, times, column = row + times, count, 0
            else:
                column += count
                if not attributes.endswith(b"/"):
                    rows, columns, copies = max(rows, row + times), max(columns, column), times * count
        size += copies * (len(piece) - place)
    _check_block(workbook, rows, columns)
    _check_text(workbook, size)


def _check_binary(workbook: _Archive, part: str) -> None:
    if workbook.archive.getinfo(part).file_size > MOST_OF_BINARY:
        raise UnusableFile(f"{workbook.name} has a sheet of more than {MOST_OF_BINARY >> 20} MB: save it as CSV.")
    _check_block(workbook, *_binary_corner(b"".join(workbook.blocks(part))))


def _binary_corner(data: bytes) -> tuple[int, int]:
    """The last row and column of an XLSB sheet: records of a type, a length and their data ([MS-XLSB] 2.1.4)."""
    row = column = 0
    place = 0
    while place < len(data):
        kind, place = _variable_number(data, place, 2)
        length, place = _variable_number(data, place, 4)
        if kind == 0 and length >= 4:
            row = max(row, int.from_bytes(data[place : place + 4], "little") + 1)
        elif 1 <= kind <= 11 and length >= 4:
            column = max(column, int.from_bytes(data[place : place + 4], "little") + 1)
        place += length
    return row, column


def _variable_number(data: bytes, place: int, most: int) -> tuple[int, int]:
    number = 0
    for shift in range(most):
        if place >= len(data):
            break
        byte = data[place]
        place += 1
        number |= (byte & 0x7F) << 7 * shift
        if byte < 0x80:
            break
    return number, place
