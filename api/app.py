"""The HTTP application. Start it with `uvicorn --factory api.app:create_app`."""

import resource
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from api.credits import credits_of_account
from api.document.openapi import add_document
from api.downloads import downloads
from api.erasures import erasures
from api.errors import add_error_handlers
from api.health import LastCheck, health
from api.hooks import hooks
from api.live import running_live
from api.live.plain_reads import is_answered
from api.live.rate_limit import ShowRateLimit
from api.process_pool import process_limiter
from api.quotes import quotes
from api.resources import open_resources
from api.runs import runs
from api.slots import new_slots
from api.status import status
from api.streams import STREAM, close_stream, send_stream
from api.suppressions import suppressions
from api.uploads import uploads
from models.database import check_at_start
from settings import load_settings, required

CONNECTIONS = 10
FILES = 65_536
"""Connections, and files in all, that the process may have open, if its environment allows so many. Shells and systemd
begin with 1,024, which is less than the streams of one account."""
SWITCH_S = 0.0005
"""How long a thread may hold the interpreter while others wait for it. A small request waits that long after each
answer from Postgres while large bodies are parsed: with Python's default of 5 ms that adds up to half a second."""


class _Application(FastAPI):
    """The framework's application, between reads that need no framework and streams that no longer do.

    Its layers cost as much time as a read, and as much memory as a stream.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if await is_answered(self.state, scope, send):
            return
        try:
            await super().__call__(scope, receive, send)
            if STREAM in scope:
                await send_stream(scope, receive, send)
        finally:
            close_stream(scope)


def create_app() -> FastAPI:
    """Create the application from the settings of this process."""
    sys.setswitchinterval(SWITCH_S)
    _allow_many_connections()
    settings = required(load_settings(), "database_url", "redis_url")
    check_at_start(settings.database_url)
    app = _Application(
        title="Growth engine", version="1", lifespan=_lifespan, redirect_slashes=False, docs_url=None, redoc_url=None
    )
    app.state.resources = open_resources(settings, CONNECTIONS)
    app.state.process_limiter = process_limiter()
    app.state.reading_limiter = process_limiter()
    app.state.slots = new_slots()
    app.state.last_check = LastCheck()
    app.include_router(status)
    app.include_router(runs)
    app.include_router(downloads)
    app.include_router(uploads)
    app.include_router(quotes)
    app.include_router(credits_of_account)
    app.include_router(suppressions)
    app.include_router(erasures)
    app.include_router(hooks)
    app.include_router(health)
    add_document(app, settings.public_url)
    add_error_handlers(app)
    app.add_middleware(ShowRateLimit)
    return app


def _allow_many_connections() -> None:
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if most == resource.RLIM_INFINITY else min(FILES, most)
    if allowed != resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(allowed, wanted), most))


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with running_live(app.state.resources) as app.state.live:
        yield
    app.state.resources.close()
