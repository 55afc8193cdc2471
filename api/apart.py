"""Long requests are worked apart, in processes of low priority: other requests don't wait for them.

All that a Python process does at the same time shares one interpreter. Reading a body of 60 MB keeps it busy for
seconds, and its memory stays large for good. What a request needs is handed over, and its answer or its error comes
back; a process that has had nothing to do for five minutes is ended.
"""

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from logging.handlers import QueueHandler
from queue import SimpleQueue
from typing import Concatenate, Generic, ParamSpec, TypeVar, cast

import redis
from anyio import BrokenWorkerProcess, CapacityLimiter, from_thread, to_process
from fastapi import HTTPException, Request
from sqlalchemy.exc import DBAPIError

from models.database import Database, open_database
from models.postgres_errors import PostgresUnavailable, described
from models.redis_server import open_redis
from pipeline.errors import GrowthError, traced
from settings import Settings

LARGE_BYTES = 64 * 1024
"""Some 500 contacts: reading them takes about as long as handing them over."""

PROCESSES = 2
NICENESS = 10
REDIS_TIMEOUT_S = 0.5

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Resources:
    """What requests are worked with."""

    settings: Settings
    database: Database
    redis: redis.Redis

    def close(self) -> None:
        """Close all connections."""
        self.redis.close()
        self.database.close()


def open_resources(settings: Settings, connections: int) -> Resources:
    """Resources of this process, with at most so many connections to Postgres."""
    return Resources(
        settings,
        open_database(settings.database_url, pool_size=connections, pool_timeout=5),
        open_redis(settings.redis_url, REDIS_TIMEOUT_S),
    )


def resources_of(request: Request) -> Resources:
    """The resources of the process that the request came to."""
    resources: Resources = request.app.state.resources
    return resources


def processes_apart() -> CapacityLimiter:
    """How many processes an application may have for long requests."""
    return CapacityLimiter(PROCESSES)


def work(
    request: Request,
    body: bytes,
    task: Callable[Concatenate[Resources, bytes, P], T],
    *args: P.args,
    **kwargs: P.kwargs,
) -> T:
    """`task(resources, body, ...)`, here or, when the body is large, apart."""
    if len(body) < LARGE_BYTES:
        return task(resources_of(request), body, *args, **kwargs)
    return work_apart(request, body, task, *args, **kwargs)


def work_apart(
    request: Request,
    body: bytes,
    task: Callable[Concatenate[Resources, bytes, P], T],
    *args: P.args,
    **kwargs: P.kwargs,
) -> T:
    """`task(resources, body, ...)` in a process of low priority.

    What the task takes, returns and raises can be pickled. Answers 503 when its process is ended from outside.
    """

    async def worked_apart() -> _Worked[T]:
        settings, limiter = resources_of(request).settings, request.app.state.apart
        return await to_process.run_sync(_apart, settings, task, body, args, kwargs, limiter=limiter)

    try:
        worked = from_thread.run(worked_apart)
    except BrokenWorkerProcess:
        log.error("%s %s: the process that worked on it ended", request.method, request.url.path)
        sentence = "The request was cut off on our side: send it again, with the same `Idempotency-Key` if it had one."
        raise HTTPException(503, sentence, {"Retry-After": "5"}) from None
    for record in worked.logged:
        logging.getLogger(record.name).handle(record)
    if worked.error:
        raise worked.error
    return cast("T", worked.result)


class BrokeApart(Exception):
    """Raised for an error that nobody foresaw; it was logged where it happened."""


@dataclass(frozen=True, slots=True)
class _Worked(Generic[T]):
    """What comes back from a process, which has no log of its own."""

    result: T | None
    error: Exception | None
    logged: Sequence[logging.LogRecord]


def _apart(
    settings: Settings, task: Callable[..., T], body: bytes, args: tuple[object, ...], kwargs: Mapping[str, object]
) -> _Worked[T]:
    """Runs in the other process."""
    os.setpriority(os.PRIO_PROCESS, 0, NICENESS)
    with _kept_log() as logged:
        result, error = _tried(partial(task, _own_resources(settings), body, *args, **kwargs))
    return _Worked(result, error, logged)


def _tried(task: Callable[[], T]) -> tuple[T | None, Exception | None]:
    try:
        return task(), None
    except (GrowthError, HTTPException, PostgresUnavailable, DBAPIError) as error:
        return None, error
    except Exception as error:  # noqa: BLE001 - the last one who can say where it happened
        log.error("worked apart: %s; %s", described(error), traced(error))
        return None, BrokeApart(type(error).__name__)


@contextmanager
def _kept_log() -> Iterator[Sequence[logging.LogRecord]]:
    """Keep what is logged in the block, ready to be pickled."""
    logged: list[logging.LogRecord] = []

    class Keeper(QueueHandler):
        def enqueue(self, record: logging.LogRecord) -> None:
            logged.append(record)

    keeper = Keeper(SimpleQueue())
    logging.getLogger().addHandler(keeper)
    try:
        yield logged
    finally:
        logging.getLogger().removeHandler(keeper)


@cache
def _own_resources(settings: Settings) -> Resources:
    return open_resources(settings, connections=1)
