"""What both clients need to perform steps with httpx."""

import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx

from growth_client.errors import GrowthError
from growth_client.steps import Lost, Reply, Request

MADE_BY = "growth-client/0.1.0"


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
        headers = {"Authorization": f"Bearer {self._key}", "User-Agent": MADE_BY, **request.headers}
        return {
            "method": request.method,
            "url": self._url + request.path,
            "params": list(request.params) or None,
            "headers": headers,
            "content": request.content,
            "timeout": httpx.Timeout(request.timeout_s, connect=10.0),
        }


def reply_of(response: httpx.Response, body: bytes = b"") -> Reply:
    """An answer of httpx as operations know it."""
    headers: Mapping[str, str] = {name.lower(): value for name, value in response.headers.items()}
    return Reply(response.status_code, headers, body)


def lost(error: httpx.RequestError) -> Lost:
    """What to throw into an operation whose request failed."""
    if isinstance(error, httpx.TimeoutException):
        return Lost("it takes too long")
    if isinstance(error, httpx.ConnectError):
        return Lost("no connection")
    return Lost("the connection was cut")
