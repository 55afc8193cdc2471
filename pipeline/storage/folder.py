"""A folder that API, workers and sweeper share. Nobody but the user they run as can read what is in it."""

import os
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO
from uuid import UUID, uuid4

PRIVATE_DIRECTORY, PRIVATE_FILE = 0o700, 0o600
SYNC_EVERY = 4_000_000
"""Bytes after which a file is flushed to disk: at its end alone, a slow disk would take longer than a lease."""


class Folder:
    """A file is written beside its place under a name of its own, flushed to disk, and renamed when handed out."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def __str__(self) -> str:
        return str(self.directory)

    def new_keys(self, run_id: UUID, name: str) -> tuple[str, str]:
        """Where a file is while it is written, and where it is when it is handed out."""
        return f"{run_id}/.{name}.{uuid4().hex}", f"{run_id}/{name}"

    def create(self, key: str, _mime_type: str) -> "FolderFile":
        """Begin a file. Raises `OSError`."""
        place = self.directory / key
        # Each by itself: with `parents`, only the last would get this mode.
        if not self.directory.exists():
            self.directory.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)
        place.parent.mkdir(mode=PRIVATE_DIRECTORY, exist_ok=True)
        return FolderFile(place)

    def put_in_place(self, run_id: UUID, keys: Mapping[str, str], handed_out: Iterable[str]) -> None:
        """Rename files, and delete all others of the run but those `handed_out`. A second time does nothing.

        Raises `OSError` when a file is gone.
        """
        for unfinished, key in keys.items():
            try:
                (self.directory / unfinished).replace(self.directory / key)
            except FileNotFoundError:
                # An earlier try of the same transaction did it.
                if not (self.directory / key).exists():
                    raise
        self.remove_all_but([*handed_out, *keys.values()], run_id)

    def remove_all_but(self, handed_out: Iterable[str], run_id: UUID) -> None:
        """Delete a run's files, also those never finished, but not those `handed_out`.

        Raises `OSError` when the disk does not let them go. A second time, or while somebody else does the same, does
        nothing.
        """
        names, place = {Path(key).name for key in handed_out}, self.directory / str(run_id)
        _remove_all_but(names, place)
        if not names:
            with suppress(FileNotFoundError):
                place.rmdir()

    def discard(self, keys: Iterable[str]) -> None:
        """Delete unfinished files."""
        for key in keys:
            with suppress(OSError):
                (self.directory / key).unlink()

    def has_files(self, run_id: UUID) -> bool:
        """Whether anything of a run is there."""
        return (self.directory / str(run_id)).exists()

    def path(self, key: str) -> Path:
        """Where a file is."""
        return self.directory / key

    def find_trouble(self) -> str | None:
        """What keeps files from being read here, as a sentence; none if nothing does."""
        if not self.directory.exists() or os.access(self.directory, os.R_OK | os.X_OK):
            return None
        return f"{self.directory} can't be read by this user: API, workers and sweeper must run as one."

    def find_write_trouble(self) -> str | None:
        """What keeps files from being written here."""
        probe = self.directory / ".doctor"
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            return (
                f"no file can be written in {self.directory} ({error.strerror}): set EXPORT_DIR to a directory that"
                " the user of API, workers and sweeper owns."
            )
        return None


class FolderFile:
    """A file while it is written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._unsynced = 0
        self._file: BinaryIO = open(path, "xb", opener=_private)  # noqa: SIM115 - it stays open between batches

    def write(self, data: bytes) -> None:
        """Append to the file. Raises `OSError`."""
        self._unsynced += self._file.write(data)
        if self._unsynced > SYNC_EVERY:
            self._unsynced = _sync(self._file)

    def finish(self) -> None:
        """Write all of it to disk. Raises `OSError`."""
        with self._file:
            _sync(self._file)

    def abandon(self) -> None:
        """Close and delete it."""
        with suppress(OSError):
            # Closing writes what is left in the buffer, which a full disk refuses once more.
            self._file.close()
        with suppress(OSError):
            self._path.unlink()


def _remove_all_but(names: Collection[str], place: Path) -> None:
    with suppress(FileNotFoundError):
        for path in place.iterdir():
            if path.name not in names:
                path.unlink(missing_ok=True)


def _sync(file: BinaryIO) -> int:
    file.flush()
    os.fsync(file.fileno())
    return 0


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, PRIVATE_FILE)
