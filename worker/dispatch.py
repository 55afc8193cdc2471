"""Sends a run's chain. Sending it again, or twice at once, is always safe: Postgres says what is left."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from amqp.exceptions import MessageNacked
from celery import Signature, chain
from kombu.exceptions import OperationalError

from models.run_chunk import COMPILE
from models.settings import load_settings
from pipeline.stages import PRESETS
from worker.app import QUEUE, app

CONFIRM_TIMEOUT_S = 5
"""How long RabbitMQ may take to say that it has a message."""

log = logging.getLogger(__name__)


class DispatchFailed(Exception):
    """Raised when the broker did not take the message; the sweeper will send it."""


@contextmanager
def broker_may_be_away(run_id: UUID) -> Iterator[None]:
    """For sends that the sweeper repairs when they fail: it logs the failure and goes on."""
    try:
        yield
    except DispatchFailed as error:
        log.warning("run %s: %s; the sweeper will send the chain", run_id, error)


def send_chain(run_id: UUID, preset: str) -> None:
    """Send `email_lookup → email_verify → compile`, or what the preset has of it.

    Call it after the transaction that created the run is committed. Raises `DispatchFailed`; then nothing
    is lost, since the sweeper sends it some seconds later.
    """
    helpers = load_settings().max_lanes - 1
    _send(chain(*(_stage_task(stage, run_id, helpers) for stage in PRESETS[preset]), _compile_task(run_id)))


def send_rest_of_chain(run_id: UUID, preset: str, stage: str) -> None:
    """Send the chain from `stage` on. Its first link starts no helper lanes: they are at work already."""
    stages = PRESETS[preset]
    later = stages[stages.index(stage) + 1 :]
    helpers = load_settings().max_lanes - 1
    first = _stage_task(stage, run_id, helper_lanes=0)
    _send(chain(first, *(_stage_task(name, run_id, helpers) for name in later), _compile_task(run_id)))


def send_export(run_id: UUID) -> None:
    """Have the exports of a failed or cancelled run written. Raises `DispatchFailed`; the sweeper repairs it."""
    _send(_task("export", str(run_id)))


def send_lanes(run_id: UUID, stage: str, count: int) -> None:
    """Send `count` lanes to help with a stage."""
    lane = _task("lane", str(run_id), stage)
    for _ in range(count):
        _send(lane)


def _stage_task(stage: str, run_id: UUID, helper_lanes: int) -> Signature[None]:
    return _task(stage, str(run_id), helper_lanes)


def _compile_task(run_id: UUID) -> Signature[None]:
    return _task(COMPILE, str(run_id))


def _task(name: str, *args: str | int) -> Signature[None]:
    """The timeout is part of it, so that it also holds for the links that Celery sends by itself."""
    return app.signature(f"growth.{name}", args=args, immutable=True, confirm_timeout=CONFIRM_TIMEOUT_S)


def _send(signature: Signature[None]) -> None:
    try:
        signature.apply_async(queue=QUEUE)
    except (OperationalError, MessageNacked) as error:
        raise DispatchFailed(f"the broker does not answer: {type(error).__name__}") from error
