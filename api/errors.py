"""Every error answer is `{"detail": "a sentence that says what to do"}`, and never shows what the client sent."""

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic_core import ErrorDetails
from sqlalchemy.exc import DBAPIError
from starlette.exceptions import HTTPException
from starlette.routing import compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from models.bounds import shown
from models.postgres_errors import Meaning, PostgresUnavailable, described, meaning_of
from pipeline.errors import (
    GrowthError,
    HookConflict,
    IdempotencyConflict,
    InsufficientCredits,
    InvalidInput,
    QuoteRefused,
    RunStateConflict,
    UnknownAccount,
    UnknownHook,
    UnknownRun,
    UnknownUpload,
    UploadBusy,
    UploadConflict,
    traced,
)

STATUS_CODES: Mapping[type[GrowthError], int] = {
    InvalidInput: 422,
    InsufficientCredits: 402,
    QuoteRefused: 403,
    IdempotencyConflict: 409,
    RunStateConflict: 409,
    UnknownAccount: 404,
    UnknownRun: 404,
    UnknownUpload: 404,
    UploadConflict: 409,
    UnknownHook: 404,
    HookConflict: 409,
}
FAULT = "Something went wrong on our side and was logged. Try again; if it stays, contact support."
MOST_PROBLEMS = 10
_WHY = {
    "model_type": "Input should be an object",
    "string_unicode": "it holds half a surrogate pair, which is no character: remove it",
    "missing": "it is missing: give it",
    "extra_forbidden": "there is no such field: correct its name, or leave it out",
    "bool_type": "it is neither true nor false: give one of them",
    "bool_parsing": "it is neither true nor false: give one of them",
    "int_type": "it is no whole number: give one",
    "int_parsing": "it is no whole number: give one",
    "int_from_float": "it is no whole number: give one",
    "list_type": "it is no list: put it in brackets",
    "too_short": "it has too few entries: give at least {number}",
    "too_long": "it has too many entries: give at most {number}",
}
"""Plainer messages than Pydantic's."""
NOT_FOUND, METHOD_NOT_ALLOWED = 404, 405
NO_SUCH_PATH = "There is no such path: /docs lists all."
RETRY_AFTER_S = 5
BUSY_FOR_S = 2
"""When to ask again for an upload that is just being read."""

log = logging.getLogger(__name__)


def add_error_handlers(app: FastAPI) -> None:
    """Register the answer to each exception that a request can raise."""
    for kind, status in STATUS_CODES.items():
        app.add_exception_handler(kind, _sentence_with(status))
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _invalid_request)
    app.add_exception_handler(PostgresUnavailable, _postgres_unavailable)
    app.add_exception_handler(DBAPIError, _postgres_error)
    app.add_middleware(AnswerFaults)


class AnswerFaults:
    """Middleware that answers unexpected errors, and logs them without their text, which may hold a client's data.

    A handler for `Exception` is no alternative: Starlette raises the error again, and the server logs all of it.
    """

    def __init__(self, app: ASGIApp, faulty: ASGIApp | None = None) -> None:
        self._app, self._faulty = app, faulty or answer(500, FAULT)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the application and answer what it raises."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        has_begun = False

        async def note_and_send(message: Message) -> None:
            nonlocal has_begun
            has_begun = has_begun or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, note_and_send)
        except Exception as error:  # noqa: BLE001 - nothing outside of this catches it
            fault = interrupted(scope, error)
            if has_begun:
                raise fault from None
            await self._faulty(scope, receive, send)


class AnswerInterrupted(Exception):
    """Raised when an answer can't be completed. The server then closes the connection, so that the client notices."""


def interrupted(scope: Scope, error: Exception) -> AnswerInterrupted:
    """Log an unexpected error without its text. Returns what to raise if the answer has begun."""
    log.error("%s %s failed: %s; %s", scope["method"], scope["path"], described(error), traced(error))
    return AnswerInterrupted(type(error).__name__)


def answer(status: int, sentence: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Create an error answer."""
    return JSONResponse({"detail": sentence}, status, headers)


def sentence_of(problems: Sequence[ErrorDetails], further: int = 0) -> str:
    """Pydantic's problems as one sentence: which field of which contact, and why; never the value.

    `further` is the number of problems beside those given.
    """
    named = [_named(problem["loc"], _why(problem)) for problem in problems[:MOST_PROBLEMS]]
    rest = len(problems) + further - len(named)
    return "; ".join(named) + (f"; and {rest} more" if rest > 0 else "")


def _named(location: tuple[int | str, ...], why: str) -> str:
    """A problem with its place, unless its text names the contact already."""
    return why if why.startswith("contact ") else f"{_place(location)}: {why}"


def _place(location: tuple[int | str, ...]) -> str:
    """Name a place for a person: `goal_plan.input_assets.contacts[3].domain` is `contact 4, field domain`."""
    parts = [part for part in location if part != "body"]
    if "contacts" in parts and parts[-1] != "contacts":
        after = parts[parts.index("contacts") + 1 :]
        field = f", field {_path(after[1:])}" if after[1:] else ""
        return f"contact {int(after[0]) + 1}{field}"
    return f"field {_path(parts)}" if parts else "the body"


def _path(parts: Sequence[int | str]) -> str:
    return ".".join(shown(str(part)) for part in parts)


def _why(problem: ErrorDetails) -> str:
    message = problem["msg"]
    if plain := _WHY.get(problem["type"]):
        # The bound is the first number of Pydantic's message.
        return plain.format(number=next(filter(str.isdecimal, message.split()), "1"))
    return message.removeprefix("Value error, ").rstrip(".")


def _sentence_with(status: int):  # type: ignore[no-untyped-def]
    async def handler(_request: Request, error: Exception) -> JSONResponse:
        again = {"Retry-After": str(BUSY_FOR_S)} if isinstance(error, UploadBusy) else None
        return answer(status, str(error), again)

    return handler


async def _http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class only
    if error.status_code == METHOD_NOT_ALLOWED:
        methods = ", ".join(sorted(_methods_at(request) or {"GET"}))
        return answer(error.status_code, f"This path takes {methods} only.", {"Allow": methods})
    is_unknown = error.status_code == NOT_FOUND and error.detail == HTTPStatus.NOT_FOUND.phrase
    return answer(error.status_code, NO_SUCH_PATH if is_unknown else str(error.detail), error.headers)


def _methods_at(request: Request) -> set[str]:
    """The methods of a path. Starlette names only those of the first route that has the path."""
    place = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
    paths = request.app.openapi()["paths"]
    return {method.upper() for path, calls in paths.items() if compile_path(path)[0].match(place) for method in calls}


async def _invalid_request(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this class only
    return answer(422, sentence_of(list(error.errors())))


async def _postgres_unavailable(_request: Request, error: Exception) -> JSONResponse:
    log.warning("Postgres is unavailable: %s", error)
    sentence = f"The database is not available right now: try again in {RETRY_AFTER_S} seconds."
    return answer(503, sentence, {"Retry-After": str(RETRY_AFTER_S)})


async def _postgres_error(request: Request, error: Exception) -> JSONResponse:
    if meaning_of(error) is Meaning.CLIENTS:
        log.warning("%s %s: a value can't be stored: %s", request.method, request.url.path, described(error))
        return answer(422, "A value can't be stored: it is too large, or has characters that are not text. Correct it.")
    raise error
