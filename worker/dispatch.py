"""Sends the messages of runs to the broker. Sending one twice is always safe: Postgres knows what is left to do."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from celery import Signature, chain

from models.run import PRESETS
from models.run_chunk import COMPILE
from pipeline.errors import InvalidInput
from pipeline.stages import stages_of
from settings import UnusableSettings, load_settings
from worker.app import app
from worker.broker import QUEUE, find_broker_trouble, is_rabbitmq, why_not_sent

__all__ = ["DispatchFailed", "broker_may_be_away", "find_broker_trouble", "send_chain", "send_export"]

CONFIRM_TIMEOUT_S = 5
"""How long RabbitMQ may take to confirm a message."""
SENT_WITHIN_S = 1.8
"""How long a send may take in all: name lookup, connecting, TLS, and the broker's answer."""
SENDERS = 10
"""The number of sends in flight at once: Celery's pool has as many connections."""

IN_TURN, AFTER_ALL_OTHERS = 3, 9
"""Priorities in Redis, where the lowest number comes first. Celery sends the later steps of a chain with priority 0.

A run that waits for a process has one chain step in the queue, and so has a running one for its next chunk: they take
turns, whatever their sizes. A run that proceeds to its next stage keeps its process. The extra tasks of a large run
come last: otherwise a small run would wait a whole chunk for each of them.
"""

log = logging.getLogger(__name__)
_senders = threading.BoundedSemaphore(SENDERS)


class DispatchFailed(Exception):
    """Raised when the broker did not accept a message. The text says why and what to do; the sweeper sends it later."""


@contextmanager
def broker_may_be_away(run_id: UUID) -> Iterator[None]:
    """Log a failed send and go on: the sweeper will repair it."""
    try:
        yield
    except DispatchFailed as error:
        log.warning("run %s: %s; the sweeper will send the chain", run_id, error)


def send_chain(run_id: UUID, preset: str) -> None:
    """Send the preset's part of `email_lookup → email_verify → compile`.

    Call it after the transaction that created the run is committed. Raises `DispatchFailed` within two seconds if the
    broker does not accept the message. Nothing is lost then: the sweeper sends the chain some seconds later. Raises
    `InvalidInput` for a preset that does not exist.
    """
    stages = stages_of(preset)
    if not stages:
        raise InvalidInput(f"There is no preset {preset!r}: choose {' or '.join(PRESETS)}.")

    def whole_chain() -> Signature[None]:
        extra_tasks = load_settings().max_tasks_per_run - 1
        first, *later = (_stage_task(stage, run_id, extra_tasks) for stage in stages)
        return chain(_queued(first, IN_TURN), *later, _compile_task(run_id))

    _send(whole_chain)


def send_rest_of_chain(run_id: UUID, preset: str, stage: str) -> None:
    """Send the chain from `stage` on. Its first step starts no extra tasks: they are running already."""
    stages = stages_of(preset)
    later = stages[stages.index(stage) + 1 :]

    def rest_of_chain() -> Signature[None]:
        extra_tasks = load_settings().max_tasks_per_run - 1
        first = _queued(_stage_task(stage, run_id, extra_tasks=0), IN_TURN)
        return chain(first, *(_stage_task(name, run_id, extra_tasks) for name in later), _compile_task(run_id))

    _send(rest_of_chain)


def send_export(run_id: UUID) -> None:
    """Request the missing export files of a finished run. Raises `DispatchFailed`, which the sweeper repairs."""
    _send(lambda: _queued(_task("export", str(run_id)), IN_TURN))


def send_chunk_tasks(run_id: UUID, stage: str, count: int) -> None:
    """Send `count` chunk tasks that work on a stage beside the chain."""
    for _ in range(count):
        _send(lambda: _queued(_task("chunk", str(run_id), stage), AFTER_ALL_OTHERS))


def _queued(task: Signature[None], priority: int) -> Signature[None]:
    """A task with its priority. RabbitMQ's quorum queues know none below the default: there tasks wait in one line."""
    return task if is_rabbitmq(load_settings().celery_broker_url) else task.set(priority=priority)


def _stage_task(stage: str, run_id: UUID, extra_tasks: int) -> Signature[None]:
    return _task(stage, str(run_id), extra_tasks)


def _compile_task(run_id: UUID) -> Signature[None]:
    return _task(COMPILE, str(run_id))


def _task(name: str, *args: str | int) -> Signature[None]:
    """A task with its timeout as an option, so that it also applies to the chain steps that Celery sends."""
    return app.signature(f"growth.{name}", args=args, immutable=True, confirm_timeout=CONFIRM_TIMEOUT_S)


def _send(message: Callable[[], Signature[None]]) -> None:
    """Send in a thread: nothing else bounds a name server that does not answer, or a broker that reads a byte a second.

    A task, too, must not wait: nobody else renews its leases. A message that arrives too late is sent twice, which is
    always safe.
    """
    deadline = time.monotonic() + SENT_WITHIN_S
    sent: Future[None] = Future()
    if not _senders.acquire(timeout=SENT_WITHIN_S):
        raise DispatchFailed(_TOO_LATE)
    arguments = (message, _parent(), sent)
    threading.Thread(target=_send_and_resolve, args=arguments, name="growth-dispatch", daemon=True).start()
    try:
        sent.result(deadline - time.monotonic())
    except TimeoutError:
        raise DispatchFailed(_TOO_LATE) from None


_TOO_LATE = (
    f"the broker did not accept the message within {SENT_WITHIN_S} s: check its URL, and the network to its server."
)


def _parent() -> Mapping[str, Any]:
    """The task that sends, which Celery would find by its thread."""
    task = app.current_worker_task
    return {"parent_id": task.request.id, "root_id": task.request.root_id} if task else {}


def _send_and_resolve(message: Callable[[], Signature[None]], parent: Mapping[str, Any], sent: "Future[None]") -> None:
    try:
        _apply(message, parent)
    except DispatchFailed as failure:
        sent.set_exception(failure)
    else:
        sent.set_result(None)
    finally:
        _senders.release()


def _apply(message: Callable[[], Signature[None]], parent: Mapping[str, Any]) -> None:
    try:
        message().apply_async(queue=QUEUE, **parent)
    except UnusableSettings as error:
        raise DispatchFailed(str(error)) from error
    except Exception as error:
        raise DispatchFailed(f"the broker is {why_not_sent(error, load_settings())}") from error
