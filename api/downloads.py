"""The route for downloads: a file or parts of it, for the owner of its run or whoever has a signed link."""

import logging
import os
import re
import stat
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Annotated, Any
from uuid import UUID

from anyio import from_thread
from fastapi import APIRouter, HTTPException, Query, Request, Response
from fastapi.responses import FileResponse
from sqlalchemy.orm import Session
from starlette.responses import MalformedRangeHeader, RangeNotSatisfiable
from starlette.types import Receive, Scope, Send

from api.access import AccountOrLink
from api.live.rate_limit import count_request
from api.resources import database_of, storage_of
from api.runs import ERRORS, run_id_of
from models.artifact import EXPORT, Artifact
from models.queries import file_of_account, run_of_account
from models.run import Run
from models.wire import ErrorBody
from pipeline.errors import UnknownRun
from pipeline.results.formats import FORMATS
from pipeline.results.links import is_valid
from pipeline.storage import Bucket
from pipeline.storage.bucket import StorageFault

NO_LONGER_STORED = "This export file is no longer stored: create the run again."
STORAGE_IS_AWAY = "The storage of the files does not answer now: try again in a minute."
NO_SUCH_EXPORT = "There is no such export: `export_handles` of a completed run lists those that exist."
LINK_NOT_VALID = "This link is not valid, or no longer: read the run for a new one."
_ASSET_ID = re.compile(r"[a-z0-9_]{1,64}")

FILES: dict[str, Any] = {
    spec.mime_type: {"schema": {} if spec.mime_type == "application/json" else {"type": "string"}}
    for spec in FORMATS.values()
}
FILE_STATUSES = {200: "The file", 206: "The part of it that `Range` requests"}
FILE = "/runs/{run_id}/exports/{asset_id}"

log = logging.getLogger(__name__)

downloads = APIRouter(prefix="/api/v1/growth", responses=ERRORS)  # type: ignore[arg-type]


class _FilePart(FileResponse):
    """A file, or the part of it that `Range` requests."""

    @classmethod
    def _parse_range_header(cls, http_range: str, file_size: int) -> list[tuple[int, int]]:
        # Starlette answers both errors in plain text; ours are JSON.
        try:
            return super()._parse_range_header(http_range, file_size)
        except MalformedRangeHeader:
            return []  # It is ignored then (RFC 9110 14.2).
        except RangeNotSatisfiable:
            sentence = f"The file has {file_size} bytes: request a range within them."
            raise HTTPException(416, sentence, {"Content-Range": f"bytes */{file_size}"}) from None


class _PartOfObject(_FilePart):
    """The same of a file in a bucket. It is read piece by piece, as fast as the client takes it."""

    chunk_size = 4 * 1024 * 1024

    def __init__(self, bucket: Bucket, export: Artifact, headers: Mapping[str, str], filename: str) -> None:
        self._bucket, self._export, self._key = bucket, export, str(export.storage_key)
        super().__init__(self._key, headers=headers, media_type=export.mime_type, filename=filename)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            self.stat_result = await self._found()
        except FileNotFoundError:
            log.error("run %s: export %s is missing in the bucket", self._export.run_id, self._export.asset_id)
            raise UnknownRun(NO_LONGER_STORED) from None
        except StorageFault as fault:
            log.error("run %s: export %s can't be read: %s", self._export.run_id, self._export.asset_id, fault)
            raise HTTPException(503, STORAGE_IS_AWAY, {"Retry-After": "60"}) from None
        self.set_stat_headers(self.stat_result)
        await super().__call__(scope, receive, send)

    async def _found(self) -> os.stat_result:
        """What a disk would say of the file."""
        size, written = await self._bucket.size(self._key)
        if size != self._export.bytes:
            raise FileNotFoundError(f"the object has {size} bytes")
        return os.stat_result((stat.S_IFREG, 0, 0, 1, 0, 0, size, int(written), int(written), int(written)))

    @asynccontextmanager
    async def _open_file(self) -> AsyncIterator[Any]:
        yield _Reader(self._bucket, self._key, self._export.bytes or 0)


class _Reader:
    """Reads an object as a file is read."""

    def __init__(self, bucket: Bucket, key: str, size: int) -> None:
        self._bucket, self._key, self._size = bucket, key, size
        self._at = 0

    async def seek(self, place: int) -> None:
        self._at = place

    async def read(self, length: int) -> bytes:
        length = min(length, self._size - self._at)
        piece = await self._bucket.read(self._key, self._at, length) if length else b""
        self._at += len(piece)
        return piece


@downloads.head(FILE, include_in_schema=False)
@downloads.get(
    FILE,
    response_class=_FilePart,
    responses={
        **{status: {"description": what, "content": FILES} for status, what in FILE_STATUSES.items()},
        304: {"description": "The client has the file already: its `ETag` is in `If-None-Match`"},
        416: {"model": ErrorBody},
        503: {"model": ErrorBody},
    },
)
def download(
    request: Request,
    account_id: AccountOrLink,
    run_id: str,
    asset_id: str,
    expires: Annotated[str, Query()] = "",
) -> Response:
    """An export file of a completed run. A `download_url` has `expires` and `signature`, and needs no key."""
    known_id = run_id_of(run_id)
    if not _ASSET_ID.fullmatch(asset_id):
        raise UnknownRun(NO_SUCH_EXPORT)
    signature = request.query_params.get("signature", "")
    with database_of(request).transaction() as session:
        if account_id is None:
            export, owner = _linked(session, known_id, asset_id, expires, signature)
        else:
            export, owner = _owned(session, known_id, asset_id, account_id), None
    if owner:
        from_thread.run(count_request, request, owner)
    return _answer(request, export)


def _linked(session: Session, run_id: UUID, asset_id: str, expires: str, signature: str) -> tuple[Artifact, UUID]:
    """The file and the owner of its run. One answer whatever is wrong: who guesses learns nothing."""
    export = session.get(Artifact, (run_id, asset_id))
    time_is_readable = expires.isascii() and expires.isdecimal() and len(expires) < 12
    if export is None or export.sha256 is None or not time_is_readable or not is_valid(export, int(expires), signature):
        raise HTTPException(403, LINK_NOT_VALID)
    return export, session.get_one(Run, run_id).account_id


def _owned(session: Session, run_id: UUID, asset_id: str, account_id: UUID) -> Artifact:
    export = file_of_account(session, run_id, asset_id, account_id)
    if export:
        return export
    run = run_of_account(session, run_id, account_id)
    if run and run.retracted_at:
        raise UnknownRun("The data of this run has expired and its exports were deleted: create a new run.")
    raise UnknownRun(NO_SUCH_EXPORT)


def _answer(request: Request, export: Artifact) -> Response:
    headers = {"ETag": f'"{export.sha256}"', "Cache-Control": "private"}
    if _has_it(request.headers, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    name = _name_of(export)
    if export.content is not None:
        headers["Content-Disposition"] = f'attachment; filename="{name}"'
        return Response(export.content, headers=headers, media_type=export.mime_type)
    storage = storage_of(request)
    if isinstance(storage, Bucket):
        return _PartOfObject(storage, export, headers, name)
    path = storage.path(str(export.storage_key))
    if not path.is_file():
        log.error("run %s: export %s is missing on disk", export.run_id, export.asset_id)
        raise UnknownRun(NO_LONGER_STORED)
    return _FilePart(path, headers=headers, media_type=export.mime_type, filename=name)


def _name_of(file: Artifact) -> str:
    which = "" if file.kind == EXPORT else f".{file.asset_id}"
    return f"{file.run_id}{which}.{FORMATS[str(file.format)].extension}"


def _has_it(headers: Mapping[str, str], etag: str) -> bool:
    """Whether `If-None-Match` names the file (RFC 9110 13.1.2)."""
    given = [each.strip().removeprefix("W/") for each in headers.get("if-none-match", "").split(",")]
    return etag in given or given == ["*"]
