"""Parses a part of a workbook, in bounded memory."""

from abc import ABC, abstractmethod
from xml.parsers import expat
from zipfile import ZipInfo

from pipeline.files.source import damaged
from pipeline.files.workbook_size.archive import Archive

MOST_DEPTH = 200
MOST_NAMES = 20_000
"""Different names of elements and attributes, all of which the parser keeps."""
LONGEST_TOKEN = 8 << 20
"""Bytes of one tag, with all its attributes."""


class TagReader(ABC):
    """Sees the tags of a part one after the other. `depth` is how many are open."""

    def __init__(self, workbook: Archive) -> None:
        self.workbook = workbook
        # The library reads bytes. A part that is in UTF-16 has other tags to it than to a parser that believes it.
        self.parser = expat.ParserCreate("UTF-8", intern={})
        self.parser.StartElementHandler = self.start
        self.parser.EndElementHandler = self.end
        self.parser.StartDoctypeDeclHandler = self._refuse
        self.depth = 0

    @abstractmethod
    def start(self, name: str, attributes: dict[str, str]) -> None:
        """A tag begins an element."""

    @abstractmethod
    def end(self, name: str) -> None:
        """A tag ends an element, or it was empty."""

    def read(self, entry: ZipInfo) -> int:
        """Read a part, and return its number of bytes. Raises `ExpatError` and `UnusableFile`."""
        size = 0
        for block in self.workbook.blocks(entry):
            self.parser.Parse(block)
            size += len(block)
            if size - self.parser.CurrentByteIndex > LONGEST_TOKEN or len(self.parser.intern) > MOST_NAMES:
                self._refuse()
        self.parser.Parse(b"", True)  # noqa: FBT003 - the last one; it has no name
        return size

    def check_depth(self) -> None:
        if self.depth > MOST_DEPTH:
            self._refuse()

    def _refuse(self, *_: object) -> None:
        raise damaged(self.workbook.name)
