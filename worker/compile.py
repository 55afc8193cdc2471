"""Compiles a run: writes the export files, which may be repeated, and then all results in one transaction.

The rows of a small run are read in the transaction that leases its compilation.
"""

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from uuid import UUID

from sqlalchemy.orm import Session

from models.queries import ResultRow, first_results, preset_of_run
from models.run import Run
from models.run_chunk import COMPILE
from models.transitions import forget_exports
from pipeline.errors import LeaseLost
from pipeline.results.export_lease import artifacts_of_run, keep_turn, take_turn
from pipeline.results.exports import ExportFile, FileSpec, put_in_place, remove_exports
from pipeline.results.links import Links
from pipeline.results.rows import Table
from pipeline.results.wanted import exports_in
from pipeline.runs import chunks, lifecycle, live_state, trouble
from pipeline.runs.chunks import Lease
from pipeline.runs.live_state import LiveState
from pipeline.runs.trouble import Step, StepFailed
from pipeline.stages import address_stages
from pipeline.storage.bucket import StorageFault
from worker.attempts import fail_attempt
from worker.chain import begin
from worker.commit_retry import retry_commit, retry_commit_of_end, work_under
from worker.dispatch import broker_may_be_away, send_chain
from worker.export import WorkerStops, handing_out, storage_error, stream_files, table_of, write_files
from worker.process import Process

PAUSE_S = 5.0
"""The pause after a disk error, or while export files of another run of the account are written."""
SMALL = 2000
"""Up to so many contacts an export takes no longer than a step of a chunk: it needs no turn, and holds all its rows."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SmallRun:
    """What the export files of a small run are written from. It was read when the run was leased."""

    wanted: Sequence[FileSpec]
    table: Table
    rows: Sequence[ResultRow]


def compile_run(process: Process, run_id: UUID, worker: str) -> None:
    """The last step of the chain. Of several copies one compiles; the others find nothing to do."""
    begun = begin(process, run_id, COMPILE, worker, _load_small)
    if begun.lease is None:
        return
    try:
        with trouble.step(Step.WRITE_EXPORTS):
            _compile(process, begun.lease, begun.loaded)
    except StepFailed as failed:
        fail_attempt(process, begun.lease, failed, outcomes=())
    except LeaseLost as lost:
        log.warning("%s; another worker compiles the run", lost)


def _load_small(session: Session, run: Run, _lease: Lease) -> SmallRun | None:
    """The result rows of a small run; none for a large one, and for one whose upload may have more rows than contacts.

    Their rows are streamed.
    """
    if run.contact_count > SMALL or run.upload_id:
        return None
    wanted = _wanted(session, run) if run.export_formats else []
    rows = first_results(session, run.id, run.contact_count, *address_stages(run.preset)) if wanted else ()
    return SmallRun(wanted, table_of(session, run, wanted), rows)


def _compile(process: Process, lease: Lease, small: SmallRun | None) -> None:
    """Raises `LeaseLost`. A disk error and another run's turn are no failed attempts: the run waits."""
    try:
        state = _compile_small(process, lease, small) if small else _compile_in_turn(process, lease)
    except WorkerStops:
        _release(process, lease)
    except OSError as error:
        why = error if isinstance(error, StorageFault) else storage_error(error)
        log.error("run %s: its export files can't be written (%s); next try in %g s", lease.run_id, why, PAUSE_S)
        _pause(process, lease, storage_error(error))
    else:
        if state is None:
            _pause(process, lease, "another_export_of_the_account")
        else:
            process.publish(state)


def _compile_small(process: Process, lease: Lease, small: SmallRun) -> LiveState:
    wanted, renew = small.wanted, partial(_renew, process, lease)
    exports = write_files(process, lease.run_id, wanted, small.table, [small.rows], renew) if wanted else []
    return _complete(process, lease, exports)


def _compile_in_turn(process: Process, lease: Lease) -> LiveState | None:
    """Stream the files of a run and complete it; none if it is the turn of another run of the account."""
    if not _begin_writing(process, lease):
        return None
    exports = retry_commit(process, work_under(lease), lambda session: _stream(process, lease, session))
    return _complete(process, lease, exports)


def _complete(process: Process, lease: Lease, exports: Sequence[ExportFile]) -> LiveState:
    """Hand the files out. Those that are not handed out are deleted."""
    with handing_out(process, exports):
        return retry_commit_of_end(process, lease, lambda session: _completed(process, session, lease, exports))


def _stream(process: Process, lease: Lease, session: Session) -> list[ExportFile]:
    run = lifecycle.refreshed(session, lease.run_id)
    return stream_files(process, session, run, _wanted(session, run), partial(_renew, process, lease))


def _wanted(session: Session, run: Run) -> list[FileSpec]:
    return [*exports_in(run.export_formats), *artifacts_of_run(session, run)]


def _completed(process: Process, session: Session, lease: Lease, exports: Sequence[ExportFile]) -> LiveState:
    with trouble.step(Step.COMPLETE):
        run = lifecycle.complete(session, lease, exports)
    put_in_place(session, process.storage, run.id, exports)
    return live_state.build(session, run, Links.of(process.settings))


def _begin_writing(process: Process, lease: Lease) -> bool:
    """Remove the files of earlier attempts. Returns false when another run of the account is exported first.

    The large exports of an account take turns, so that they occupy one process only.
    """
    settings = process.settings

    def step(session: Session) -> bool:
        run = chunks.record(session, lease, (), settings.lease_seconds)
        if run.export_formats and not take_turn(session, run, lease.worker, settings.lease_seconds):
            return False
        remove_exports(session, process.storage, run.id)
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
        with suppress(OSError):
            # What attempts that were killed have left: a disk may be full.
            remove_exports(session, process.storage, lease.run_id)
        leave(session)
        forget_exports(session, lease.run_id)
        return live_state.build(session, lifecycle.refreshed(session, lease.run_id), Links.of(process.settings))

    process.publish(retry_commit_of_end(process, lease, end))


def _renew(process: Process, lease: Lease) -> None:
    """Renew the lease, in another transaction than the one that streams rows."""
    seconds = process.settings.lease_seconds
    with process.database.transaction() as session:
        chunks.record(session, lease, (), seconds)
        keep_turn(session, lease.run_id, lease.worker, seconds)
