"""Health checks: whether the process is alive, and whether it is ready to serve requests."""

import logging
import math
import time
from dataclasses import dataclass, field
from threading import Lock

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from api.resources import database_of, settings_of, storage_of
from models.postgres_errors import PostgresUnavailable
from models.redis_server import LIVE_COPY_NEEDS, find_trouble
from models.revision import is_migrated
from worker.dispatch import find_broker_trouble

log = logging.getLogger(__name__)

TIMEOUT_S = 0.5
"""For each step of checking Redis and the broker, since readiness probes do not wait long."""
CACHE_S = 0.5
"""How long the result of a check is reused."""
READ_ONLY = "read-only: it takes no writes now, as a standby or a demoted primary"

health = APIRouter()


@dataclass(slots=True)
class LastCheck:
    """The result of the last check. Probes need no API key, so they must not cost a connection each time."""

    lock: Lock = field(default_factory=Lock)
    at: float = -math.inf
    checks: dict[str, str] = field(default_factory=dict)


class Readiness(BaseModel):
    """Whether the process is ready, and the state of each service that it uses."""

    status: str
    postgres: str
    redis: str
    broker: str
    storage: str


@health.get("/healthz")
def alive() -> dict[str, str]:
    """The process is alive."""
    return {"status": "ok"}


@health.get("/readyz", response_model=Readiness, responses={503: {"model": Readiness}})
def ready(request: Request) -> JSONResponse:
    """The process can accept runs: Postgres answers, takes writes, and has this version's schema.

    Redis, the broker and the storage are reported as well, with what is wrong and what to do. Without Redis, states are
    read from Postgres; without the broker, runs wait; without the storage, no file can be downloaded.
    """
    last: LastCheck = request.app.state.last_check
    with last.lock:
        if time.monotonic() - last.at > CACHE_S:
            last.checks = {
                "postgres": _postgres(request),
                "redis": _redis(request),
                "broker": _broker(request),
                "storage": _storage(request),
            }
            last.at = time.monotonic()
        checks = last.checks
    is_ready = checks["postgres"] == "ok"
    return JSONResponse({"status": "ok" if is_ready else "not ready", **checks}, 200 if is_ready else 503)


def _postgres(request: Request) -> str:
    database = database_of(request)
    try:
        if not database.takes_writes():
            return READ_ONLY
        return "ok" if is_migrated(database) else "not migrated: run `growth migrate`"
    except PostgresUnavailable as error:
        log.warning("not ready: %s", error)
        # With several hosts in the URL, only a host that takes writes is connected to.
        return READ_ONLY if "read-only" in error.server_message else "unreachable"


def _redis(request: Request) -> str:
    trouble = find_trouble(settings_of(request).redis_url, "REDIS_URL", LIVE_COPY_NEEDS, TIMEOUT_S)
    if trouble is None:
        return "ok"
    log.warning("Redis is %s", trouble)
    return f"{trouble} States are read from Postgres."


def _broker(request: Request) -> str:
    trouble = find_broker_trouble(settings_of(request), TIMEOUT_S)
    if trouble is None:
        return "ok"
    log.warning("the broker is %s", trouble)
    return f"{trouble} Runs wait until it is."


def _storage(request: Request) -> str:
    trouble = storage_of(request).find_trouble()
    if trouble is None:
        return "ok"
    log.warning("the storage of files: %s", trouble)
    return f"{trouble} No file can be downloaded until then."
