"""Reads a complete upload: checks its checksum, recognises its columns, and writes its rows, all or none of them."""

import gc
import gzip
import hashlib
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, cast
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from models.database import allow_time_for, copy_blocks, idle_transaction_allowed, stream_rows
from models.upload import Upload
from pipeline.errors import UnusableFile, UploadConflict
from pipeline.files.columns import recognise
from pipeline.files.contacts import ContactReader, contacts_in, open_chosen
from pipeline.files.source import BLOCK, GZIP, MOST_MEMORY, ZSTD
from pipeline.files.table import Table
from pipeline.uploads.receiving import find_upload, is_used, lock_upload
from pipeline.uploads.rows import COLUMNS, Found, RowMaker, is_storable, storable

NAMES_OF_COUNTS = ("rows", "contacts", "repeated", "empty", "notes", "rejected")
BYTES_PER_ROW = 100
"""At least so many bytes are read in the time that is allowed for a contact."""
COLUMNS_WITH_VALUES, VALUES, VALUE_CHARS = 60, 3, 80
"""What is kept of a refused file, beside its headings."""

PIECES = text("SELECT content FROM upload_pieces WHERE upload_id = :upload_id ORDER BY start")
DELETE_ROWS = text("DELETE FROM upload_rows WHERE upload_id = :upload_id")
COPY = f"COPY upload_rows ({', '.join(COLUMNS)}) FROM STDIN"


@dataclass(frozen=True, slots=True)
class Reading:
    """How a file is to be read."""

    preset: str = "full_pipeline"
    mapping: Mapping[str, str] = field(default_factory=dict)
    encoding: str | None = None


@dataclass(frozen=True, slots=True)
class ReadingLimits:
    """The most rows of a file, and the most bytes once it is unpacked; whether a contact may have a company alone.

    A workbook may take `most_memory` bytes of memory.
    """

    most_rows: int
    most_bytes: int
    knows_companies: bool
    most_memory: int = MOST_MEMORY


def read_upload(
    session: Session,
    account_id: UUID,
    upload_id: UUID,
    limits: ReadingLimits,
    anew: Reading | None = None,
    note_rows: Callable[[int], None] = lambda _: None,
) -> Upload:
    """Read an upload, if it was not read before; `anew` has it read in another way. Returns its fresh row.

    `note_rows` is called often with the number of rows so far.

    Call it in a transaction that does nothing else. A file that can't be used is no error: `refusal` says why. Raises
    `UnknownUpload`, `UploadConflict`, and `OSError` if there is no room for a copy on this machine's disk.
    """
    find_upload(session, account_id, upload_id)
    upload = lock_upload(session, account_id, upload_id, skip_locked=True)
    if not upload.is_complete:
        raise UploadConflict(f"Only {upload.received} bytes of this upload have arrived: send the others first.")
    if anew is None and upload.reading:
        return upload
    if anew is not None:
        _check_readable_anew(session, upload)
        upload.preset, upload.mapping, upload.encoding = anew.preset, dict(anew.mapping), anew.encoding
    allow_time_for(session, max(limits.most_rows, upload.received // BYTES_PER_ROW))
    session.execute(DELETE_ROWS, {"upload_id": upload_id})
    upload.reading += 1
    upload.refusal = None
    session.flush()
    with idle_transaction_allowed(session):
        _read(session, upload, limits, note_rows)
    session.flush()
    return upload


def is_being_read(session: Session, upload_id: UUID) -> bool:
    """Whether another transaction reads the upload, or is just adding to it."""
    free = select(Upload.id).where(Upload.id == upload_id).with_for_update(read=True, skip_locked=True)
    return session.scalar(free) is None


def _check_readable_anew(session: Session, upload: Upload) -> None:
    if is_used(session, upload.id):
        raise UploadConflict(
            "A run was started from this upload, so that it can't be read in another way: send it again."
        )
    if not upload.has_bytes:
        raise UploadConflict(
            "The bytes of this upload are deleted: send the file again to have it read in another way."
        )


def _read(session: Session, upload: Upload, limits: ReadingLimits, note_rows: Callable[[int], None]) -> None:
    known: dict[str, Any] = {"columns": []}
    try:
        with _spooled(session, upload, limits.most_bytes) as path:
            table = open_chosen(
                path, upload.mapping, upload.encoding, called=upload.name, most_memory=limits.most_memory
            )
            _check_header(table)
            known = _known_of(table, upload.mapping)
            reader = contacts_in(table, upload.preset, upload.mapping)
            maker = RowMaker(upload.id, reader, limits.most_rows, limits.knows_companies, note_rows)
            # A file may turn out to be unusable when half of its rows are written.
            with session.begin_nested(), _without_collecting():
                copy_blocks(session, COPY, maker.blocks())
                if not maker.found.contacts:
                    raise UnusableFile(_why_no_contacts(reader, maker.found))
    except UnusableFile as refused:
        # Its columns and some of their values are kept: whoever sees them can say which is which.
        upload.refusal, upload.recognised, upload.counts = str(refused), known, {}
        upload.contact_count, upload.extra_columns = 0, []
        return
    _note(upload, reader, maker.found)


@contextmanager
def _without_collecting() -> Iterator[None]:
    """Rows hold no cycles, and there are millions: looking for some takes a tenth of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _check_header(table: Table) -> None:
    """Raise `UnusableFile` for a heading that can't be stored; NDJSON can have such."""
    for number, heading in enumerate(table.header, start=1):
        if "\0" in heading or not is_storable(heading):
            raise UnusableFile(f"The heading of column {number} has a character that is no text: rename the column.")


def _known_of(table: Table, chosen: Mapping[str, str]) -> dict[str, Any]:
    """The columns of a table, each with the field that it was recognised as, and the first values of the first ones."""
    sample = table.sample()
    try:
        found = recognise(table.header, sample, chosen)
    except UnusableFile:
        found = recognise(table.header, sample)
    fields = {index: name for name, index in found.fields.items()}
    return {
        "columns": [[heading, fields.get(index)] for index, heading in enumerate(table.header)],
        "values": [_first_values(sample, index) for index in range(min(len(table.header), COLUMNS_WITH_VALUES))],
    }


def _first_values(sample: Sequence[Sequence[str]], index: int) -> Sequence[str]:
    values = (storable(row[index].strip()[:VALUE_CHARS]) for row in sample if index < len(row))
    return [*islice(filter(None, values), VALUES)]


def _note(upload: Upload, reader: ContactReader, found: Found) -> None:
    """Keep what clients see of the reading."""
    fields = {index: name for name, index in reader.columns.fields.items()}
    upload.recognised = {
        "description": reader.table.description,
        "notices": [*reader.table.notices, *reader.columns.notices],
        "columns": [[heading, fields.get(index)] for index, heading in enumerate(reader.table.header)],
        "rejected": [[row, why.field, why.reason] for row, why in found.first_rejected],
    }
    upload.counts = {name: getattr(found, name) for name in NAMES_OF_COUNTS}
    upload.contact_count = found.contacts
    upload.extra_columns = [name for name in reader.sent_columns.values() if name in found.columns]


def _why_no_contacts(reader: ContactReader, found: Found) -> str:
    if not found.rejected:
        return f"{reader.table.name} has a header but no contacts: add a row for each."
    row, why = found.first_rejected[0]
    where = "" if why.field == "row" else f", field {why.field}"
    return f"{reader.table.name} has no row that can be used. The first is row {row}{where}: {why.reason}."


@contextmanager
def _spooled(session: Session, upload: Upload, most_bytes: int) -> Iterator[Path]:
    """A copy of the file in this machine's temporary directory, unpacked. It has no name there where that is possible.

    A killed process then leaves nothing behind.
    """
    with tempfile.TemporaryFile() as packed:
        upload.sha256 = _copy_pieces(session, upload.id, packed)
        if upload.expected_sha256 not in (None, upload.sha256):
            raise UnusableFile(f"{upload.name} arrived with another SHA-256 than was announced: send it again.")
        with _unpacked(packed, upload.name, most_bytes) as content:
            content.flush()
            yield _path_of(content)


def _copy_pieces(session: Session, upload_id: UUID, file: BinaryIO) -> str:
    digest = hashlib.sha256()
    with closing(stream_rows(session, PIECES, {"upload_id": upload_id}, 1, binary=True)) as batches:
        for [(content,)] in batches:
            digest.update(content)
            file.write(content)
    file.seek(0)
    return digest.hexdigest()


@contextmanager
def _unpacked(packed: BinaryIO, name: str, most_bytes: int) -> Iterator[BinaryIO]:
    """The content of a file that is packed with gzip or zstd, in a file without a name; other files as they are."""
    start = packed.read(4)
    packed.seek(0)
    if not start.startswith((GZIP, ZSTD)):
        yield packed
        return
    with tempfile.TemporaryFile() as content:
        try:
            _copy_limited(_opened(packed, start), content, name, most_bytes)
        except (EOFError, zlib.error, gzip.BadGzipFile, OSError) as error:
            if isinstance(error, OSError) and error.errno:
                raise
            raise UnusableFile(f"{name} is damaged or cut off: copy or download it again.") from error
        yield content


def _opened(packed: BinaryIO, start: bytes) -> BinaryIO:
    if start == ZSTD:
        # It takes a tenth of a second to load, and few files need it.
        import pyarrow

        stream: BinaryIO = pyarrow.CompressedInputStream(packed, "zstd")
        return stream
    return cast("BinaryIO", gzip.GzipFile(fileobj=packed))


def _copy_limited(packed: BinaryIO, content: BinaryIO, name: str, most_bytes: int) -> None:
    """Stop at the limit: a small file can unpack to more than any disk holds."""
    while block := packed.read(BLOCK):
        if content.tell() + len(block) > most_bytes:
            raise UnusableFile(f"{name} unpacks to more than {most_bytes:,} bytes: split it.")
        content.write(block)
    content.seek(0)


def _path_of(file: BinaryIO) -> Path:
    """Where an open file without a name can be opened again. Elsewhere than on Linux it has a name."""
    name = file.name if isinstance(file.name, str) else f"/proc/self/fd/{file.fileno()}"
    return Path(name)
