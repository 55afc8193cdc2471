"""Routes for uploads: a file in one request, or in several by the tus protocol (https://tus.io, version 1.0.0)."""

import asyncio
import base64
import binascii
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import Annotated, Any, cast
from uuid import UUID

import redis
from anyio import to_thread
from fastapi import APIRouter, Header, HTTPException, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BeforeValidator, Field, WithJsonSchema
from sqlalchemy.orm import Session
from starlette.requests import ClientDisconnect

from api.access import AccountId
from api.bodies import SILENCE_S, Body, next_piece_due, parse_reading
from api.document.openapi import body_of
from api.process_pool import read_in_process
from api.resources import Resources, database_of, redis_of, resources_of, settings_of
from api.runs import ERRORS
from api.slots import LIST, READ_UPLOAD, UPLOAD
from models.database import Database
from models.postgres_errors import PostgresUnavailable
from models.upload import Upload
from models.upload_wire import (
    EncodingName,
    ReadingRequest,
    RejectedRow,
    Sha256,
    UploadColumn,
    UploadCounts,
    UploadProgress,
    Uploads,
    UploadShown,
    UploadStatus,
)
from models.wire import ErrorBody, Preset
from pipeline.errors import InvalidInput, UnknownUpload, UploadConflict
from pipeline.files.headings import FIELDS
from pipeline.results.own_rows import RejectedFormat
from pipeline.uploads import receiving
from pipeline.uploads.contacts import first_contacts
from pipeline.uploads.reading import Reading, ReadingLimits, is_being_read, read_upload
from pipeline.uploads.receiving import Limits, NewUpload
from pipeline.uploads.rejected import rejected_header, rejected_page
from settings import Settings

TUS_VERSION = "1.0.0"
TUS_EXTENSIONS = "creation,creation-with-upload,expiration,termination"
PLAIN_BYTES = "application/octet-stream"
BYTES = ("application/offset+octet-stream", PLAIN_BYTES)
"""The media types of a part of a file; the first is that of the tus protocol."""
FORM = "multipart/form-data"
PIECE_BYTES = 1 << 20
"""So many bytes of a request are held in memory, and stored in one transaction."""
PREVIEW = 10
PROGRESS_EVERY_S, PROGRESS_KEPT_S = 0.25, 60
NO_ROOM = "This machine has no room for a copy of the file while it is read: try again later."

TUS: Mapping[str, str] = {"Tus-Resumable": TUS_VERSION, "Cache-Control": "no-store"}
FILE: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {PLAIN_BYTES: {"schema": {"type": "string", "format": "binary"}}},
    }
}
OF_TUS: dict[int | str, dict[str, Any]] = {412: {"model": ErrorBody}, 415: {"model": ErrorBody}}

uploads = APIRouter(prefix="/api/v1/growth/uploads", responses=ERRORS)  # type: ignore[arg-type]

TusVersion = Annotated[
    str | None, Header(alias="Tus-Resumable"), WithJsonSchema({"type": "string", "const": TUS_VERSION})
]


def _digits_only(value: object) -> object:
    """Python would also read `1_0`, `+10` and digits of other scripts."""
    if isinstance(value, str) and not (value.isascii() and value.isdecimal()):
        raise ValueError("it should be a number, of digits only")
    return value


Bytes = Annotated[int, BeforeValidator(_digits_only), Field(ge=0, lt=1 << 53)]
Offset = Annotated[Bytes, Header(alias="Upload-Offset")]
Length = Annotated[Bytes | None, Header(alias="Upload-Length")]


@uploads.options("", include_in_schema=False)
@uploads.options("/{upload_id}", include_in_schema=False)
def abilities(request: Request) -> Response:
    """What the server can do, for clients that speak tus."""
    most = settings_of(request).max_upload_bytes
    more = {"Tus-Version": TUS_VERSION, "Tus-Extension": TUS_EXTENSIONS, "Tus-Max-Size": str(most)}
    return Response(status_code=204, headers={**TUS, **more})


@uploads.post("", status_code=201, dependencies=[UPLOAD], openapi_extra=FILE, responses=OF_TUS)
async def create(
    request: Request,
    response: Response,
    account_id: AccountId,
    name: Annotated[str, Query(max_length=1_000)] = "",
    preset: Preset = "full_pipeline",
    mapping: Annotated[list[str] | None, Query(alias="map", max_length=len(FIELDS))] = None,
    encoding: Annotated[EncodingName | None, Query()] = None,
    sha256: Annotated[Sha256 | None, Query()] = None,
    upload_length: Length = None,
    tus_resumable: TusVersion = None,
    upload_metadata: Annotated[str, Header(max_length=10_000)] = "",
) -> UploadShown:
    """Upload a file of contacts. The answer shows how it was read.

    With `Tus-Resumable` and `Upload-Length` it is a creation of the tus protocol: the file, or the rest of it, is sent
    with PATCH to the URL in `Location`, and GET there shows how it was read.
    """
    is_tus = _check_version(tus_resumable)
    _check_media_type(request)
    if is_tus and upload_length is None:
        raise InvalidInput("header Upload-Length is missing: say how many bytes the file has.")
    metadata = _metadata(upload_metadata)
    new = NewUpload(
        name=name or metadata.get("filename", ""),
        size=upload_length if is_tus else _stated_length(request),
        sha256=sha256 or metadata.get("sha256"),
        preset=preset,
        mapping=_mapping(mapping or []),
        encoding=encoding,
    )
    resources, limits = resources_of(request), _limits(settings_of(request))
    upload_id = await to_thread.run_sync(_create, resources, account_id, new, limits)
    try:
        received = await _receive(request, account_id, upload_id, 0)
    except Exception:
        # Who does not speak tus does not know the upload, and sends the file again.
        if not is_tus:
            await to_thread.run_sync(_discard, resources, account_id, upload_id)
        raise
    response.headers.update({**TUS, "Location": f"uploads/{upload_id}", "Upload-Offset": str(received)})
    if not is_tus:
        await to_thread.run_sync(_end, resources, account_id, upload_id)
        await to_thread.run_sync(_read, request, account_id, upload_id)
    shown = await to_thread.run_sync(_show, resources, account_id, upload_id)
    response.headers["Upload-Expires"] = _http_date(shown)
    return shown


@uploads.get("", dependencies=[LIST])
def list_all(request: Request, account_id: AccountId) -> Uploads:
    """The uploads of the account, newest first, at most a hundred, without what was read of them."""
    with database_of(request).transaction() as session:
        found = receiving.uploads_of(session, account_id, 100)
        return Uploads(uploads=[_shown(each, _status(session, each), (), {}) for each in found])


@uploads.head("/{upload_id}", responses=OF_TUS, response_class=Response)
def offset(request: Request, account_id: AccountId, upload_id: str, tus_resumable: TusVersion = None) -> Response:
    """How many bytes of an upload have arrived, in `Upload-Offset`."""
    _check_version(tus_resumable)
    with database_of(request).transaction() as session:
        upload = receiving.find_upload(session, account_id, upload_id_of(upload_id))
    length = {} if upload.size is None else {"Upload-Length": str(upload.size)}
    return Response(status_code=200, headers={**TUS, **length, "Upload-Offset": str(upload.received)})


@uploads.patch(
    "/{upload_id}",
    status_code=204,
    dependencies=[UPLOAD],
    openapi_extra=FILE,
    responses=OF_TUS,
    response_class=Response,
)
async def append(
    request: Request, account_id: AccountId, upload_id: str, upload_offset: Offset, tus_resumable: TusVersion = None
) -> Response:
    """Send more bytes of an upload. `Upload-Offset` is how many have arrived, which HEAD says."""
    _check_version(tus_resumable)
    if request.headers.get("content-type", "") not in BYTES:
        raise HTTPException(415, f"The Content-Type must be one of {', '.join(BYTES)}.")
    received = await _receive(request, account_id, upload_id_of(upload_id), upload_offset)
    return Response(status_code=204, headers={**TUS, "Upload-Offset": str(received)})


@uploads.get("/{upload_id}", dependencies=[READ_UPLOAD])
def read(request: Request, account_id: AccountId, upload_id: str) -> UploadShown:
    """An upload, and how it was read. The first request after its last byte has it read, which may take a minute."""
    known_id = upload_id_of(upload_id)
    with database_of(request).transaction() as session:
        upload = receiving.find_upload(session, account_id, known_id)
        is_unread = upload.is_complete and not upload.reading and not is_being_read(session, known_id)
    if is_unread:
        # Another request may have begun with it since.
        with suppress(UploadConflict):
            _read(request, account_id, known_id)
    return _show(resources_of(request), account_id, known_id)


@uploads.get("/{upload_id}/progress", dependencies=[LIST])
def progress(request: Request, account_id: AccountId, upload_id: str) -> UploadProgress:
    """How much of an upload has arrived, and how many rows of it have been read while it is read."""
    known_id = upload_id_of(upload_id)
    with database_of(request).transaction() as session:
        upload = receiving.find_upload(session, account_id, known_id)
        status = _status(session, upload)
    rows = upload.counts.get("rows", 0) if upload.counts else ReadingProgress(redis_of(request), known_id).rows()
    return UploadProgress(status=status, bytes=upload.size, received=upload.received, rows_read=rows)


@uploads.put("/{upload_id}/reading", dependencies=[READ_UPLOAD], openapi_extra=body_of(ReadingRequest))
def read_anew(request: Request, account_id: AccountId, upload_id: str, body: Body) -> UploadShown:
    """Have an upload read in another way: other columns, another encoding, another preset. Not once a run uses it."""
    known_id, wanted = upload_id_of(upload_id), parse_reading(body)
    anew = Reading(wanted.preset, wanted.chosen, wanted.encoding)
    _read(request, account_id, known_id, anew)
    return _show(resources_of(request), account_id, known_id)


@uploads.get("/{upload_id}/rejected.csv", dependencies=[LIST], response_class=StreamingResponse)
def rejected(request: Request, account_id: AccountId, upload_id: str) -> StreamingResponse:
    """The rows that can't be used, as CSV: row number, field, reason, and the row."""
    known_id = upload_id_of(upload_id)
    with database_of(request).transaction() as session:
        header = rejected_header(receiving.find_upload(session, account_id, known_id))
    return StreamingResponse(
        _rejected_csv(database_of(request), known_id, header),
        media_type="text/csv",
        headers={"Content-Disposition": 'attachment; filename="rejected.csv"'},
    )


@uploads.delete("/{upload_id}", status_code=204, responses=OF_TUS, response_class=Response)
def delete(request: Request, account_id: AccountId, upload_id: str, tus_resumable: TusVersion = None) -> Response:
    """Delete an upload that no run uses."""
    _check_version(tus_resumable)
    with database_of(request).transaction() as session:
        receiving.discard(session, account_id, upload_id_of(upload_id))
    return Response(status_code=204, headers=dict(TUS))


class ReadingProgress:
    """How many rows of an upload have been read, for who looks on. It is kept in Redis, and may be lost."""

    def __init__(self, client: redis.Redis, upload_id: UUID) -> None:
        self._redis, self._key = client, f"growth:upload:{upload_id}:rows"
        self._next = 0.0

    def note(self, rows: int) -> None:
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + PROGRESS_EVERY_S
        try:
            self._redis.set(self._key, rows, ex=PROGRESS_KEPT_S)
        except redis.RedisError:
            # Each further try would hold the reading up.
            self._next = math.inf

    def rows(self) -> int:
        with suppress(redis.RedisError):
            return int(cast("Any", self._redis.get(self._key)) or 0)
        return 0


def upload_id_of(text: str) -> UUID:
    """The id in a path. Raises `UnknownUpload` for what is none."""
    try:
        if len(text) in (32, 36) and text.isascii():
            return UUID(text)
    except ValueError:
        pass
    raise UnknownUpload.with_this_id()


async def _receive(request: Request, account_id: UUID, upload_id: UUID, start: int) -> int:
    """Store a body from `start` on, piece by piece; return how many bytes the upload has then.

    What has arrived is stored also if the connection is cut, or nothing more comes.
    """
    store = _Store(resources_of(request), account_id, upload_id, start)
    clock = asyncio.get_running_loop().time
    began, size = clock(), 0
    try:
        async with asyncio.timeout(SILENCE_S) as patience:
            async for piece in request.stream():
                size += len(piece)
                patience.reschedule(None)
                await store.add(piece)
                patience.reschedule(next_piece_due(clock(), began, size))
    except TimeoutError:
        await store.flush()
        sentence = (
            f"No more of the file arrived for {SILENCE_S} seconds, or it came too slowly: go on from byte {store.end}."
        )
        raise HTTPException(408, sentence, {"Connection": "close"}) from None
    except ClientDisconnect:
        await store.flush()
        raise HTTPException(400, f"The connection was closed: go on from byte {store.end}.") from None
    await store.flush()
    return store.end


class _Store:
    """Collects the bytes of a request, and stores them when there are enough for a piece."""

    def __init__(self, resources: Resources, account_id: UUID, upload_id: UUID, start: int) -> None:
        self._resources, self._account_id, self._upload_id = resources, account_id, upload_id
        self._held = bytearray()
        self._is_checked = False
        self.end = start

    async def add(self, piece: bytes) -> None:
        self._held += piece
        if len(self._held) >= PIECE_BYTES:
            await self.flush()

    async def flush(self) -> None:
        """Store what is held. Also nothing is stored once, which checks the place where it belongs."""
        if self._held or not self._is_checked:
            content, self._held = bytes(self._held), bytearray()
            self.end = await to_thread.run_sync(self._append, content)
            self._is_checked = True

    def _append(self, content: bytes) -> int:
        limits = _limits(self._resources.settings)
        with self._resources.database.transaction() as session:
            return receiving.append(session, self._account_id, self._upload_id, self.end, content, limits)


def _create(resources: Resources, account_id: UUID, new: NewUpload, limits: Limits) -> UUID:
    with resources.database.transaction() as session:
        return receiving.create_upload(session, account_id, new, limits).id


def _discard(resources: Resources, account_id: UUID, upload_id: UUID) -> None:
    with suppress(UnknownUpload, PostgresUnavailable), resources.database.transaction() as session:
        receiving.discard(session, account_id, upload_id)


def _end(resources: Resources, account_id: UUID, upload_id: UUID) -> None:
    with resources.database.transaction() as session:
        receiving.end_upload(session, account_id, upload_id)


def _read(request: Request, account_id: UUID, upload_id: UUID, anew: Reading | None = None) -> None:
    read_in_process(request, _read_here, account_id, upload_id, anew)


def _read_here(
    resources: Resources, _body: bytes, account_id: UUID, upload_id: UUID, anew: Reading | None = None
) -> None:
    settings = resources.settings
    limits = ReadingLimits(
        settings.max_upload_rows,
        settings.max_upload_bytes,
        settings.companies_file is not None,
        settings.max_workbook_mb * 1_000_000,
    )
    try:
        with resources.database.transaction() as session:
            read_upload(session, account_id, upload_id, limits, anew, ReadingProgress(resources.redis, upload_id).note)
    except OSError:
        raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, NO_ROOM, {"Retry-After": "60"}) from None


def _show(resources: Resources, account_id: UUID, upload_id: UUID) -> UploadShown:
    with resources.database.transaction() as session:
        upload = receiving.find_upload(session, account_id, upload_id)
        first = first_contacts(session, upload_id, PREVIEW) if upload.is_ready else ()
        return _shown(upload, _status(session, upload), [_contact(row) for row in first], upload.recognised)


def _status(session: Session, upload: Upload) -> UploadStatus:
    if not upload.is_complete:
        return "receiving"
    if not upload.reading:
        return "reading" if is_being_read(session, upload.id) else "received"
    return "refused" if upload.refusal else "ready"


def _shown(
    upload: Upload, status: UploadStatus, contacts: Sequence[Mapping[str, Any]], known: Mapping[str, Any]
) -> UploadShown:
    return UploadShown(
        upload_id=upload.id,
        status=status,
        detail=upload.refusal or "",
        name=upload.name,
        bytes=upload.size,
        received=upload.received,
        sha256=upload.sha256 or upload.expected_sha256,
        expires_at=upload.expires_at,
        preset=upload.preset,
        mapping=upload.mapping,
        encoding=upload.encoding,
        description=known.get("description", ""),
        notices=known.get("notices", []),
        columns=[UploadColumn(heading=heading, field=name) for heading, name in known.get("columns", [])],
        counts=UploadCounts(**upload.counts) if upload.counts else None,
        contacts=[dict(each) for each in contacts],
        rejected=[RejectedRow(row=row, field=name, reason=why) for row, name, why in known.get("rejected", [])],
    )


def _contact(row: Any) -> dict[str, Any]:
    fields = {name: getattr(row, name) for name in FIELDS if getattr(row, name)}
    return {**fields, **row.extra}


def _rejected_csv(database: Database, upload_id: UUID, header: Sequence[str]) -> Iterator[bytes]:
    """All pages. No transaction is open, and no connection taken, while the client receives one."""
    format_ = RejectedFormat(header)
    yield format_.head()
    after = -1
    while True:
        with database.transaction() as session:
            page = rejected_page(session, upload_id, after)
        if not page:
            return
        after = page[-1].row
        yield format_.rows(page)


def _check_version(stated: str | None) -> bool:
    """Whether a request says that it speaks tus. Answers 412 for another version of it."""
    if stated not in (None, TUS_VERSION):
        sentence = f"Version {TUS_VERSION} of the tus protocol is spoken here."
        raise HTTPException(412, sentence, {"Tus-Version": TUS_VERSION})
    return stated is not None


def _check_media_type(request: Request) -> None:
    if request.headers.get("content-type", "").lower().startswith(FORM):
        raise HTTPException(415, f"The body is a form: send the file itself as the body, not as {FORM}.")
    if request.headers.get("content-encoding", "identity").lower() not in ("", "identity"):
        raise HTTPException(400, "Send a packed file as it is, without `Content-Encoding`: it is unpacked here.")


def _stated_length(request: Request) -> int | None:
    stated = request.headers.get("content-length", "")
    return int(stated) if stated.isascii() and stated.isdecimal() and len(stated) < 16 else None


def _metadata(header: str) -> dict[str, str]:
    """The pairs of `Upload-Metadata`: a key and a value in base64, separated by commas."""
    pairs = {}
    for pair in header.split(","):
        key, _, value = pair.strip().partition(" ")
        try:
            pairs[key] = base64.b64decode(value, validate=True).decode()
        except (binascii.Error, ValueError):
            raise InvalidInput(
                "header Upload-Metadata: it must be keys with values in base64, separated by commas."
            ) from None
    if "sha256" in pairs and not _is_sha256(pairs["sha256"]):
        raise InvalidInput("header Upload-Metadata, sha256: it must have 64 hexadecimal digits.")
    return pairs


def _is_sha256(text: str) -> bool:
    return len(text) == 64 and all(char in "0123456789abcdefABCDEF" for char in text)


def _mapping(options: Sequence[str]) -> dict[str, str]:
    pairs = {}
    for option in options:
        name, equals, heading = option.partition("=")
        if not equals or name not in FIELDS:
            raise InvalidInput(f"field map: it must be FIELD=heading, with a field of {', '.join(FIELDS)}.")
        pairs[name] = heading
    return ReadingRequest.model_validate({"mapping": pairs}).chosen


def _limits(settings: Settings) -> Limits:
    return Limits(settings.max_upload_bytes, settings.max_uploads, settings.upload_hours)


def _http_date(shown: UploadShown) -> str:
    return shown.expires_at.strftime("%a, %d %b %Y %H:%M:%S GMT")
