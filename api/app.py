"""The HTTP application. Start it with `uvicorn --factory api.app:create_app`."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

from fastapi import FastAPI

from api.apart import open_resources, processes_apart
from api.document import add_document
from api.erasures import erasures
from api.errors import add_error_handlers
from api.health import LastLook, health
from api.runs import runs
from api.suppressions import suppressions
from models.database import check_at_start
from settings import load_settings, required

CONNECTIONS = 10
SWITCH_S = 0.0005
"""How long a thread may keep the interpreter from others that want it. Python's own 5 ms cost a small request that
each time it has waited for Postgres, a hundred times over while large bodies are parsed."""


def create_app() -> FastAPI:
    """The application, on the settings of this process."""
    sys.setswitchinterval(SWITCH_S)
    settings = required(load_settings(), "database_url", "redis_url")
    check_at_start(settings.database_url)
    app = FastAPI(
        title="Growth engine", version="1", lifespan=_lifespan, redirect_slashes=False, docs_url=None, redoc_url=None
    )
    app.state.resources = open_resources(settings, CONNECTIONS)
    app.state.apart = processes_apart()
    app.state.turns = WeakValueDictionary()
    app.state.last_look = LastLook()
    app.include_router(runs)
    app.include_router(suppressions)
    app.include_router(erasures)
    app.include_router(health)
    add_document(app, settings.public_url)
    add_error_handlers(app)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    yield
    app.state.resources.close()
