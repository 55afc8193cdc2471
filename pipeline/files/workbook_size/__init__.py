"""Refuses workbooks that would not fit into memory: a small file can hold billions of cells, or a text a million times.

The library that reads them keeps a sheet as a block of cells, empty ones too, with a copy of its text in each. So the
parts of the archive are read through first, in pieces. An attacker chooses how they are named and written; so each
part is read that has what a sheet needs, whatever its name, and by a parser rather than by patterns. What the library
might understand in another way than the parser is refused.
"""

import re
import zipfile
import zlib
from pathlib import Path
from xml.parsers.expat import ExpatError

from pipeline.errors import UnusableFile
from pipeline.files.source import OLE, damaged
from pipeline.files.workbook_size.archive import Archive
from pipeline.files.workbook_size.binary import check_binary_sheet, lengths_of_binary_texts
from pipeline.files.workbook_size.open_document import check_open_document
from pipeline.files.workbook_size.shared_texts import SharedTexts, lengths_of_texts
from pipeline.files.workbook_size.sheets import check_sheet
from pipeline.files.workbook_size.trial import check_by_opening

MOST_UNPACKED = 1 << 30
COMPRESSED_BY = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
"""What programs for tables use. Other ways let the file choose how much memory unpacking takes."""
UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, ExpatError, RuntimeError, OSError, ValueError)
"""What is raised for a damaged archive: RuntimeError for an encrypted part, OSError for a place before the beginning,
ValueError for a name that is no text."""
_PART = re.compile(r"xl/|content\.xml")
"""What the archive of a workbook has: XLSX and XLSB, or ODS."""
_BINARY_SHEET = re.compile(r"xl/worksheets/.*(?<!\.xml)(?<!\.rels)", re.DOTALL)
_BINARY_SHEETS = re.compile(rb"worksheets/[^\"'<>]*\.(?:xml|rels)[\"']", re.IGNORECASE)
"""Names of binary sheets that say that they are something else."""
_SHEET = re.compile(rb"sheetData|mergeCell")
_TEXTS = re.compile(rb"[<:]sst[\s/>]")
_OPEN_DOCUMENT = re.compile(rb"table:table-row")
_MARKS = (_SHEET, _TEXTS, _OPEN_DOCUMENT)
"""Bytes without which no part is a sheet, shared texts, or ODS: the library compares bytes, in any encoding."""


def check_size(path: Path, name: str, most_memory: int) -> None:
    """Refuse a workbook that is too large, or no archive that can be read. Raises `UnusableFile`."""
    if not zipfile.is_zipfile(path):
        _refuse_half_an_archive(path, name)
    else:
        _check_archive(path, name, most_memory)
    check_by_opening(path, name, most_memory)


def _check_archive(path: Path, name: str, most_memory: int) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            _check(Archive(archive, name, most_memory))
    except UNREADABLE as error:
        raise damaged(name) from error


def _refuse_half_an_archive(path: Path, name: str) -> None:
    """What `zipfile` takes for no archive is XLS, and not an archive all the same to the library."""
    with path.open("rb") as file:
        if not file.read(len(OLE)).startswith(OLE):
            raise UnusableFile(
                f"{name} is not a workbook, or is damaged or cut off: copy or download it again, or save it as XLSX "
                "or CSV."
            )


def _check(workbook: Archive) -> None:
    entries = workbook.archive.infolist()
    if not any(_PART.match(entry.filename) for entry in entries):
        raise UnusableFile(f"{workbook.name} is not a workbook: unpack it, or save it as XLSX or CSV.")
    if any(entry.compress_type not in COMPRESSED_BY for entry in entries):
        raise damaged(workbook.name)
    if sum(entry.file_size for entry in entries) > MOST_UNPACKED:
        raise UnusableFile(f"{workbook.name} unpacks to more than {MOST_UNPACKED >> 30} GB: save it as CSV.")
    # The names of two entries may be the same, so that these are looked up by no name.
    marks = [(entry, workbook.marks(entry, _MARKS)) for entry in entries]
    texts = _shared_texts(workbook, [entry for entry, found in marks if _TEXTS in found])
    for entry, found in marks:
        if _OPEN_DOCUMENT in found:
            check_open_document(workbook, entry)
        if _SHEET in found:
            check_sheet(workbook, entry, texts)
    _check_binary(workbook)


def _shared_texts(workbook: Archive, entries: list[zipfile.ZipInfo]) -> SharedTexts:
    """The shared texts of an XLSX file. A workbook has one part of them at most."""
    found = [lengths for entry in entries if (lengths := lengths_of_texts(workbook, entry))]
    if len(found) > 1:
        raise damaged(workbook.name)
    return found[0] if found else SharedTexts()


def _check_binary(workbook: Archive) -> None:
    """Check the sheets of an XLSB file."""
    entries = workbook.archive.infolist()
    named = {_plain_name(entry): entry for entry in entries}
    sheets = [entry for entry in entries if _BINARY_SHEET.fullmatch(_plain_name(entry))]
    if sheets and len(named) < len(entries):
        # Which of two parts with one name the library reads is not for us to guess.
        raise damaged(workbook.name)
    if relationships := named.get("xl/_rels/workbook.bin.rels"):
        content = b"".join(workbook.blocks(relationships))
        if _BINARY_SHEETS.search(content):
            raise damaged(workbook.name)
    if sheets:
        shared = named.get("xl/sharedstrings.bin")
        texts = lengths_of_binary_texts(workbook, shared) if shared else SharedTexts()
        for entry in sheets:
            check_binary_sheet(workbook, entry, texts)


def _plain_name(entry: zipfile.ZipInfo) -> str:
    return entry.filename.replace("\\", "/").lower()
