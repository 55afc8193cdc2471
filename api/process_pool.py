"""Runs long requests in worker processes of low priority, so that other requests do not wait for them.

Threads of one Python process share one interpreter. Parsing a body of 60 MB keeps it busy for seconds, and the
memory is not given back to the system. What a request needs is pickled for a worker process, and its result or its
error comes back. A worker process that was idle for five minutes is ended.
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

from anyio import BrokenWorkerProcess, CapacityLimiter, from_thread, to_process
from fastapi import HTTPException, Request
from sqlalchemy.exc import DBAPIError

from api.resources import Resources, open_resources, resources_of
from models.postgres_errors import PostgresUnavailable, described
from pipeline.errors import GrowthError, traced
from settings import Settings

LARGE_BYTES = 256 * 1024
"""Some 2,000 contacts: storing them takes 45 ms, 33 of them the interpreter's. To start a process takes a second."""

PROCESSES = 2
NICENESS = 10

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger(__name__)


def process_limiter() -> CapacityLimiter:
    """How many worker processes an application may have for bodies, and as many for uploads."""
    return CapacityLimiter(PROCESSES)


def run_by_size(
    request: Request,
    body: bytes,
    task: Callable[Concatenate[Resources, bytes, P], T],
    *args: P.args,
    **kwargs: P.kwargs,
) -> T:
    """Call `task(resources, body, ...)` here or, if the body is large, in a worker process."""
    if len(body) < LARGE_BYTES:
        return task(resources_of(request), body, *args, **kwargs)
    return run_in_process(request, body, task, *args, **kwargs)


def run_in_process(
    request: Request,
    body: bytes,
    task: Callable[Concatenate[Resources, bytes, P], T],
    *args: P.args,
    **kwargs: P.kwargs,
) -> T:
    """Call `task(resources, body, ...)` in a worker process.

    What the task receives, returns and raises must be picklable. Answers 503 if the process is killed.
    """
    return _run_within(request, request.app.state.process_limiter, task, body, *args, **kwargs)


def read_in_process(
    request: Request, task: Callable[Concatenate[Resources, bytes, P], T], *args: P.args, **kwargs: P.kwargs
) -> T:
    """`run_in_process` for reading uploads, which takes minutes: large bodies do not wait for it."""
    return _run_within(request, request.app.state.reading_limiter, task, b"", *args, **kwargs)


def _run_within(
    request: Request,
    limiter: CapacityLimiter,
    task: Callable[Concatenate[Resources, bytes, P], T],
    body: bytes,
    *args: P.args,
    **kwargs: P.kwargs,
) -> T:
    async def run() -> _Done[T]:
        settings = resources_of(request).settings
        return await to_process.run_sync(_run_here, settings, task, body, args, kwargs, limiter=limiter)

    try:
        done = from_thread.run(run)
    except BrokenWorkerProcess:
        log.error("%s %s: its worker process was killed", request.method, request.url.path)
        sentence = (
            "The request was interrupted on our side: send it again, with the same `Idempotency-Key` if it had one."
        )
        raise HTTPException(503, sentence, {"Retry-After": "5"}) from None
    for record in done.logged:
        logging.getLogger(record.name).handle(record)
    if done.error:
        raise done.error
    return cast("T", done.result)


class WorkerProcessFault(Exception):
    """Raised for an unexpected error in a worker process, which has logged it."""


@dataclass(frozen=True, slots=True)
class _Done(Generic[T]):
    """The result of a worker process, with what it logged: it has no log of its own."""

    result: T | None
    error: Exception | None
    logged: Sequence[logging.LogRecord]


def _run_here(
    settings: Settings, task: Callable[..., T], body: bytes, args: tuple[object, ...], kwargs: Mapping[str, object]
) -> _Done[T]:
    """Run a task, in a worker process."""
    os.setpriority(os.PRIO_PROCESS, 0, NICENESS)
    with _captured_log() as logged:
        result, error = _result_or_error(partial(task, _own_resources(settings), body, *args, **kwargs))
    return _Done(result, error, logged)


def _result_or_error(task: Callable[[], T]) -> tuple[T | None, Exception | None]:
    try:
        return task(), None
    except (GrowthError, HTTPException, PostgresUnavailable, DBAPIError) as error:
        return None, error
    except Exception as error:  # noqa: BLE001 - the traceback does not survive pickling
        log.error("a worker process failed: %s; %s", described(error), traced(error))
        return None, WorkerProcessFault(type(error).__name__)


@contextmanager
def _captured_log() -> Iterator[Sequence[logging.LogRecord]]:
    """Collect what is logged in the block, ready to be pickled."""
    logged: list[logging.LogRecord] = []

    class Collector(QueueHandler):
        def enqueue(self, record: logging.LogRecord) -> None:
            logged.append(record)

    collector = Collector(SimpleQueue())
    logging.getLogger().addHandler(collector)
    try:
        yield logged
    finally:
        logging.getLogger().removeHandler(collector)


@cache
def _own_resources(settings: Settings) -> Resources:
    return open_resources(settings, connections=1)
