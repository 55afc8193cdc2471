"""Errors as pages. A program that asks gets them as JSON, as from the API."""

from collections.abc import Mapping

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from api.errors import FAULT, RETRY_AFTER_S, STATUS_CODES, answer, sentence_of
from models.postgres_errors import PostgresUnavailable
from web.access import NotSignedIn
from web.rendering import base_of, go_to, page

TITLES = {
    402: "Not enough credits",
    403: "This is not open to you",
    404: "There is nothing here",
    405: "This can’t be opened like that",
    409: "That can’t be done now",
    429: "Too many requests",
    500: "Something went wrong on our side",
    503: "The database can’t be reached",
}
OTHERWISE = "This can’t be done as it is"
NOT_THERE = "It may belong to another account: the two can’t be told apart. Check the address, or look in your list."
NO_PAGE = "There is no page at this address: check it, or begin with the list of runs."
UNAVAILABLE = "Runs at work are safe and go on by themselves. This page tries again by itself."
TRIES_AGAIN = frozenset({503})


def add_fault_pages(pages: FastAPI) -> None:
    """Register the answer to each exception that a request for a page can raise."""
    for kind, status in STATUS_CODES.items():
        pages.add_exception_handler(kind, _with_status(status))
    pages.add_exception_handler(NotSignedIn, _sign_in_first)
    pages.add_exception_handler(HTTPException, _http_error)
    pages.add_exception_handler(RequestValidationError, _not_valid)
    pages.add_exception_handler(PostgresUnavailable, _unavailable)


class FaultPage:
    """Answers a request that failed unexpectedly."""

    def __init__(self, pages: FastAPI) -> None:
        self._pages = pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = fault(Request({**scope, "app": self._pages}), 500, FAULT)
        await response(scope, receive, send)


def fault(request: Request, status: int, sentence: str, headers: Mapping[str, str] | None = None) -> Response:
    """An error as a page for people, as JSON for programs."""
    if "text/html" not in request.headers.get("accept", ""):
        return answer(status, sentence, headers)
    tries_again = status in TRIES_AGAIN and request.method == "GET"
    title = TITLES.get(status, OTHERWISE)
    shown = page(request, "fault.html", status, code=status, title=title, sentence=sentence, again=tries_again)
    shown.headers.update(headers or {})
    return shown


async def _sign_in_first(request: Request, _error: Exception) -> Response:
    """To the sign-in, and back to the page afterwards. htmx is told in a header, since it follows redirects unseen."""
    if "hx-request" in request.headers:
        return JSONResponse({"detail": "Sign in again."}, 401, {"HX-Redirect": f"{base_of(request)}/login"})
    if "text/html" not in request.headers.get("accept", ""):
        return answer(401, "Sign in first.")
    if request.method != "GET":
        return go_to(request, "/login")
    query = f"?{request.url.query}" if request.url.query else ""
    target = f"{request.url.path}{query}"
    if request.headers.get("sec-fetch-site") == "cross-site":
        # A browser holds the cookie back when another site leads here, but not when a page of ours leads on.
        return page(request, "hop.html", target=target)
    return go_to(request, "/login", {"next": target})


def _with_status(status: int):  # type: ignore[no-untyped-def]
    async def handler(request: Request, error: Exception) -> Response:
        return fault(request, status, NOT_THERE if status == 404 else str(error))

    return handler


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class only
    if error.status_code == 404 and error.detail == HTTPException(404).detail:
        return fault(request, 404, NO_PAGE)
    return fault(request, error.status_code, str(error.detail), error.headers)


async def _not_valid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this class only
    return fault(request, 422, sentence_of(list(error.errors())))


async def _unavailable(request: Request, _error: Exception) -> Response:
    return fault(request, 503, UNAVAILABLE, {"Retry-After": str(RETRY_AFTER_S)})
