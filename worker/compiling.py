"""Compiling: the export files first, each an idempotent step under the lease; then everything else at once."""

import errno
import logging
import time
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.orm import Session

from models.database import allow_idle_transaction
from models.events import EventKind, add_event
from models.queries import exports_of_run, stream_results
from models.run import Run
from models.run_chunk import COMPILE
from models.status import TERMINAL_RUN_STATUSES
from models.transitions import lock_run, touch_run
from pipeline import chunks, live_state, runs, trouble
from pipeline.chunks import Lease
from pipeline.errors import LeaseLost
from pipeline.live_state import LiveState
from pipeline.results.artifacts import add_artifacts, withdraw_exports
from pipeline.results.exports import ExportFile, remove_exports, write_export
from pipeline.retention import is_withdrawn
from pipeline.trouble import Step, StepFailed
from worker.attempts import fail_attempt
from worker.insisting import insist, insist_on_end, work_under
from worker.links import begin
from worker.process import Process
from worker.publishing import publish

DISK_PAUSE_S = 5.0
"""Until the next attempt, when the disk did not take the export files."""

log = logging.getLogger(__name__)


def compile_run(process: Process, run_id: UUID, worker: str) -> None:
    """The last link of the chain. May come more than once: one copy compiles, the others find nothing to do."""
    claim = begin(process, run_id, COMPILE, worker)
    if claim.lease is None:
        return
    try:
        _compile(process, claim.lease)
    except LeaseLost as lost:
        log.warning("%s; another worker compiles", lost)


def _compile(process: Process, lease: Lease) -> None:
    """Write and complete; what fails is tried again after a pause, until the run is failed. Raises `LeaseLost`."""
    try:
        with trouble.step(Step.WRITE_EXPORTS):
            exports = _try_to_write(process, lease)
        if exports is not None:
            with trouble.step(Step.COMPLETE):
                _complete(process, lease, exports)
    except StepFailed as failed:
        fail_attempt(process, lease, failed, outcomes=())


def export_stopped_run(process: Process, run_id: UUID, worker: str) -> None:
    """Write the export files that a finished run lacks: it was stopped, or a contact of it was erased.

    A second time does nothing. Raises `OSError` when the disk does not take them; the sweeper has it tried again.
    """
    while not _export_as_it_stands(process, run_id, worker):
        log.info("run %s changed while its export files were written: they are written again", run_id)


def _export_as_it_stands(process: Process, run_id: UUID, worker: str) -> bool:
    """Write the files once; false when the run changed meanwhile, so that they may hold what is erased by now."""
    with process.database.transaction() as session:
        allow_idle_transaction(session)
        run = session.get(Run, run_id)
        if run is None or run.status not in TERMINAL_RUN_STATUSES or exports_of_run(session, run_id):
            return True
        if is_withdrawn(session, run_id):
            return True
        version = run.version
        exports = [
            write_export(process.settings.export_dir, run_id, name, run.extra_columns, stream_results(session, run_id))
            for name in run.export_formats
        ]
    with process.database.transaction() as session:
        run = lock_run(session, run_id)
        if is_withdrawn(session, run_id):
            remove_exports(process.settings.export_dir, run_id)
            return True
        if run is None or run.version != version:
            # Also those of somebody who was quicker: ours, older, may lie over theirs.
            withdraw_exports(session, run_id)
            return False
        add_artifacts(session, run_id, exports)
        add_event(session, run_id, EventKind.EXPORTED, worker=worker)
        state = live_state.build(session, touch_run(session, run_id, 0), process.settings.public_url)
    publish(process, state)
    return True


def _complete(process: Process, lease: Lease, exports: Sequence[ExportFile]) -> None:
    def end(session: Session) -> LiveState:
        run = runs.complete(session, lease, exports, process.settings.lease_seconds)
        return live_state.build(session, run, process.settings.public_url)

    publish(process, insist_on_end(process, lease, end))


def _try_to_write(process: Process, lease: Lease) -> Sequence[ExportFile] | None:
    """The export files; none when the disk did not take them. That is not the run's fault: it waits for room."""
    try:
        return insist(process, work_under(lease), lambda session: _write_exports(process, lease, session))
    except OSError as error:
        name = errno.errorcode.get(error.errno or 0, type(error).__name__)
        log.error("run %s: its export files can't be written (%s); next try in %g s", lease.run_id, name, DISK_PAUSE_S)

    def end(session: Session) -> LiveState:
        run = chunks.record(session, lease, (), process.settings.lease_seconds)
        chunks.pause(session, lease, DISK_PAUSE_S, reason=name)
        return live_state.build(session, run, process.settings.public_url)

    publish(process, insist_on_end(process, lease, end))
    return None


def _write_exports(process: Process, lease: Lease, session: Session) -> list[ExportFile]:
    allow_idle_transaction(session)
    run = runs.refreshed(session, lease.run_id)
    return [
        write_export(process.settings.export_dir, run.id, name, run.extra_columns, _rows(process, lease, session))
        for name in run.export_formats
    ]


def _rows(process: Process, lease: Lease, session: Session) -> Iterator[Row[Any]]:
    """The run's result rows; while they stream, the lease is renewed in transactions of their own."""
    renewed = time.monotonic()
    for row in stream_results(session, lease.run_id):
        if time.monotonic() - renewed > process.settings.flush_seconds:
            _renew(process, lease)
            renewed = time.monotonic()
        yield row


def _renew(process: Process, lease: Lease) -> None:
    with process.database.transaction() as session:
        chunks.record(session, lease, (), process.settings.lease_seconds)
