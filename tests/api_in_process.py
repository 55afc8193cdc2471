"""The API in the process of a test, without a server."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from api.app import create_app
from api.live import running_live
from settings import load_settings


@contextmanager
def opened_api(settings: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[FastAPI]:
    """The application with these environment variables."""
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    load_settings.cache_clear()
    app = create_app()
    yield app
    app.state.resources.close()
    load_settings.cache_clear()


def send(app: FastAPI, method: str, path: str, **options: Any) -> httpx.Response:
    """The answer to a request."""

    async def request() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with (
            running_live(app.state.resources) as app.state.live,
            httpx.AsyncClient(transport=transport, base_url="http://api.test") as client,
        ):
            return await client.request(method, path, **options)

    return asyncio.run(request())
