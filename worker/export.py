"""Writes export files from one stream of rows, under a lease. A worker that stops leaves them to another one."""

import errno
import logging
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
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
from pipeline.results import export_lease, stored_files
from pipeline.results.export_lease import MAX_ATTEMPTS, ExportLease
from pipeline.results.exports import ExportFile, FileSpec, put_in_place, remove_exports, write_exports
from pipeline.results.formats import TYPED
from pipeline.results.links import Links
from pipeline.results.own_rows import OWN, REJECTS
from pipeline.results.rows import Table
from pipeline.results.wanted import with_all_contacts
from pipeline.runs import live_state
from pipeline.runs.lifecycle import refreshed
from pipeline.runs.live_state import LiveState
from pipeline.stages import address_stages
from pipeline.storage import Bucket, Folder, Storage
from pipeline.storage.bucket import StorageFault
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
    """Write files of a run that nobody sees yet, and call `renew` each `CHECKPOINT_SECONDS`.

    The transaction must do nothing else. Raises `OSError` for an error of the storage, `WorkerStops` when the worker
    stops, and whatever `renew` raises. No file is left behind then.
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
                    written += write_files(process, run.id, files, table, _renewing(process, batches, renew), renew)
        except BaseException:
            discard(process, written)
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
    process: Process,
    run_id: UUID,
    wanted: Sequence[FileSpec],
    table: Table,
    batches: Iterable[Sequence[ResultRow]],
    renew: Callable[[], None],
) -> list[ExportFile]:
    """Write files of a run from its result rows. Raises as `stream_files` does."""
    rows, intended = _until_told_to_stop(process, batches), list[str]()

    def intend(keys: Sequence[str]) -> None:
        intended.extend(keys)
        with process.database.transaction() as session:
            stored_files.intend(session, run_id, keys)

    try:
        with _renewed_while_sending(process, renew):
            _try_out(process.storage)
            files = write_exports(process.storage, run_id, wanted, table, rows, intend)
    except BaseException as error:
        if isinstance(process.storage, Bucket):
            process.storage.has_failed = isinstance(error, OSError)
        _drop(process, intended, are_finished=False)
        raise
    return with_all_contacts(files)


@contextmanager
def handing_out(process: Process, exports: Sequence[ExportFile]) -> Iterator[None]:
    """Delete the files unless the block hands them out."""
    try:
        yield
    except BaseException:
        discard(process, exports)
        raise
    finally:
        if isinstance(process.storage, Folder):
            process.storage.discard([export.unfinished for export in exports])


def discard(process: Process, exports: Sequence[ExportFile]) -> None:
    """Delete complete files that nobody is to see."""
    keys = [export.unfinished for export in exports]
    _drop(process, keys, are_finished=True)
    if isinstance(process.storage, Folder):
        process.storage.discard(keys)


def _drop(process: Process, keys: Sequence[str], *, are_finished: bool) -> None:
    """Have the sweeper delete files from a bucket. If this does not come about, the next writer of the run does so."""
    if keys and isinstance(process.storage, Bucket):
        with suppress(PostgresUnavailable), process.database.transaction() as session:
            stored_files.drop(session, keys, are_finished=are_finished)


def storage_error(error: OSError) -> str:
    """A word for an error of the storage: the symbolic name of a disk error, such as ENOSPC, or a bucket's code."""
    if isinstance(error, StorageFault):
        return error.reason
    return errno.errorcode.get(error.errno or 0, type(error).__name__)


def _try_out(storage: Storage) -> None:
    """Find out with a small file whether a bucket that failed takes files again: without a row for each attempt."""
    if isinstance(storage, Bucket) and storage.has_failed:
        storage.try_out()
        storage.has_failed = False


def _renewed_while_sending(process: Process, renew: Callable[[], None]) -> AbstractContextManager[None]:
    """A part may be sent for longer than a lease lasts; a disk takes or refuses it at once."""
    return _renewed_meanwhile(process, renew) if isinstance(process.storage, Bucket) else nullcontext()


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
    # Who was frozen, and has lost the lease, finishes no file.
    renew()


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
        with handing_out(process, exports):
            _hand_out(process, lease, exports)
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
        _end_badly(process, lease, storage_error(error), str(error) if isinstance(error, StorageFault) else "")
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
        remove_exports(session, process.storage, lease.run_id, files_of_run(session, lease.run_id))
    with process.database.transaction() as session:
        run = refreshed(session, lease.run_id)
        return stream_files(process, session, run, export_lease.missing_files(session, run), renew)


def _hand_out(process: Process, lease: ExportLease, exports: Sequence[ExportFile]) -> None:
    def finish(session: Session, lease: ExportLease) -> Run:
        run = export_lease.finish_export(session, lease, exports)
        put_in_place(session, process.storage, run.id, exports, files_of_run(session, run.id))
        return run

    def was_committed(session: Session, _state: LiveState) -> bool:
        return {export.storage_key for export in exports} <= set(files_of_run(session, lease.run_id))

    _end(process, lease, finish, was_committed)


def _end_badly(process: Process, lease: ExportLease, reason: str, advice: str = "") -> None:
    why = advice or reason
    log.error("run %s: its export files can't be written (%s), attempt %s", lease.run_id, why, lease.attempt)
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
            remove_exports(session, process.storage, run_id)

    try:
        retry_commit(process, _of_exports(run_id), step)
    except OSError as error:
        log.error("run %s: its void export files can't be deleted: %s", run_id, storage_error(error))


def _send_next(process: Process, run_id: UUID) -> None:
    """Send the next export of the account, which goes to the end of the queue."""
    due = retry_commit(process, _of_exports(run_id), lambda session: export_lease.next_unexported(session, run_id))
    if due is not None:
        with broker_may_be_away(due):
            send_export(due)


def _of_exports(run_id: UUID) -> str:
    return f"run {run_id}, exports"
