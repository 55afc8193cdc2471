"""Export files: written row by row under a lease, and left to another worker when this one is told to stop."""

import errno
import logging
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from typing import Any
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.orm import Session

from models.database import allow_idle_transaction
from models.postgres_errors import PostgresUnavailable
from models.queries import exports_of_run, stream_results
from models.run import Run
from pipeline.errors import LeaseLost, traced
from pipeline.results import export_lease
from pipeline.results.export_lease import MAX_ATTEMPTS, ExportLease
from pipeline.results.exports import ExportFile, discard, put_in_place, remove_exports, write_export
from pipeline.runs import live_state
from pipeline.runs.lifecycle import refreshed
from pipeline.runs.live_state import LiveState
from worker.commit_retry import retry_commit
from worker.dispatch import broker_may_be_away, send_export
from worker.process import Process

log = logging.getLogger(__name__)


class WorkerStops(Exception):
    """Raised when the worker is told to stop while rows stream: what is written so far is dropped."""


def export_stopped_run(process: Process, run_id: UUID, worker: str) -> None:
    """Write the export files that a finished run lacks: it was stopped, or a contact of it was erased.

    A second copy does nothing, and neither does one whose account has another run exported just now: it comes to its
    turn afterwards.
    """
    while lease := _lease(process, run_id, worker):
        try:
            _export(process, lease)
            break
        except LeaseLost as lost:
            log.warning("%s: what was written is dropped", lost)
    if lease:
        _send_next(process, run_id)
    else:
        _clear_away(process, run_id)


def write_exports(process: Process, session: Session, run_id: UUID, renew: Callable[[], None]) -> list[ExportFile]:
    """Write all files of a run beside their places, and call `renew` each `CHECKPOINT_SECONDS`.

    Raises `OSError` when the disk does not take them, `WorkerStops` when the worker is to stop, and whatever `renew`
    does; then nothing is left.
    """
    allow_idle_transaction(session)
    run, directory = refreshed(session, run_id), process.settings.export_dir
    exports: list[ExportFile] = []
    try:
        for name in run.export_formats:
            with closing(_rows(process, session, run_id, renew)) as rows:
                exports.append(write_export(directory, run_id, name, run.extra_columns, rows))
    except BaseException:
        discard(directory, exports)
        raise
    return exports


def disk_error(error: OSError) -> str:
    """A word for what the disk said."""
    return errno.errorcode.get(error.errno or 0, type(error).__name__)


def _rows(process: Process, session: Session, run_id: UUID, renew: Callable[[], None]) -> Generator[Row[Any]]:
    renewed = time.monotonic()
    with closing(stream_results(session, run_id)) as rows:
        for row in rows:
            if process.draining.is_set():
                raise WorkerStops
            if time.monotonic() - renewed > process.settings.checkpoint_seconds:
                renew()
                renewed = time.monotonic()
            yield row


def _lease(process: Process, run_id: UUID, worker: str) -> ExportLease | None:
    def lease(session: Session) -> ExportLease | None:
        return export_lease.lease_export(session, run_id, worker, process.settings.lease_seconds)

    def was_committed(session: Session, lease: ExportLease | None) -> bool:
        return lease is not None and export_lease.is_held(session, lease)

    return retry_commit(process, _of_exports(run_id), lease, was_committed)


def _export(process: Process, lease: ExportLease) -> None:
    if lease.attempt > MAX_ATTEMPTS:
        _end_badly(process, lease, "its workers died")
        return
    try:
        exports = _written(process, lease)
        try:
            _hand_out(process, lease, exports)
        finally:
            discard(process.settings.export_dir, exports)
    except WorkerStops:
        log.info("run %s: the worker stops, another one writes its export files", lease.run_id)
        _end(process, lease, export_lease.release_export)
    except PostgresUnavailable as error:
        log.warning("run %s: its export files are not written yet: %s", lease.run_id, error)
        _end(process, lease, export_lease.release_export)
    except OSError as error:
        _end_badly(process, lease, disk_error(error))
    except LeaseLost:
        raise
    except Exception as fault:  # noqa: BLE001 - whatever breaks is an attempt
        log.error("run %s: its export files broke: %s", lease.run_id, traced(fault))
        _end_badly(process, lease, type(fault).__name__)


def _written(process: Process, lease: ExportLease) -> Sequence[ExportFile]:
    def renew() -> None:
        with process.database.transaction() as session:
            export_lease.renew_export(session, lease, process.settings.lease_seconds)

    with process.database.transaction() as session:
        export_lease.hold_export(session, lease)
        # What is void, and what an earlier try that was killed has left.
        remove_exports(process.settings.export_dir, lease.run_id)
    with process.database.transaction() as session:
        return write_exports(process, session, lease.run_id, renew)


def _hand_out(process: Process, lease: ExportLease, exports: Sequence[ExportFile]) -> None:
    def finish(session: Session, lease: ExportLease) -> Run:
        run = export_lease.finish_export(session, lease, exports)
        put_in_place(process.settings.export_dir, exports)
        return run

    def was_committed(session: Session, _state: LiveState) -> bool:
        return bool(exports_of_run(session, lease.run_id))

    _end(process, lease, finish, was_committed)


def _end_badly(process: Process, lease: ExportLease, reason: str) -> None:
    log.error("run %s: its export files can't be written (%s), attempt %s", lease.run_id, reason, lease.attempt)
    _end(process, lease, lambda session, lease: export_lease.fail_export(session, lease, reason))


def _end(
    process: Process,
    lease: ExportLease,
    end: Callable[[Session, ExportLease], Run],
    was_committed: Callable[[Session, LiveState], bool] | None = None,
) -> None:
    """End the lease and tell readers. Raises `LeaseLost`, also when nobody heard that the lease was ended."""

    def step(session: Session) -> LiveState:
        return live_state.build(session, end(session, lease), process.settings.public_url)

    process.publish(retry_commit(process, _of_exports(lease.run_id), step, was_committed))


def _clear_away(process: Process, run_id: UUID) -> None:
    """Void files do not wait for their turn, or for the next try, to be deleted: they may hold what is erased."""

    def step(session: Session) -> None:
        if export_lease.is_void(session, run_id):
            remove_exports(process.settings.export_dir, run_id)

    try:
        retry_commit(process, _of_exports(run_id), step)
    except OSError as error:
        log.error("run %s: its void export files can't be deleted: %s", run_id, disk_error(error))


def _send_next(process: Process, run_id: UUID) -> None:
    """The account's turn is over: whoever waits for it is next, at the end of the queue."""
    due = retry_commit(process, _of_exports(run_id), lambda session: export_lease.next_unexported(session, run_id))
    if due is not None:
        with broker_may_be_away(due):
            send_export(due)


def _of_exports(run_id: UUID) -> str:
    return f"run {run_id}, exports"
