"""Sends a run's chain. Sending it again, or twice at once, is always safe: Postgres says what is left."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from uuid import UUID

from celery import Signature, chain

from models.run_chunk import COMPILE
from pipeline.stages import PRESETS
from settings import UnusableSettings, load_settings
from worker.app import app
from worker.broker import QUEUE, find_broker_trouble, is_rabbitmq, why_not_sent

__all__ = ["DispatchFailed", "broker_may_be_away", "find_broker_trouble", "send_chain", "send_export"]

CONFIRM_TIMEOUT_S = 5
"""How long RabbitMQ may take to say that it has a message."""
SENT_WITHIN_S = 1.8
"""How long whoever sends waits for all of it: finding the host, connecting, TLS, the broker's answer."""
SENDERS = 10
"""Sends that may be on their way at once: as many as Celery keeps connections for."""

IN_TURN, AFTER_ALL_OTHERS = 3, 9
"""Priorities in Redis, where the lower comes first, and 0 is that of the links which Celery sends by itself.

A run that waits for a process has one link in the queue, and a run at work has one for its next chunk: in turn,
whatever their sizes. A run that goes on with its next stage keeps the process that it waited for. The extra tasks of a
large run come last: each would stand for a whole chunk before a small run.
"""

log = logging.getLogger(__name__)
_senders = threading.BoundedSemaphore(SENDERS)


class DispatchFailed(Exception):
    """Raised when the broker did not take the message; the sweeper will send it. Its text says why, and what to do."""


@contextmanager
def broker_may_be_away(run_id: UUID) -> Iterator[None]:
    """For sends that the sweeper repairs when they fail: it logs the failure and goes on."""
    try:
        yield
    except DispatchFailed as error:
        log.warning("run %s: %s; the sweeper will send the chain", run_id, error)


def send_chain(run_id: UUID, preset: str) -> None:
    """Send `email_lookup → email_verify → compile`, or what the preset has of it.

    Call it after the transaction that created the run is committed. Raises `DispatchFailed`, and nothing else, within
    two seconds; then nothing is lost, since the sweeper sends it some seconds later.
    """

    stages = PRESETS[preset]

    def whole_chain() -> Signature[None]:
        helpers = load_settings().max_tasks_per_run - 1
        first, *later = (_stage_task(stage, run_id, helpers) for stage in stages)
        return chain(_waits(first, IN_TURN), *later, _compile_task(run_id))

    _send(whole_chain)


def send_rest_of_chain(run_id: UUID, preset: str, stage: str) -> None:
    """Send the chain from `stage` on. Its first link starts no extra tasks: they are at work already."""
    stages = PRESETS[preset]
    later = stages[stages.index(stage) + 1 :]

    def rest_of_chain() -> Signature[None]:
        helpers = load_settings().max_tasks_per_run - 1
        first = _waits(_stage_task(stage, run_id, extra_tasks=0), IN_TURN)
        return chain(first, *(_stage_task(name, run_id, helpers) for name in later), _compile_task(run_id))

    _send(rest_of_chain)


def send_export(run_id: UUID) -> None:
    """Have the export files written that a finished run lacks. Raises `DispatchFailed`; the sweeper repairs it."""
    _send(lambda: _waits(_task("export", str(run_id)), IN_TURN))


def send_chunk_tasks(run_id: UUID, stage: str, count: int) -> None:
    """Send `count` chunk tasks to help with a stage."""
    for _ in range(count):
        _send(lambda: _waits(_task("chunk", str(run_id), stage), AFTER_ALL_OTHERS))


def _waits(task: Signature[None], priority: int) -> Signature[None]:
    """RabbitMQ's quorum queues know nothing below the usual priority: there, all that is sent waits in one line."""
    return task if is_rabbitmq(load_settings().celery_broker_url) else task.set(priority=priority)


def _stage_task(stage: str, run_id: UUID, extra_tasks: int) -> Signature[None]:
    return _task(stage, str(run_id), extra_tasks)


def _compile_task(run_id: UUID) -> Signature[None]:
    return _task(COMPILE, str(run_id))


def _task(name: str, *args: str | int) -> Signature[None]:
    """The timeout is part of it, so that it also holds for the links that Celery sends by itself."""
    return app.signature(f"growth.{name}", args=args, immutable=True, confirm_timeout=CONFIRM_TIMEOUT_S)


def _send(message: Callable[[], Signature[None]]) -> None:
    if app.current_worker_task is None:
        _send_within_limit(message)
    else:
        # Tasks have limits of their own, and Celery knows by the thread which of them is the parent.
        _hand_over(message)


def _send_within_limit(message: Callable[[], Signature[None]]) -> None:
    """Send in a thread: nothing else bounds a name server that does not answer, or a broker that takes a byte a second.

    What comes too late is sent twice, which is always safe.
    """
    deadline = time.monotonic() + SENT_WITHIN_S
    sent: Future[None] = Future()
    if not _senders.acquire(timeout=SENT_WITHIN_S):
        raise DispatchFailed(_TOO_LATE)
    threading.Thread(target=_carry, args=(message, sent), name="growth-dispatch", daemon=True).start()
    try:
        sent.result(deadline - time.monotonic())
    except TimeoutError:
        raise DispatchFailed(_TOO_LATE) from None


_TOO_LATE = f"the broker did not take the message within {SENT_WITHIN_S} s: check its URL, and the way to its server."


def _carry(message: Callable[[], Signature[None]], sent: "Future[None]") -> None:
    try:
        _hand_over(message)
    except DispatchFailed as failure:
        sent.set_exception(failure)
    else:
        sent.set_result(None)
    finally:
        _senders.release()


def _hand_over(message: Callable[[], Signature[None]]) -> None:
    try:
        message().apply_async(queue=QUEUE)
    except UnusableSettings as error:
        raise DispatchFailed(str(error)) from error
    except Exception as error:
        raise DispatchFailed(f"the broker is {why_not_sent(error, load_settings())}") from error
