"""A file that is there whole, or not at all: what was there before survives every failure."""

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
    """Raised when a file can't be written; its text is a sentence that says why, and what to do."""


@contextmanager
def whole_file(place: Path, mode: int | None = None) -> Iterator[BinaryIO]:
    """A file to write to, beside its place. It is put there, on disk, once the block has ended well.

    Its permissions are `mode`, else those of the file that was there, else the usual ones. When the block raises,
    nothing is left of it. Raises `Unwritable`.
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
    """Find out before long work whether a file can be put there. Raises `Unwritable`."""
    target = _target(place)
    probe = target.with_name(f".{uuid4().hex}.unfinished")
    try:
        _new(probe, None).close()
        probe.unlink()
    except OSError as error:
        raise Unwritable(sentence_of(error, place)) from error


def sentence_of(error: OSError, place: Path) -> str:
    """Why a file could not be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{place} can't be written: the disk is full. Free some space, or choose another place."
    return f"{place} can't be written: {error.strerror or type(error).__name__}."


def _target(place: Path) -> Path:
    """Where the file itself is: a link stays a link."""
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
    """So that the new name outlives a power cut; file systems that can't do it for a folder go without."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
