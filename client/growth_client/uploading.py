"""Uploads a file by the tus protocol: what has arrived is never sent again, also not by the next process."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast

from growth_client.answers import Upload
from growth_client.calls import path
from growth_client.errors import UploadRefused
from growth_client.retries import Patience, Retries, attempt, error_of, is_temporary, send
from growth_client.shapes import Maybe, Shape
from growth_client.steps import WORKING_TIMEOUT_S, Call, Lost, Operation, Pause, Reply, Request

UPLOADS = path("uploads")
TUS: Mapping[str, str] = {"Tus-Resumable": "1.0.0"}
PIECE = 4 << 20
"""So many bytes are sent with one request, and held in memory."""
LOOK_EVERY_S = 1.0
MOST_LOOKS = 3_600
LONGEST_OFFSET = 18
"""Digits of a number of bytes."""

LISTED: Shape = {
    **dict.fromkeys(("upload_id", "status", "preset", "name"), str),
    "mapping": dict,
    "encoding": str | None,
    "sha256": str | None,
    "bytes": int | None,
}
"""What is relied on in an upload in the list."""
_MAPPED = re.compile(r"--map \w+=COLUMN(?: --map \w+=COLUMN)*")
_ENCODING = re.compile(r"--encoding ([\w-]+)")


@dataclass(frozen=True, slots=True)
class File:
    """A file to upload, on disk or in memory."""

    source: Path | bytes
    name: str

    def measure(self) -> tuple[int, str]:
        """Its size and its SHA-256."""
        if isinstance(self.source, bytes):
            return len(self.source), hashlib.sha256(self.source).hexdigest()
        with self.source.open("rb") as file:
            return self.source.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest()

    def read(self, start: int) -> bytes:
        """Its next piece from `start` on."""
        if isinstance(self.source, bytes):
            return self.source[start : start + PIECE]
        with self.source.open("rb") as file:
            file.seek(start)
            return file.read(PIECE)


def file_of(source: Path | str | bytes, name: str | None) -> File:
    """A file that is given by its path, or by its bytes."""
    if isinstance(source, bytes):
        return File(source, name or "contacts")
    return File(Path(source), name or Path(source).name)


@dataclass(frozen=True, slots=True)
class Reading:
    """How a file is to be read."""

    preset: str = "full_pipeline"
    mapping: Mapping[str, str] = field(default_factory=dict)
    encoding: str | None = None

    def params(self) -> tuple[tuple[str, str], ...]:
        """As a new upload states it."""
        columns = tuple(("map", f"{name}={heading}") for name, heading in self.mapping.items())
        return (("preset", self.preset), *columns, *((("encoding", self.encoding),) if self.encoding else ()))

    def is_that_of(self, shown: Mapping[str, Any]) -> bool:
        """Whether an upload is read, or will be, in this way."""
        return (shown["preset"], shown["mapping"], shown["encoding"]) == (
            self.preset,
            dict(self.mapping),
            self.encoding,
        )


def upload(file: File, reading: Reading, retries: Retries) -> Operation[Upload]:
    """Upload a file and have it read. An upload of the same file that was cut off is continued.

    Raises `UploadRefused` if the file can't be used.
    """
    size, digest = yield Call(file.measure)
    upload_id = yield from _begun(file, size, digest, reading, retries)
    yield from _send_rest(file, size, upload_id, retries)
    return (yield from _have_read(upload_id, retries))


def _begun(file: File, size: int, digest: str, reading: Reading, retries: Retries) -> Operation[str]:
    """The id of an upload of this file: of one that exists, else of a new one.

    Creating one is not repeated blindly: if the answer was lost, the list shows whether there is one.
    """
    patience = Patience(retries)
    params = (("name", file.name), ("sha256", digest), *reading.params())
    creation = Request("POST", UPLOADS, params, {**TUS, "Upload-Length": str(size)})
    while True:
        listed = yield from send(Request("GET", UPLOADS), retries)
        for each in listed.object({"uploads": [LISTED]})["uploads"]:
            is_usable = each["status"] != "refused" and reading.is_that_of(each)
            if is_usable and (each["sha256"], each["bytes"], each["name"]) == (digest, size, file.name):
                return str(each["upload_id"])
        created = yield from attempt(creation)
        if isinstance(created, Reply) and created.is_success:
            return str(created.object({"upload_id": str})["upload_id"])
        yield patience.after(created)


def _send_rest(file: File, size: int, upload_id: str, retries: Retries) -> Operation[None]:
    """Send what has not arrived."""
    patience = Patience(retries)
    place = path("uploads", upload_id)
    start = furthest = yield from _arrived(place, retries)
    while start < size:
        piece: bytes = yield Call(partial(file.read, start))
        if not piece:
            raise UploadRefused(f"{file.name} became shorter while it was sent: send it again.")
        headers = {**TUS, "Upload-Offset": str(start), "Content-Type": "application/offset+octet-stream"}
        sent = yield from attempt(Request("PATCH", place, (), headers, piece, WORKING_TIMEOUT_S))
        if isinstance(sent, Reply) and sent.is_success:
            start += len(piece)
            if start > furthest:
                furthest = start
                patience.renew()
            continue
        if not _may_go_on(sent):
            raise error_of(sent)
        yield patience.after(Lost("another request was sending the same bytes") if _is_elsewhere(sent) else sent)
        start = yield from _arrived(place, retries)


def _may_go_on(sent: Reply | Lost) -> bool:
    return isinstance(sent, Lost) or is_temporary(sent) or _is_elsewhere(sent)


def _is_elsewhere(sent: Reply | Lost) -> bool:
    """Whether the bytes belong to another place: the request that was cut off is still being stored."""
    return isinstance(sent, Reply) and sent.status == 409


def _arrived(place: str, retries: Retries) -> Operation[int]:
    reply = yield from send(Request("HEAD", place, (), TUS), retries)
    text = reply.headers.get("upload-offset", "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= LONGEST_OFFSET else 0


def _have_read(upload_id: str, retries: Retries) -> Operation[Upload]:
    """The upload once it is read. The first look after the last byte has it read."""
    patience = Patience(retries)
    for _ in range(MOST_LOOKS):
        reply = yield from send(Request("GET", path("uploads", upload_id), timeout_s=WORKING_TIMEOUT_S), retries)
        shown = cast("Upload", reply.object({"status": str, "upload_id": str, "detail": Maybe(str)}))
        if shown["status"] == "refused":
            raise UploadRefused(_in_python(shown.get("detail") or "The file can't be used."))
        if shown["status"] == "ready":
            return shown
        is_incomplete = shown["status"] == "receiving"
        yield patience.after(Lost("it lost bytes of the file")) if is_incomplete else Pause(LOOK_EVERY_S)
    raise error_of(Lost("it has not read the file within an hour"))


def _in_python(detail: str) -> str:
    """The advice of the API, which names options of the command, with this client's arguments."""
    detail = _MAPPED.sub(_as_mapping, detail)
    return _ENCODING.sub(r'encoding="\1"', detail).replace("with --encoding", "with `encoding=`")


def _as_mapping(options: re.Match[str]) -> str:
    fields = [option.partition("=")[0] for option in options[0].split("--map ")[1:]]
    return "mapping={" + ", ".join(f'"{name}": "COLUMN"' for name in fields) + "}"
