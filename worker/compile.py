"""Compiles a run: writes the export files, which may be repeated, and then all results in one transaction."""

import logging
from collections.abc import Callable, Sequence
from uuid import UUID

from sqlalchemy.orm import Session

from models.queries import preset_of_run
from models.run_chunk import COMPILE
from models.transitions import forget_exports
from pipeline.errors import LeaseLost
from pipeline.results.export_lease import keep_turn, take_turn
from pipeline.results.exports import ExportFile, discard, put_in_place, remove_exports
from pipeline.runs import chunks, lifecycle, live_state, trouble
from pipeline.runs.chunks import Lease
from pipeline.runs.live_state import LiveState
from pipeline.runs.trouble import Step, StepFailed
from worker.attempts import fail_attempt
from worker.chain import begin
from worker.commit_retry import retry_commit, retry_commit_of_end, work_under
from worker.dispatch import broker_may_be_away, send_chain
from worker.export import WorkerStops, disk_error, write_exports
from worker.process import Process

PAUSE_S = 5.0
"""The pause after a disk error, or while export files of another run of the account are written."""
SMALL = 2000
"""Up to so many contacts an export takes no longer than a step of a chunk, and need not wait for a turn."""

log = logging.getLogger(__name__)


def compile_run(process: Process, run_id: UUID, worker: str) -> None:
    """The last step of the chain. Of several copies one compiles; the others find nothing to do."""
    begun = begin(process, run_id, COMPILE, worker)
    if begun.lease is None:
        return
    try:
        with trouble.step(Step.WRITE_EXPORTS):
            _compile(process, begun.lease)
    except StepFailed as failed:
        fail_attempt(process, begun.lease, failed, outcomes=())
    except LeaseLost as lost:
        log.warning("%s; another worker compiles the run", lost)


def _compile(process: Process, lease: Lease) -> None:
    """Raises `LeaseLost`. A disk error and another run's turn are no failed attempts: the run waits."""
    try:
        if _begin_writing(process, lease):
            _write_and_complete(process, lease)
        else:
            _pause(process, lease, "another_export_of_the_account")
    except WorkerStops:
        _release(process, lease)
    except OSError as error:
        name = disk_error(error)
        log.error("run %s: its export files can't be written (%s); next try in %g s", lease.run_id, name, PAUSE_S)
        _pause(process, lease, name)


def _write_and_complete(process: Process, lease: Lease) -> None:
    exports = retry_commit(process, work_under(lease), lambda session: _write(process, lease, session))
    try:
        _complete(process, lease, exports)
    finally:
        discard(process.settings.export_dir, exports)


def _complete(process: Process, lease: Lease, exports: Sequence[ExportFile]) -> None:
    def end(session: Session) -> LiveState:
        with trouble.step(Step.COMPLETE):
            run = lifecycle.complete(session, lease, exports, process.settings.lease_seconds)
        put_in_place(process.settings.export_dir, exports)
        return live_state.build(session, run, process.settings.public_url)

    process.publish(retry_commit_of_end(process, lease, end))


def _begin_writing(process: Process, lease: Lease) -> bool:
    """Remove the files of earlier attempts. Returns false when another run of the account is exported first.

    The large exports of an account take turns, so that they occupy one process only.
    """
    settings = process.settings

    def step(session: Session) -> bool:
        run = chunks.record(session, lease, (), settings.lease_seconds)
        is_large = run.contact_count > SMALL and bool(run.export_formats)
        if is_large and not take_turn(session, run, lease.worker, settings.lease_seconds):
            return False
        remove_exports(settings.export_dir, run.id)
        return True

    return retry_commit(process, work_under(lease), step)


def _pause(process: Process, lease: Lease, reason: str) -> None:
    _end_early(process, lease, lambda session: chunks.pause(session, lease, PAUSE_S, reason))


def _release(process: Process, lease: Lease) -> None:
    """Leave compiling to another worker, which starts from the beginning."""
    _end_early(process, lease, lambda session: chunks.release(session, lease, "the worker stops"))
    preset = retry_commit(process, work_under(lease), lambda session: preset_of_run(session, lease.run_id))
    with broker_may_be_away(lease.run_id):
        send_chain(lease.run_id, preset)


def _end_early(process: Process, lease: Lease, leave: Callable[[Session], None]) -> None:
    def end(session: Session) -> LiveState:
        chunks.record(session, lease, (), process.settings.lease_seconds)
        leave(session)
        forget_exports(session, lease.run_id)
        return live_state.build(session, lifecycle.refreshed(session, lease.run_id), process.settings.public_url)

    process.publish(retry_commit_of_end(process, lease, end))


def _write(process: Process, lease: Lease, session: Session) -> list[ExportFile]:
    return write_exports(process, session, lease.run_id, lambda: _renew(process, lease))


def _renew(process: Process, lease: Lease) -> None:
    """Renew the lease, in another transaction than the one that streams rows."""
    seconds = process.settings.lease_seconds
    with process.database.transaction() as session:
        chunks.record(session, lease, (), seconds)
        keep_turn(session, lease.run_id, lease.worker, seconds)
