"""Files on their way from a browser: the API's own uploads, for whoever has signed in."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from api import uploads as api_uploads
from api.uploads import TUS_VERSION, Length, Offset
from web.access import SignedIn
from web.slots import LIST, UPLOAD

uploads = APIRouter()


class Begun(BaseModel):
    """An upload that the browser goes on with."""

    upload_id: UUID


@uploads.post("/uploads", status_code=201, dependencies=[UPLOAD])
async def create(
    request: Request,
    response: Response,
    member: SignedIn,
    upload_length: Length,
    name: Annotated[str, Query(max_length=1_000)] = "",
) -> Begun:
    """Begin an upload. Its bytes are sent with PATCH, in as many pieces as the connection wants."""
    shown = await api_uploads.create(
        request, response, member.account_id, name=name, upload_length=upload_length, tus_resumable=TUS_VERSION
    )
    return Begun(upload_id=shown.upload_id)


@uploads.head("/uploads/{upload_id}", dependencies=[LIST])
def offset(request: Request, member: SignedIn, upload_id: str) -> Response:
    """How many bytes have arrived, in `Upload-Offset`."""
    return api_uploads.offset(request, member.account_id, upload_id)


@uploads.patch("/uploads/{upload_id}", status_code=204, dependencies=[UPLOAD])
async def append(request: Request, member: SignedIn, upload_id: str, upload_offset: Offset) -> Response:
    """Send more bytes."""
    return await api_uploads.append(request, member.account_id, upload_id, upload_offset)


@uploads.get("/uploads/{upload_id}/rejected.csv", dependencies=[LIST])
def rejected(request: Request, member: SignedIn, upload_id: str) -> StreamingResponse:
    """The rows that can't be used, as CSV."""
    return api_uploads.rejected(request, member.account_id, upload_id)
