"""Writes files completely or not at all: the previous file survives every failure."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from cli.exit_codes import CommandFailed


class Unwritable(CommandFailed):
    """Raised when a file can't be written. Its text says why, and what to do."""


@contextmanager
def whole_file(place: Path, mode: int | None = None) -> Iterator[BinaryIO]:
    """Yield a temporary file beside `place`, which replaces it, flushed to disk, when the block succeeds.

    Its permissions are `mode`, else those of the previous file, else the usual ones. If the block raises, the temporary
    file is deleted. Raises `Unwritable`.
    """
    target = _target(place)
    unfinished = target.with_name(f".{uuid4().hex}.unfinished")
    try:
        with _new(unfinished, mode) as file:
            if mode is None and target.exists():
                os.fchmod(file.fileno(), stat.S_IMODE(target.stat().st_mode))
            yield file
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(target)
        _flush_folder(target.parent)
    except OSError as error:
        raise Unwritable(sentence_of(error, place)) from error
    finally:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)


def check_place(place: Path) -> None:
    """Check before long work that a file can be written there. Raises `Unwritable`."""
    target = _target(place)
    probe = target.with_name(f".{uuid4().hex}.unfinished")
    try:
        _new(probe, None).close()
        probe.unlink()
    except OSError as error:
        raise Unwritable(sentence_of(error, place)) from error


def sentence_of(error: OSError, place: Path) -> str:
    """Say why a file could not be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{place} can't be written: the disk is full. Free some space, or choose another place."
    return f"{place} can't be written: {error.strerror or type(error).__name__}."


def _target(place: Path) -> Path:
    """Follow symbolic links, so that a link stays a link."""
    try:
        target = Path(os.path.realpath(place))
        if target.is_dir():
            raise Unwritable(f"{place} is a folder: give the name of a file in it.")
        if target.exists() and not target.is_file():
            raise Unwritable(f"{place} is not an ordinary file: choose another place.")
        if not target.parent.is_dir():
            raise Unwritable(f"{place} can't be written: there is no folder {place.parent}. Create it first.")
    except OSError as error:
        raise Unwritable(sentence_of(error, place)) from error
    return target


def _new(path: Path, mode: int | None) -> BinaryIO:
    usual = 0o666 if mode is None else mode
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, usual), "wb")


def _flush_folder(folder: Path) -> None:
    """Make the new name survive a power cut, on file systems that can flush a folder."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
