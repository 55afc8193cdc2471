"""Measures the sheets of an XLSB file: records of a type, a length and their data ([MS-XLSB] 2.1.4)."""

from collections.abc import Iterator
from zipfile import ZipInfo

from pipeline.errors import UnusableFile
from pipeline.files.source import damaged
from pipeline.files.workbook_size.archive import MOST_CELLS, NOTHING, Archive, Extent
from pipeline.files.workbook_size.shared_texts import SharedTexts, too_many_texts

MOST_OF_BINARY = 100 << 20
"""Bytes of a part of an XLSB file, which is read as a whole."""
_ROW, _SHARED_TEXT, _LAST_OF_CELLS = 0, 7, 11
_TEXT = 0x13
_LEAST_OF_CELL = 8
_OF_A_CHARACTER = 3
"""Bytes that a character of two bytes may take in UTF-8."""


def check_binary_sheet(workbook: Archive, entry: ZipInfo, texts: SharedTexts) -> None:
    """Refuse a sheet that is too large. Raises `UnusableFile`."""
    extent, cells, repeated = _measured(workbook, _content(workbook, entry), texts)
    workbook.check_extent(extent)
    workbook.check_text(repeated)
    written = max(0, entry.file_size - cells * 2 * _LEAST_OF_CELL) * _OF_A_CHARACTER // 2
    workbook.check_memory(extent.places, cells, repeated + written + texts.size)


def lengths_of_binary_texts(workbook: Archive, entry: ZipInfo) -> SharedTexts:
    """Measure the shared texts of an XLSB file. Raises `UnusableFile`."""
    texts = SharedTexts()
    content = _content(workbook, entry)
    for kind, place, length in _records(content):
        if kind == _TEXT:
            characters = int.from_bytes(content[place + 1 : place + 5], "little")
            # The library would go on reading in what an earlier record left in its buffer.
            if length < 5 + 2 * characters:
                raise damaged(workbook.name)
            if len(texts.lengths) >= MOST_CELLS:
                raise too_many_texts(workbook)
            texts.add(characters * _OF_A_CHARACTER)
    return texts


def _content(workbook: Archive, entry: ZipInfo) -> bytes:
    if entry.file_size > MOST_OF_BINARY:
        raise UnusableFile(f"{workbook.name} has a sheet of more than {MOST_OF_BINARY >> 20} MB: save it as CSV.")
    return b"".join(workbook.blocks(entry))


def _measured(workbook: Archive, data: bytes, texts: SharedTexts) -> tuple[Extent, int, int]:
    """The extent of a sheet, its number of cells, and the bytes of the shared texts in them."""
    top = left = 1 << 32
    bottom = right = -1
    row = cells = repeated = 0
    for kind, place, length in _records(data):
        if kind > _LAST_OF_CELLS:
            continue
        # In a shorter one the library sees what an earlier record left in its buffer.
        if length < _LEAST_OF_CELL + 4 * (kind == _SHARED_TEXT):
            raise damaged(workbook.name)
        number = int.from_bytes(data[place : place + 4], "little")
        if kind == _ROW:
            row = number
            continue
        cells += 1
        top, bottom, left, right = min(top, row), max(bottom, row), min(left, number), max(right, number)
        if kind == _SHARED_TEXT:
            repeated += texts.at(int.from_bytes(data[place + 8 : place + 12], "little"))
    return (Extent(top, left, bottom, right) if cells else NOTHING), cells, repeated


def _records(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield the type of each record, and the place and length of its data."""
    place = 0
    while place < len(data):
        kind, place = _variable_number(data, place, 2)
        length, place = _variable_number(data, place, 4)
        yield kind, place, length
        place += length


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
