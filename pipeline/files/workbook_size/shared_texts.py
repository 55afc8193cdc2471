"""The texts that cells of an XLSX or XLSB file share."""

from array import array
from zipfile import ZipInfo

from typing_extensions import override

from pipeline.errors import UnusableFile
from pipeline.files.workbook_size.archive import MOST_CELLS, Archive
from pipeline.files.workbook_size.xml import TagReader


class SharedTexts:
    """The lengths of the texts, in bytes."""

    def __init__(self) -> None:
        self.lengths = array("I")
        self.size = self.longest = 0

    def add(self, length: int) -> None:
        self.lengths.append(length)
        self.size += length
        self.longest = max(self.longest, length)

    def length(self, number: str) -> int:
        """The length of a text by its number in a cell, or of the longest by what is no plain number."""
        is_plain = number.isdecimal() and number.isascii() and len(number) < 10
        return self.at(int(number)) if is_plain else self.longest

    def at(self, index: int) -> int:
        return self.lengths[index] if index < len(self.lengths) else 0


def lengths_of_texts(workbook: Archive, entry: ZipInfo) -> SharedTexts | None:
    """Measure the shared texts of an XLSX file, if the part has some. Raises `UnusableFile`."""
    reader = _TextReader(workbook)
    reader.read(entry)
    return reader.texts if reader.is_found else None


class _TextReader(TagReader):
    def __init__(self, workbook: Archive) -> None:
        super().__init__(workbook)
        self.texts = SharedTexts()
        self.is_found = False
        self._begin = self._level = 0

    @override
    def start(self, name: str, attributes: dict[str, str]) -> None:
        self.depth += 1
        local = name[name.find(":") + 1 :]
        if local == "sst":
            self.is_found = True
            self._check_count(attributes.get("uniqueCount", ""))
        elif local == "si":
            # The library would count others than we do.
            if self._level or not self.is_found:
                self._refuse()
            self._begin, self._level = self.parser.CurrentByteIndex, self.depth
        else:
            self.check_depth()

    @override
    def end(self, name: str) -> None:
        if self.depth == self._level:
            self._level = 0
            self.texts.add(self.parser.CurrentByteIndex - self._begin)
            if len(self.texts.lengths) > MOST_CELLS:
                raise too_many_texts(self.workbook)
        self.depth -= 1

    def _check_count(self, count: str) -> None:
        """The library takes room for as many as are announced."""
        digits = count.strip("+ \t\r\n").lstrip("0")
        if len(digits) > len(str(MOST_CELLS)) or (digits.isdecimal() and int(digits) > MOST_CELLS):
            raise too_many_texts(self.workbook)


def too_many_texts(workbook: Archive) -> UnusableFile:
    """The refusal of a workbook that has, or announces, too many texts."""
    return UnusableFile(f"{workbook.name} has more than {MOST_CELLS:,} texts: save it as CSV.")
