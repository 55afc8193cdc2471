"""Opens files: finds out what kind they are, and unpacks gzip and zstd while they are read."""

import gzip
import io
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from shutil import copyfileobj
from typing import BinaryIO, cast

from pipeline.errors import UnusableFile
from pipeline.files import foreign

BLOCK = 1 << 20
MOST_UNPACKED = 8 << 30
"""Bytes that a compressed file may hold: more than a million rows need, and less than fills a disk for nothing."""
MOST_TIMES, HARMLESS = 200, 64 << 20
"""How many times its size a file may unpack to beyond so many bytes. Lists of people shrink to a tenth."""
MOST_MEMORY = 500_000_000
"""Bytes that a workbook may take while it is read, unless a setting says more: some 450,000 rows of ten columns."""
GZIP, ZSTD, ZIP, OLE, PARQUET = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PK\x03\x04", b"\xd0\xcf\x11\xe0", b"PAR1"


class Kind(Enum):
    """What a file is by its first bytes, whatever its name says."""

    TEXT = "text"
    WORKBOOK = "Excel"
    PARQUET = "Parquet"


@dataclass(frozen=True, slots=True)
class Source:
    """A file that can be opened again and again. `name` is how messages call it.

    `most_memory` is how many bytes of memory a format may take that does not stream.
    """

    path: Path
    name: str
    spool: "tempfile._TemporaryFileWrapper[bytes] | None" = None
    """The temporary file at `path` that keeps what came out of a pipe, as long as this object lives."""
    most_memory: int = MOST_MEMORY

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """Open the content, unpacked. Raises `UnusableFile` here and for what the block can't read."""
        try:
            with self.path.open("rb") as packed:
                yield _unpacked(packed, self.name)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise damaged(self.name) from error
        except OSError as error:
            if error.errno is None:
                # What is compressed with zstd, and not to the end.
                raise damaged(self.name) from error
            raise UnusableFile(f"{self.name} can't be read: {error.strerror}.") from error

    def plain_path(self) -> Path:
        """Where the file is, for a library that must jump about in it. Raises `UnusableFile` if it is compressed."""
        with self.path.open("rb") as file:
            if file.read(4).startswith((GZIP, ZSTD)):
                raise UnusableFile(f"{self.name} is compressed, though its format is compressed by itself: unpack it.")
        return self.path

    def kind(self) -> Kind:
        """Find out what kind of file it is. Raises `UnusableFile`."""
        with self.open() as file:
            start = file.read(foreign.LONGEST)
        foreign.refuse_bytes(start, self.name)
        return {ZIP: Kind.WORKBOOK, OLE: Kind.WORKBOOK, PARQUET: Kind.PARQUET}.get(start[:4], Kind.TEXT)


def damaged(name: str) -> UnusableFile:
    """The refusal of a file whose end is missing, or whose content is not what was packed."""
    return UnusableFile(f"{name} is damaged or cut off: copy or download it again.")


def open_source(path: Path, name: str | None = None, most_memory: int = MOST_MEMORY) -> Source:
    """Open a file, or keep what comes from a pipe in a temporary one. Raises `UnusableFile`.

    `name` is how messages call it, unless that is the name of the path.
    """
    if not _is_pipe(path):
        return Source(path, name or path.name, most_memory=most_memory)
    try:
        spool = tempfile.NamedTemporaryFile()  # noqa: SIM115 - it lives as long as the source
        with path.open("rb") as pipe:
            copyfileobj(pipe, spool, BLOCK)
        spool.flush()
    except OSError as error:
        raise UnusableFile(f"{path} can't be read: {error.strerror}.") from error
    return Source(Path(spool.name), name or path.name, spool, most_memory)


def _is_pipe(path: Path) -> bool:
    return path.exists() and not path.is_file() and not path.is_dir()


def _unpacked(packed: BinaryIO, name: str) -> BinaryIO:
    start = packed.read(4)
    packed.seek(0)
    if start.startswith(GZIP):
        return _limited(gzip.GzipFile(fileobj=packed), packed, name)
    if start == ZSTD:
        # It takes a tenth of a second to load, and few files need it.
        import pyarrow

        return _limited(pyarrow.CompressedInputStream(packed, "zstd"), packed, name)
    return packed


def _limited(content: io.BufferedIOBase | io.RawIOBase, packed: BinaryIO, name: str) -> BinaryIO:
    return cast("BinaryIO", io.BufferedReader(_Limited(content, packed, name), BLOCK))


class _Limited(io.RawIOBase):
    """Refuses a file that unpacks to more than `MOST_UNPACKED` bytes, or `MOST_TIMES` its size: it may be a trap."""

    def __init__(self, content: io.BufferedIOBase | io.RawIOBase, packed: BinaryIO, name: str) -> None:
        self._content, self._packed, self._name, self._unpacked = content, packed, name, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview | bytearray") -> int:  # type: ignore[override]
        some = self._content.read(len(buffer)) or b""
        self._unpacked += len(some)
        if self._unpacked > MOST_UNPACKED:
            raise UnusableFile(f"{self._name} unpacks to more than {MOST_UNPACKED >> 30} GB: unpack and split it.")
        if self._unpacked > HARMLESS and self._unpacked > MOST_TIMES * self._packed.tell():
            raise UnusableFile(
                f"{self._name} unpacks to more than {MOST_TIMES} times its size: unpack it, and look at what it holds."
            )
        buffer[: len(some)] = some
        return len(some)
