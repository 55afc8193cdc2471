"""Health: is the process alive, and can it do its work."""

import logging

import redis
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from api.access import database_of, redis_of
from models.migrate import is_migrated
from models.postgres_errors import PostgresUnavailable

log = logging.getLogger(__name__)

READ_ONLY = "read-only: it takes no writes now, as a standby or a demoted primary"

health = APIRouter()


class Readiness(BaseModel):
    """Whether the process can do its work, and what it needs for that."""

    status: str
    postgres: str
    redis: str


@health.get("/healthz")
def alive() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@health.get("/readyz", response_model=Readiness, responses={503: {"model": Readiness}})
def ready(request: Request) -> JSONResponse:
    """Postgres answers, takes writes, and has this version's schema. Redis is reported, but only Postgres is needed."""
    checks = {"postgres": _postgres(request), "redis": _redis(request)}
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
    try:
        redis_of(request).ping()
    except redis.RedisError as error:
        log.warning("without Redis: %s", type(error).__name__)
        return "unreachable; states are read from Postgres"
    return "ok"
