"""Downloads a file of a run: completely and with the checksum that was announced, or not at all."""

import hashlib
import os
import secrets
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from growth_client.answers import FINAL, FileHandle, RunState
from growth_client.calls import STATE, path_of, state
from growth_client.errors import DownloadFailed
from growth_client.retries import Patience, Retries, send
from growth_client.shapes import Maybe, Shape
from growth_client.steps import Call, Close, Lost, Open, Operation, Pause, Read, Request

STATED = ("asset_id", "bytes", "sha256")
LOOK_EVERY_S = 0.5
MOST_LOOKS = 7_200

_STRINGS = ("label", "kind", "format", "mime_type", "sha256", "expires_at", "download_url")
HANDLE: Shape = {"asset_id": str, "bytes": Maybe(int), "rows": Maybe(int)} | dict.fromkeys(_STRINGS, Maybe(str))
STATE_WITH_FILES: Shape = STATE | {
    "progress": {"message": str},
    "artifact_handles": [HANDLE],
    "export_handles": [HANDLE],
}
NOT_WRITTEN = "export files can't be written"
"""What the message of a run says whose files were given up."""


class PartFile:
    """A file beside its place, until it is complete."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._part = place.with_name(f".{place.name}.{secrets.token_hex(4)}.part")
        self._file = self._part.open("xb")
        self._digest = hashlib.sha256()
        self.size = 0

    def add(self, piece: bytes) -> None:
        """Write more of it."""
        self._file.write(piece)
        self._digest.update(piece)
        self.size += len(piece)

    def restart(self) -> None:
        """Forget what was written: the server sends the file from its beginning again."""
        self._file.seek(0)
        self._file.truncate()
        self._digest, self.size = hashlib.sha256(), 0

    def finish(self, sha256: str) -> None:
        """Check it and put it in its place. Raises `DownloadFailed`."""
        if self._digest.hexdigest() != sha256:
            raise DownloadFailed("What came has another checksum than was announced. Nothing was written: try again.")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._part.replace(self._place)

    def discard(self) -> None:
        """Delete it, unless it is in its place."""
        self._file.close()
        self._part.unlink(missing_ok=True)


def download(run_id: str, place: Path, what: str, retries: Retries) -> Operation[FileHandle]:
    """Download a file of a run: an export by its format, or an artifact by its id; return its handle.

    A format that an ended run was not asked for is made first. Raises `DownloadFailed`.
    """
    handle = yield from _handle_of(run_id, what, retries)
    part: PartFile = yield Call(partial(PartFile, place))
    try:
        yield from _fetch(path_of(run_id, "exports", handle["asset_id"]), handle["bytes"], part, retries)
        yield Call(partial(part.finish, handle["sha256"]))
    finally:
        part.discard()
    return handle


def _handle_of(run_id: str, what: str, retries: Retries) -> Operation[FileHandle]:
    now = yield from state(run_id, retries, STATE_WITH_FILES)
    has_asked = False
    for _ in range(MOST_LOOKS):
        if found := _named(now, what):
            return found
        if now["status"] not in FINAL:
            raise DownloadFailed(f"This run has no such file yet: it is {now['status']}. Watch it until it has ended.")
        if NOT_WRITTEN in now["progress"]["message"]:
            raise DownloadFailed(now["progress"]["message"])
        if not has_asked:
            wanted = Request("POST", path_of(run_id, "exports"), (("format", what),))
            now = (yield from send(wanted, retries)).object(STATE_WITH_FILES)
            has_asked = True
        else:
            yield Pause(LOOK_EVERY_S)
            now = yield from state(run_id, retries, STATE_WITH_FILES)
    raise DownloadFailed("The engine has not written the file within an hour. Ask for it again, or ask who runs it.")


def _named(now: RunState, what: str) -> FileHandle | None:
    of_format = (each for each in now["export_handles"] if what in (each.get("format"), each["asset_id"]))
    of_artifact = (each for each in now["artifact_handles"] if each["asset_id"] == what)
    return next(
        (each for each in _files(of_format, of_artifact) if all(each.get(key) is not None for key in STATED)), None
    )


def _files(*of_kinds: Iterator[FileHandle]) -> Iterator[FileHandle]:
    for handles in of_kinds:
        yield from handles


def _fetch(path: str, size: int, part: PartFile, retries: Retries) -> Operation[None]:
    """Write the file into its part; after a lost connection go on where it ended."""
    patience = Patience(retries)
    while part.size < size:
        headers = {"Range": f"bytes={part.size}-"} if part.size else {}
        before = part.size
        failure: Any = None
        try:
            reply = yield Open(Request("GET", path, (), headers))
            if not reply.is_success:
                failure = reply
            elif reply.status != 206 and part.size:
                yield Call(part.restart)
            while failure is None and (piece := (yield Read())):
                if part.size + len(piece) > size:
                    raise DownloadFailed("More bytes came than were announced. Nothing was written: try again.")
                yield Call(partial(part.add, piece))
        except Lost as lost:
            failure = lost
        yield Close()
        if part.size > before:
            patience.renew()
        if part.size < size:
            yield patience.after(failure or Lost("the answer ended early"))
