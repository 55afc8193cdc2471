"""Health: is the process alive, and can it do its work."""

import logging
import math
import time
from dataclasses import dataclass, field
from threading import Lock

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from api.access import database_of, settings_of
from models.migrate import is_migrated
from models.postgres_errors import PostgresUnavailable
from models.redis_server import LIVE_COPY_NEEDS, find_trouble
from worker.dispatch import find_broker_trouble

log = logging.getLogger(__name__)

TIMEOUT_S = 0.5
"""Of each step of looking at Redis and the broker: whoever asks whether we are ready does not wait long."""
LOOK_AGAIN_S = 0.5
"""For so long an answer is given again."""
READ_ONLY = "read-only: it takes no writes now, as a standby or a demoted primary"

health = APIRouter()


@dataclass(slots=True)
class LastLook:
    """What was last seen: whoever asks needs no key, and must not cost a connection each time."""

    lock: Lock = field(default_factory=Lock)
    at: float = -math.inf
    checks: dict[str, str] = field(default_factory=dict)


class Readiness(BaseModel):
    """Whether the process can do its work, and what it needs for that."""

    status: str
    postgres: str
    redis: str
    broker: str


@health.get("/healthz")
def alive() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@health.get("/readyz", response_model=Readiness, responses={503: {"model": Readiness}})
def ready(request: Request) -> JSONResponse:
    """Postgres answers, takes writes, and has this version's schema: nothing else is needed to take runs.

    Redis and the broker are reported, with what keeps them from being used: without the one reading costs more, without
    the other runs wait.
    """
    last: LastLook = request.app.state.last_look
    with last.lock:
        if time.monotonic() - last.at > LOOK_AGAIN_S:
            last.checks = {"postgres": _postgres(request), "redis": _redis(request), "broker": _broker(request)}
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
        # Of several hosts one is wanted that takes writes: where none does, there is no connection.
        return READ_ONLY if "read-only" in error.said else "unreachable"


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
