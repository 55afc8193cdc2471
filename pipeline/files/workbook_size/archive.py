"""The archive of a workbook, and the limits of what may be in it."""

import copy
import re
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pipeline.errors import UnusableFile
from pipeline.files.source import damaged

BLOCK = 1 << 20
LONGEST_MARK = 20
MOST_ROWS, MOST_COLUMNS = 1_048_576, 16_384
MOST_CELLS = 25_000_000
MOST_TEXT = 1 << 30
"""Bytes of text in all cells of a sheet together."""
OF_A_PLACE, OF_A_CELL = 32, 64
"""Bytes of memory that each place of the block takes, and each cell that is written in the file, beside its text: of
700,000 cells it was 70 MB, text included."""


@dataclass(frozen=True, slots=True)
class Extent:
    """The smallest rectangle that has all cells that are not empty, counted from 0."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def rows(self) -> int:
        """Rows from the first of the sheet on: those above the rectangle are gone through as well."""
        return self.bottom + 1

    @property
    def columns(self) -> int:
        return self.right - self.left + 1

    @property
    def places(self) -> int:
        """How many cells the library makes of it."""
        return (self.bottom - self.top + 1) * self.columns


NOTHING = Extent(0, 0, -1, -1)


@dataclass(frozen=True, slots=True)
class Archive:
    """An archive that is being checked. `name` is how messages call it."""

    archive: zipfile.ZipFile
    name: str
    most_memory: int

    def blocks(self, entry: zipfile.ZipInfo) -> Iterator[bytes]:
        """Yield the content of a part. Raises `UnusableFile` if that is more than the archive says."""
        # The library trusts the compressed stream, `zipfile` the size that is written beside it.
        entry = copy.copy(entry)
        declared, size = entry.file_size, 0
        entry.file_size, entry.CRC = declared + 1, None  # type: ignore[assignment]
        with self.archive.open(entry) as content:
            while block := content.read(BLOCK):
                size += len(block)
                yield block
        if size > declared:
            raise damaged(self.name)

    def marks(self, entry: zipfile.ZipInfo, patterns: Iterable[re.Pattern[bytes]]) -> set[re.Pattern[bytes]]:
        """Which of the patterns the content of a part has."""
        found: set[re.Pattern[bytes]] = set()
        rest = b""
        for block in self.blocks(entry):
            piece = rest + block
            found |= {pattern for pattern in patterns if pattern not in found and pattern.search(piece)}
            rest = piece[-LONGEST_MARK:]
        return found

    def check_extent(self, extent: Extent) -> None:
        """Refuse a sheet that has too many cells, empty ones too."""
        self.check_block(extent.rows, extent.columns)

    def check_block(self, rows: int, columns: int) -> None:
        """Refuse a sheet of too many rows or columns."""
        if rows * columns > MOST_CELLS or rows > MOST_ROWS or columns > MOST_COLUMNS:
            raise UnusableFile(
                f"{self.name} has {rows:,} rows of {columns:,} columns: delete empty ones, or save it as CSV."
            )

    def check_text(self, size: int) -> None:
        """Refuse a sheet of more text than may be in one."""
        if size > MOST_TEXT:
            raise UnusableFile(f"{self.name} holds more than {MOST_TEXT >> 30} GB of text: save it as CSV.")

    def check_memory(self, places: int, cells: int, size: int) -> None:
        """Refuse what would take more memory than a workbook may: places, cells that are filled, bytes of text."""
        needed = places * OF_A_PLACE + cells * OF_A_CELL + size
        if needed > self.most_memory:
            raise UnusableFile(
                f"{self.name} has {cells:,} cells, which would take some {needed / 1e6:,.0f} MB of memory, and the "
                f"most is {self.most_memory / 1e6:,.0f} MB: save it as CSV, which may be of any size."
            )
