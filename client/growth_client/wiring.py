"""What both clients need to perform steps with httpx."""

import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx

from growth_client.errors import GrowthError, Invalid, NotAnEngine
from growth_client.shapes import fits_header
from growth_client.steps import UNREAD, Lost, Reply, Request

MADE_BY = "growth-client/0.1.0"
MOST_BYTES = 64 << 20
"""An answer beyond this is not read further."""
MOST_ERROR_BYTES = 64 << 10
"""An error is a sentence."""


class Access:
    """Where the API is, and the key to it: as given, or from GROWTH_API_URL and GROWTH_API_KEY."""

    def __init__(self, base_url: str | None, api_key: str | None) -> None:
        self._url = (base_url or os.environ.get("GROWTH_API_URL", "")).strip().rstrip("/")
        self._key = (api_key or os.environ.get("GROWTH_API_KEY", "")).strip()
        parts = urlsplit(self._url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise GrowthError(
                "The API's address is missing: give it, or set GROWTH_API_URL, like http://127.0.0.1:8000."
            )
        if not self._key or not (self._key.isascii() and self._key.isprintable()):
            raise GrowthError(
                "The API key is missing, or holds characters that no key has: give it, or set GROWTH_API_KEY."
            )

    def __repr__(self) -> str:
        return f"Access({self._url!r})"

    def options(self, request: Request) -> dict[str, Any]:
        """A request as httpx takes it."""
        # A few bytes that are packed may unpack to more than memory holds.
        plain = {"Accept-Encoding": "identity"}
        headers = {"Authorization": f"Bearer {self._key}", "User-Agent": MADE_BY, **plain, **request.headers}
        return {
            "method": request.method,
            "url": self._url + request.path,
            "params": list(request.params) or None,
            "headers": headers,
            "content": request.content,
            "timeout": httpx.Timeout(request.timeout_s, connect=10.0),
        }


class Body:
    """The body of an answer as it is read, up to a bound."""

    def __init__(self, response: httpx.Response) -> None:
        self._response, self._is_packed = response, _is_packed(response)
        self._left = MOST_BYTES if response.is_success else MOST_ERROR_BYTES
        self._pieces: list[bytes] = []

    def take(self, piece: bytes) -> bool:
        """Whether to read on after this piece."""
        self._left -= len(piece)
        self._pieces.append(piece)
        return self._left >= 0

    def reply(self) -> Reply:
        """The answer as operations know it, without a body that is too large or packed."""
        if self._left < 0:
            return Reply(self._response.status_code, _headers_of(self._response), unread="too large")
        if self._is_packed:
            return Reply(self._response.status_code, _headers_of(self._response), unread="packed")
        return Reply(self._response.status_code, _headers_of(self._response), b"".join(self._pieces))


def opened(response: httpx.Response) -> Reply:
    """A successful answer whose body is left to be read. Raises `NotAnEngine` for one that is packed."""
    if _is_packed(response):
        raise NotAnEngine(f"{UNREAD['packed']}: check the address, and a proxy before the API.")
    return Reply(response.status_code, _headers_of(response))


def is_in_memory(response: httpx.Response) -> bool:
    """Whether a hook or a transport of the caller's has read the body, and unpacked it."""
    return response.is_stream_consumed


def _is_packed(response: httpx.Response) -> bool:
    packing = response.headers.get("content-encoding", "").strip().lower()
    return packing not in ("", "identity") and not is_in_memory(response)


def _headers_of(response: httpx.Response) -> Mapping[str, str]:
    return {name.lower(): value for name, value in response.headers.items()}


def sendable(http: httpx.Client | httpx.AsyncClient, options: dict[str, Any]) -> httpx.Request:
    """A request of httpx. Raises `Invalid` for what fits into no URL and no header."""
    try:
        if all(map(fits_header, options.get("headers", {}).values())):
            return http.build_request(**options)
    except (httpx.InvalidURL, UnicodeError):
        pass
    raise Invalid("An id or a name is too long, or has characters that can't be sent: check it.", 422)


def lost(error: httpx.RequestError) -> Lost:
    """What to throw into an operation whose request failed."""
    if isinstance(error, httpx.TimeoutException):
        return Lost("it takes too long")
    if isinstance(error, httpx.ConnectError):
        return Lost("no connection")
    return Lost("the connection was cut")
