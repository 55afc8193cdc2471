"""Reads the bodies of requests: within a size limit, then parsed and validated piece by piece."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar

from fastapi import Depends, HTTPException, Request
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails
from starlette.requests import ClientDisconnect

from api.errors import MOST_PROBLEMS, sentence_of
from api.json_pieces import NotJson, read_json
from api.resources import settings_of
from models.bounds import ENTRIES, PEOPLE, ColumnsOfRun
from models.privacy_wire import ErasureRequest, PersonToErase, SuppressionEntries
from models.quote_wire import QuoteRequest, UploadQuoteRequest
from models.upload_wire import ReadingRequest
from models.wire import KNOWS_COMPANIES, ContactIn, RunRequest, Text320
from pipeline.errors import InvalidInput

MAX_PROBLEMS_COUNTED = 1000
"""After so many problems the rest of a body is not read."""

CONTACTS = ("goal_plan", "input_assets", "contacts")
_TOO_MANY = "there are more contacts than the {} of one run: split it into smaller ones."

T = TypeVar("T", bound=BaseModel)

SILENCE_S = 20
"""A client that sends nothing for so many seconds counts as disconnected: the network reports that much later, or
never. Other requests wait longer than this for the slot that the request holds."""
BODY_S, SLOWEST_BYTES_A_S = 120, 16 * 1024
"""How long a body may take: so many seconds, and one more for each so many bytes that have arrived."""


async def read_body(request: Request, most: int | None = None) -> bytes:
    """The body. Answers 400 once it is larger than `most` or `MAX_BODY_BYTES`, without reading the rest.

    Answers 408 when it stalls, or comes so slowly that it is only held.
    """
    if request.headers.get("content-encoding", "identity").lower() not in ("", "identity"):
        raise HTTPException(400, "The body is compressed: send it uncompressed, without `Content-Encoding`.")
    try:
        async with asyncio.timeout(SILENCE_S) as patience:
            return await _joined(request, patience, most or settings_of(request).max_body_bytes)
    except TimeoutError:
        sentence = (
            f"No more of the body arrived for {SILENCE_S} seconds, or it took more than {BODY_S} seconds and came "
            "too slowly: send the request again."
        )
        raise HTTPException(408, sentence, {"Connection": "close"}) from None
    except ClientDisconnect:
        raise HTTPException(400, "The connection was closed before the body ended: send the request again.") from None


async def _joined(request: Request, patience: asyncio.Timeout, most: int) -> bytes:
    clock, body = asyncio.get_running_loop().time, bytearray()
    began = clock()
    async for piece in request.stream():
        body += piece
        patience.reschedule(next_piece_due(clock(), began, len(body)))
        if len(body) > most:
            raise HTTPException(400, f"The body is larger than {most} bytes: split it into smaller ones.")
    return bytes(body)


def next_piece_due(now: float, began: float, size: int) -> float:
    """Until when more of a body has to arrive, of which so many bytes have."""
    return min(now + SILENCE_S, began + BODY_S + size / SLOWEST_BYTES_A_S)


async def whole_body(request: Request) -> bytes:
    """`read_body`, for routes."""
    return await read_body(request)


Body = Annotated[bytes, Depends(whole_body)]


class NotValid(InvalidInput):
    """Raised when a body fails validation. `problems` are Pydantic's, without what the client sent."""

    problems: Sequence[ErrorDetails] = ()


@dataclass(slots=True)
class _LongList:
    """The one list in a body that may be long: its place, the shape of its items, and the problems found in them."""

    path: tuple[str, ...]
    noun: str
    shape: TypeAdapter[Any]
    most: int
    too_many: str
    problems: list[ErrorDetails] = field(default_factory=list)
    further_problems: int = 0
    columns: ColumnsOfRun = field(default_factory=ColumnsOfRun)

    def convert(self, index: int, item: Any) -> Any:
        if index >= self.most:
            raise InvalidInput(self.too_many)
        try:
            read = self.shape.validate_python(item)
        except ValidationError as error:
            return self._note(index, error)
        if isinstance(read, ContactIn):
            self._count_columns(index, read)
        return read

    def _count_columns(self, index: int, contact: ContactIn) -> None:
        """Count the items as they come, not only at the end: the rest of a body that is refused is not read."""
        try:
            self.columns.add(index + 1, contact.model_extra)
        except ValueError as error:
            raise InvalidInput(str(error)) from error

    def _note(self, index: int, error: ValidationError) -> None:
        if len(self.problems) >= MOST_PROBLEMS:
            self.further_problems += error.error_count()
            if self.further_problems > MAX_PROBLEMS_COUNTED:
                raise InvalidInput(f"{sentence_of(self.problems, self.further_problems)}; the rest was not read")
            return
        for problem in _details(error):
            problem["loc"] = (*self.path, index, *problem["loc"])
            self.problems.append(problem)


def parse_run_request(body: bytes, max_contacts: int, *, knows_companies: bool = False) -> RunRequest:
    """The order in a body. Answers 400 if it is not JSON; raises `InvalidInput` if it fails validation.

    With `knows_companies` a contact may have a company and no domain.
    """
    contacts = _LongList(CONTACTS, "contact", TypeAdapter(ContactIn), max_contacts, _TOO_MANY.format(max_contacts))
    return _parse(RunRequest, body, contacts, {KNOWS_COMPANIES: knows_companies})


def parse_quote_request(
    body: bytes, max_contacts: int, *, knows_companies: bool = False
) -> QuoteRequest | UploadQuoteRequest:
    """The plan or the upload to quote in a body. Answers 400, and raises `InvalidInput`, as `parse_run_request`."""
    contacts = _LongList(CONTACTS, "contact", TypeAdapter(ContactIn), max_contacts, _TOO_MANY.format(max_contacts))
    read = _read(body, contacts)
    if isinstance(read, dict) and "upload_id" in read and "goal_plan" not in read:
        return _validated(UploadQuoteRequest, read)
    return _validated(QuoteRequest, read, {KNOWS_COMPANIES: knows_companies})


def parse_reading(body: bytes) -> ReadingRequest:
    """How an upload is to be read. Answers 400, and raises `InvalidInput`, as `parse_run_request`."""
    return parse_short(ReadingRequest, body)


def parse_short(shape: type[T], body: bytes) -> T:
    """A body without a long list. Answers 400, and raises `InvalidInput`, as `parse_run_request`."""
    return _parse(shape, body, _LongList(("",), "", TypeAdapter(Any), 0, ""))


def parse_entries(body: bytes) -> SuppressionEntries:
    """The entries in a body. Answers 400, and raises `InvalidInput`, as `parse_run_request`."""
    too_many = f"there are more entries than the {ENTRIES.most} of one request: split them."
    return _parse(
        SuppressionEntries, body, _LongList(("entries",), "entry", TypeAdapter(Text320), ENTRIES.most, too_many)
    )


def parse_erasure(body: bytes) -> ErasureRequest:
    """Whom to erase. Answers 400, and raises `InvalidInput`, as `parse_run_request`."""
    too_many = f"there are more people than the {PEOPLE.most} of one request: split them."
    return _parse(
        ErasureRequest, body, _LongList(("people",), "person", TypeAdapter(PersonToErase), PEOPLE.most, too_many)
    )


def _parse(shape: type[T], body: bytes, long_list: _LongList, context: Mapping[str, object] | None = None) -> T:
    return _validated(shape, _read(body, long_list), context)


def _read(body: bytes, long_list: _LongList) -> Any:
    try:
        read = read_json(body, long_list.path, long_list.noun, long_list.convert)
    except NotJson as error:
        raise HTTPException(400, f"The body is not JSON: {error}.") from error
    if long_list.problems:
        raise _not_valid(long_list.problems, long_list.further_problems)
    return read


def _validated(shape: type[T], read: Any, context: Mapping[str, object] | None = None) -> T:
    try:
        return shape.model_validate(read, context=context)
    except ValidationError as error:
        raise _not_valid(_details(error)) from error


def _not_valid(problems: Sequence[ErrorDetails], further: int = 0) -> NotValid:
    error = NotValid(sentence_of(problems, further))
    error.problems = problems
    return error


def _details(error: ValidationError) -> list[ErrorDetails]:
    return error.errors(include_url=False, include_context=False, include_input=False)
