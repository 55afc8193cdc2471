"""Writes export files from one stream of rows, under a lease. A worker that stops leaves them to another one."""

import errno
import logging
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from itertools import chain
from uuid import UUID

from sqlalchemy.orm import Session

from models.database import idle_transaction_allowed
from models.postgres_errors import QUERY_CANCELED, PostgresUnavailable, StatementTimeout
from models.queries import (
    ResultRow,
    files_of_run,
    stream_own_rows,
    stream_rejected_rows,
    stream_results,
    types_of_columns,
)
from models.run import Run
from pipeline.errors import LeaseLost, traced
from pipeline.results import export_lease
from pipeline.results.export_lease import MAX_ATTEMPTS, ExportLease
from pipeline.results.exports import ExportFile, FileSpec, discard, put_in_place, remove_exports, write_exports
from pipeline.results.formats import TYPED
from pipeline.results.links import Links
from pipeline.results.own_rows import OWN, REJECTS
from pipeline.results.rows import Table
from pipeline.results.wanted import with_all_contacts
from pipeline.runs import live_state
from pipeline.runs.lifecycle import refreshed
from pipeline.runs.live_state import LiveState
from pipeline.stages import address_stages
from worker.commit_retry import retry_commit
from worker.dispatch import broker_may_be_away, send_export
from worker.process import Process

log = logging.getLogger(__name__)


class WorkerStops(Exception):
    """Raised when the worker stops while rows are streamed. The incomplete files are removed."""


def export_stopped_run(process: Process, run_id: UUID, worker: str) -> None:
    """Write the missing export files of a finished run: one that was stopped, or had a contact erased.

    A second copy of the message does nothing. If another run of the account is being exported, this one is exported
    afterwards.
    """
    while lease := _lease(process, run_id, worker):
        try:
            _export(process, lease)
            break
        except LeaseLost as lost:
            log.warning("%s: the written files are dropped", lost)
    if lease:
        _send_next(process, run_id)
    else:
        _delete_void_files(process, run_id)


def stream_files(
    process: Process, session: Session, run: Run, wanted: Sequence[FileSpec], renew: Callable[[], None]
) -> list[ExportFile]:
    """Write files of a run under temporary names, and call `renew` each `CHECKPOINT_SECONDS`.

    The transaction must do nothing else. Raises `OSError` for a disk error, `WorkerStops` when the worker stops, and
    whatever `renew` raises. No file is left behind then.
    """
    if not wanted:
        return []
    with idle_transaction_allowed(session):
        with _renewed_meanwhile(process, renew):
            table = table_of(session, run, wanted)
        written: list[ExportFile] = []
        try:
            for files, batches in _streams(session, run, wanted):
                with closing(batches):
                    written += write_files(process, run.id, files, table, _renewing(process, batches, renew))
        except BaseException:
            discard(process.settings.export_dir, written)
            raise
        return written


def _streams(
    session: Session, run: Run, wanted: Sequence[FileSpec]
) -> Iterator[tuple[Sequence[FileSpec], Generator[Sequence[ResultRow]]]]:
    """The files that are written from one stream of rows, and the stream, one after the other."""
    others = {OWN, REJECTS}
    if of_results := [file for file in wanted if file.asset_id not in others]:
        yield of_results, stream_results(session, run.id, *address_stages(run.preset))
    for file in wanted:
        if file.asset_id == OWN and run.upload_id:
            yield [file], stream_own_rows(session, run.id, run.upload_id, *address_stages(run.preset))
        elif file.asset_id == REJECTS and run.upload_id:
            yield [file], stream_rejected_rows(session, run.upload_id)


def table_of(session: Session, run: Run, wanted: Sequence[FileSpec]) -> Table:
    """What these files need to know of a run. For some formats this looks at all of its contacts."""
    is_typed = run.extra_columns and any(file.format in TYPED for file in wanted)
    types = types_of_columns(session, run.id) if is_typed else {}
    return Table(run.extra_columns, run.contact_count, types)


def write_files(
    process: Process, run_id: UUID, wanted: Sequence[FileSpec], table: Table, batches: Iterable[Sequence[ResultRow]]
) -> list[ExportFile]:
    """Write files of a run from its result rows. Raises as `stream_files` does."""
    rows = _until_told_to_stop(process, batches)
    return with_all_contacts(write_exports(process.settings.export_dir, run_id, wanted, table, rows))


def disk_error(error: OSError) -> str:
    """The symbolic name of a disk error, such as ENOSPC."""
    return errno.errorcode.get(error.errno or 0, type(error).__name__)


def _renewing(
    process: Process, batches: Iterator[Sequence[ResultRow]], renew: Callable[[], None]
) -> Iterator[Sequence[ResultRow]]:
    # Postgres sorts all rows before it sends the first one.
    with _renewed_meanwhile(process, renew):
        first = next(batches, None)
    renewed = time.monotonic()
    for rows in chain([first] if first else [], batches):
        if time.monotonic() - renewed > process.settings.checkpoint_seconds:
            renew()
            renewed = time.monotonic()
        yield rows


@contextmanager
def _renewed_meanwhile(process: Process, renew: Callable[[], None]) -> Iterator[None]:
    """Call `renew` each `CHECKPOINT_SECONDS` while the block waits. Raises what `renew` raised, at the end."""
    has_ended = threading.Event()

    def keep_renewing() -> None:
        while not has_ended.wait(process.settings.checkpoint_seconds):
            renew()

    with ThreadPoolExecutor(1) as executor:
        renewing = executor.submit(keep_renewing)
        try:
            yield
        finally:
            has_ended.set()
        renewing.result()


def _until_told_to_stop(process: Process, batches: Iterable[Sequence[ResultRow]]) -> Iterator[Sequence[ResultRow]]:
    for rows in batches:
        if process.draining.is_set():
            raise WorkerStops
        yield rows


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
        log.info("run %s: the worker stops; another one writes its export files", lease.run_id)
        _end(process, lease, export_lease.release_export)
    except PostgresUnavailable as error:
        if error.sqlstate == QUERY_CANCELED:
            # Its statements may take too long each time: the attempt counts.
            _end_badly(process, lease, StatementTimeout.__name__)
            return
        log.warning("run %s: its export files are not written yet: %s", lease.run_id, error)
        _end(process, lease, export_lease.release_export)
    except OSError as error:
        _end_badly(process, lease, disk_error(error))
    except LeaseLost:
        raise
    except Exception as fault:  # noqa: BLE001 - any error is a failed attempt
        log.error("run %s: writing its export files failed: %s", lease.run_id, traced(fault))
        _end_badly(process, lease, type(fault).__name__)


def _written(process: Process, lease: ExportLease) -> Sequence[ExportFile]:
    def renew() -> None:
        with process.database.transaction() as session:
            export_lease.renew_export(session, lease, process.settings.lease_seconds)

    with process.database.transaction() as session:
        export_lease.hold_export(session, lease)
        # Void files, and what a killed attempt has left.
        remove_exports(process.settings.export_dir, lease.run_id, files_of_run(session, lease.run_id))
    with process.database.transaction() as session:
        run = refreshed(session, lease.run_id)
        return stream_files(process, session, run, export_lease.missing_files(session, run), renew)


def _hand_out(process: Process, lease: ExportLease, exports: Sequence[ExportFile]) -> None:
    def finish(session: Session, lease: ExportLease) -> Run:
        run = export_lease.finish_export(session, lease, exports)
        put_in_place(process.settings.export_dir, run.id, exports, files_of_run(session, run.id))
        return run

    def was_committed(session: Session, _state: LiveState) -> bool:
        return {export.storage_key for export in exports} <= set(files_of_run(session, lease.run_id))

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
    """End the lease and write the live copy. Raises `LeaseLost`."""

    def step(session: Session) -> LiveState:
        return live_state.build(session, end(session, lease), Links.of(process.settings))

    process.publish(retry_commit(process, _of_exports(lease.run_id), step, was_committed))


def _delete_void_files(process: Process, run_id: UUID) -> None:
    """Delete void files at once, not with the next attempt: they may contain erased contacts."""

    def step(session: Session) -> None:
        if export_lease.is_void(session, run_id):
            remove_exports(process.settings.export_dir, run_id)

    try:
        retry_commit(process, _of_exports(run_id), step)
    except OSError as error:
        log.error("run %s: its void export files can't be deleted: %s", run_id, disk_error(error))


def _send_next(process: Process, run_id: UUID) -> None:
    """Send the next export of the account, which goes to the end of the queue."""
    due = retry_commit(process, _of_exports(run_id), lambda session: export_lease.next_unexported(session, run_id))
    if due is not None:
        with broker_may_be_away(due):
            send_export(due)


def _of_exports(run_id: UUID) -> str:
    return f"run {run_id}, exports"
