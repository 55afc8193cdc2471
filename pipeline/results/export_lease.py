"""The lease on writing a run's export files: one run of an account at a time, with retries.

While files are still to be written, `runs.export_retry_at` says when they may be tried next. Who writes them is noted
in `runs.exporter` and pushes `export_retry_at` on; if it dies, that time passes and another worker may take over. The
run's version fences the lease: leasing, erasure and expiry raise it, and the holder of an older one hands out no file.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, Executable, exists, func, select, text, update
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session, aliased

from models.artifact import Artifact
from models.events import EventKind, add_event
from models.pauses import doubling_pause, doubling_pause_sql, in_seconds
from models.queries import artifacts_with_files, exports_of_run
from models.run import Run
from models.status import TERMINAL_RUN_STATUSES
from models.transitions import end_of_lease, forget_exports, lock_run, touch_run
from models.upload import Upload
from pipeline.errors import LeaseLost, RunStateConflict, UnknownRun
from pipeline.results import stored_files
from pipeline.results.artifacts import add_artifacts, retract_exports
from pipeline.results.exports import ExportFile, FileSpec
from pipeline.results.formats import check_size
from pipeline.results.own_rows import files_of_upload
from pipeline.results.wanted import ALL, artifacts_in, exports_in

_Statement = TypeVar("_Statement", bound=Executable)

MAX_ATTEMPTS = 12
"""With the pauses between them this takes an hour: longer than a full disk stays unnoticed."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 10, 600
ASKED_AGAIN_AFTER_S, ASKED_AT_LEAST_EACH_S = 10, 300
"""The sweeper asks again for files that are due and that nobody writes, after 10, 20, 40 ... seconds, at most 300: a
message may be on its way, or there may be no worker, and messages would pile up."""

# One lock for each account, held while its exports are leased.
TURN = text("SELECT pg_advisory_xact_lock(hashtextextended(CAST(:account_id AS text), 0))")


@dataclass(frozen=True, slots=True)
class ExportLease:
    """The right to write the export files of one finished run, until its version changes or the lease ends."""

    run_id: UUID
    version: int
    worker: str
    attempt: int


def ask_for_exports(session: Session, run: Run) -> None:
    """Have the files of a finished run written, with all attempts left. Ends any lease."""
    if run.export_formats:
        after = in_seconds(ASKED_AGAIN_AFTER_S)
        _set(session, run.id, export_retry_at=func.now(), export_attempts=0, exporter=None, resends=0, resend_at=after)


def request_exports(session: Session, run_id: UUID) -> None:
    """Have missing files written at once, on behalf of an operator, even after the last attempt.

    Raises `UnknownRun`, and `RunStateConflict` with the reason why there is nothing to write.
    """
    run = lock_run(session, run_id)
    if run is None:
        raise UnknownRun("There is no run with this id: check the id.")
    if reason := _why_not(session, run):
        raise RunStateConflict(reason)
    ask_for_exports(session, run)
    add_event(session, run_id, EventKind.EXPORT_REQUESTED)
    touch_run(session, run_id, 0)


def add_formats(session: Session, account_id: UUID, run_id: UUID, formats: Sequence[str]) -> Run:
    """Have files of a finished run written in further formats; return the run's fresh row.

    A writer that is at work loses its lease: the next one writes all that is missing. Raises `UnknownRun`,
    `RunStateConflict` for a run that has not ended, and `InvalidInput` for a format that can't hold its contacts.
    """
    run = lock_run(session, run_id)
    if run is None or run.account_id != account_id:
        raise UnknownRun.with_this_id()
    if run.status not in TERMINAL_RUN_STATUSES:
        raise RunStateConflict(f"This run is {run.status}: ask for further formats when it has ended.")
    if run.retracted_at:
        raise UnknownRun("The data of this run has expired and was deleted: create a new run.")
    new = [name for name in dict.fromkeys(formats) if name not in run.export_formats]
    for name in new:
        check_size(name, run.contact_count)
    if not new:
        return run
    run.export_formats = [*run.export_formats, *new]
    session.flush()
    ask_for_exports(session, run)
    add_event(session, run_id, EventKind.EXPORT_REQUESTED, formats=new)
    return touch_run(session, run_id, 0)


def missing_formats(session: Session, run: Run) -> list[str]:
    """The formats that the run was asked for and has no file in."""
    there = {export.format for export in exports_of_run(session, run.id)}
    return [name for name in run.export_formats if name not in there]


def missing_files(session: Session, run: Run) -> list[FileSpec]:
    """The files that a finished run is to have and has not: exports, artifacts that became void, rows of its upload."""
    all_contacts = session.get(Artifact, (run.id, ALL), populate_existing=True)
    is_void = all_contacts is not None and all_contacts.storage_key is None
    return [
        *exports_in(missing_formats(session, run)),
        *(artifacts_in(run.export_formats) if is_void else ()),
        *_missing_of_upload(session, run),
    ]


def artifacts_of_run(session: Session, run: Run) -> list[FileSpec]:
    """The files of a completed run beside its exports."""
    return [*artifacts_in(run.export_formats), *_of_upload(session, run)]


def lease_export(session: Session, run_id: UUID, worker: str, seconds: float) -> ExportLease | None:
    """Lease the writing of a finished run's files. None if they are not due or it is another run's turn."""
    run = lock_run(session, run_id)
    if run is None or run.status not in TERMINAL_RUN_STATUSES or run.export_retry_at is None:
        return None
    is_due = Run.export_retry_at <= _clock()
    if not _take_turn(session, run, is_due, worker, seconds, export_attempts=Run.export_attempts + 1):
        return None
    fresh = touch_run(session, run_id, 0)
    return ExportLease(run_id, fresh.version, worker, fresh.export_attempts)


def take_turn(session: Session, run: Run, worker: str, seconds: float) -> bool:
    """Take the account's turn for a run that is being compiled, which has another lease; return whether it was free."""
    is_free = Run.export_retry_at.is_(None) | (Run.export_retry_at <= _clock()) | (Run.exporter == worker)
    return _take_turn(session, run, is_free, worker, seconds)


def keep_turn(session: Session, run_id: UUID, worker: str, seconds: float) -> None:
    """Extend the turn of a run that is being compiled."""
    mine = update(Run).where(Run.id == run_id, Run.exporter == worker)
    session.execute(_quietly(mine.values(export_retry_at=end_of_lease(seconds))))


def renew_export(session: Session, lease: ExportLease, seconds: float) -> None:
    """Extend a lease. Raises `LeaseLost`."""
    mine = update(Run).where(Run.id == lease.run_id, Run.version == lease.version, Run.export_retry_at > _clock())
    renewed = session.execute(_quietly(mine.values(export_retry_at=end_of_lease(seconds)).returning(Run.id)))
    if renewed.first() is None:
        raise _lost(lease)


def hold_export(session: Session, lease: ExportLease) -> None:
    """Keep the lease from being taken until the transaction ends. Raises `LeaseLost`."""
    if not is_held(session, lease):
        raise _lost(lease)


def finish_export(session: Session, lease: ExportLease, exports: Iterable[ExportFile]) -> Run:
    """Publish the files and end the lease; return the run's fresh row. Raises `LeaseLost`."""
    hold_export(session, lease)
    add_artifacts(session, lease.run_id, exports)
    add_event(session, lease.run_id, EventKind.EXPORTED, worker=lease.worker)
    forget_exports(session, lease.run_id)
    return touch_run(session, lease.run_id, 0)


def release_export(session: Session, lease: ExportLease) -> Run:
    """Leave the files to another worker at once, without counting an attempt. Raises `LeaseLost`."""
    hold_export(session, lease)
    _set(session, lease.run_id, export_retry_at=func.now(), exporter=None, export_attempts=lease.attempt - 1)
    return touch_run(session, lease.run_id, 0)


def fail_export(session: Session, lease: ExportLease, reason: str) -> Run:
    """Record a failed attempt. The files are tried again later, unless it was the last. Raises `LeaseLost`."""
    hold_export(session, lease)
    tell = partial(add_event, session, lease.run_id, worker=lease.worker, attempts=lease.attempt, reason=reason)
    if lease.attempt >= MAX_ATTEMPTS:
        tell(EventKind.EXPORT_GIVEN_UP)
        _set(session, lease.run_id, export_retry_at=None, exporter=None)
    else:
        pause = doubling_pause(lease.attempt, LONGEST_PAUSE_S, FIRST_PAUSE_S)
        tell(EventKind.EXPORT_FAILED, seconds=pause)
        _set(session, lease.run_id, export_retry_at=in_seconds(pause), exporter=None)
    return touch_run(session, lease.run_id, 0)


def is_held(session: Session, lease: ExportLease) -> bool:
    """Whether the lease is still held: the run's version has not changed."""
    run = lock_run(session, lease.run_id)
    return run is not None and run.version == lease.version


def is_void(session: Session, run_id: UUID) -> bool:
    """Whether files on disk of a finished run are neither published nor being written."""
    run = lock_run(session, run_id)
    if run is None or run.status not in TERMINAL_RUN_STATUSES or exports_of_run(session, run_id):
        return False
    return not session.scalar(select(_is_written()).where(Run.id == run_id))


def void_exports(session: Session, run: Run) -> None:
    """Retract the run's files; those of a finished run are written again."""
    retract_exports(session, run.id)
    stored_files.let_go(session, run.id)
    if run.status in TERMINAL_RUN_STATUSES:
        ask_for_exports(session, run)
    else:
        forget_exports(session, run.id)


def find_unexported(session: Session, limit: int = 100) -> Sequence[UUID]:
    """Find finished runs whose files are due: for each account without a writer, the one that waits longest.

    No other run of these accounts is found again before the pause is over. Locked rows are skipped: a large run that
    is retried is locked for minutes, and the sweeper has other runs to look after.
    """
    is_due = (Run.status.in_(sorted(TERMINAL_RUN_STATUSES)), Run.export_retry_at <= func.now())
    first = (
        select(Run.id, Run.account_id)
        .where(*is_due, Run.resend_at <= func.now(), ~_is_served(Run))
        .ext(distinct_on(Run.account_id))
        .order_by(Run.account_id, Run.export_retry_at)
        .limit(limit)
    )
    found = session.execute(first).all()
    of_accounts = Run.account_id.in_([run.account_id for run in found])
    free = select(Run.id).where(of_accounts, *is_due).with_for_update(skip_locked=True)
    after = in_seconds(doubling_pause_sql(Run.resends + 1, ASKED_AT_LEAST_EACH_S, ASKED_AGAIN_AFTER_S))
    asked = update(Run).where(Run.id.in_(free)).values(resends=Run.resends + 1, resend_at=after).returning(Run.id)
    asked_for = set(session.scalars(_quietly(asked)))
    return [run.id for run in found if run.id in asked_for]


def unmark_asked(session: Session, run_ids: Sequence[UUID]) -> None:
    """The broker did not accept the messages for these runs: the next sweep finds them again."""
    unsent = update(Run).where(Run.id.in_(run_ids))
    session.execute(_quietly(unsent.values(resends=func.greatest(Run.resends - 1, 0), resend_at=func.now())))


def next_unexported(session: Session, run_id: UUID) -> UUID | None:
    """The run of the same account whose files are due for longest; None if there is none."""
    account = select(Run.account_id).where(Run.id == run_id).scalar_subquery()
    due = select(Run.id).where(
        Run.account_id == account,
        Run.status.in_(sorted(TERMINAL_RUN_STATUSES)),
        Run.export_retry_at <= func.now(),
    )
    return session.scalar(due.order_by(Run.export_retry_at).limit(1))


def _of_upload(session: Session, run: Run) -> list[FileSpec]:
    upload = session.get(Upload, run.upload_id, populate_existing=True) if run.upload_id else None
    return files_of_upload(upload, run.export_formats) if upload else []


def _missing_of_upload(session: Session, run: Run) -> list[FileSpec]:
    """A run that was stopped has its rows back, too: with what was found of them."""
    wanted = _of_upload(session, run)
    there = {artifact.asset_id for artifact in artifacts_with_files(session, run.id)} if wanted else set()
    return [file for file in wanted if file.asset_id not in there]


def _why_not(session: Session, run: Run) -> str | None:
    if run.status not in TERMINAL_RUN_STATUSES:
        return f"This run is {run.status}: its export files are written when it ends."
    if run.retracted_at:
        return "The data of this run has expired and was deleted: there is nothing to export."
    if not run.export_formats:
        return "This run was created without export files."
    if not missing_files(session, run):
        return "The export files of this run are there: `growth export` downloads them."
    if session.scalar(select(_is_written()).where(Run.id == run.id)):
        return "The export files of this run are being written just now."
    return None


def _take_turn(
    session: Session, run: Run, is_free: ColumnElement[bool], worker: str, seconds: float, **values: object
) -> bool:
    session.execute(TURN, {"account_id": str(run.account_id)})
    mine = update(Run).where(Run.id == run.id, is_free, ~_is_served(Run)).returning(Run.id)
    taken = session.execute(_quietly(mine.values(exporter=worker, export_retry_at=end_of_lease(seconds), **values)))
    return taken.first() is not None


def _is_served(run: type[Run]) -> ColumnElement[bool]:
    """Whether the files of another run of the same account are being written."""
    other = aliased(Run)
    return exists().where(other.account_id == run.account_id, other.id != run.id, _is_written(other))


def _is_written(run: type[Run] = Run) -> ColumnElement[bool]:
    return run.exporter.is_not(None) & (run.export_retry_at > _clock())


def _lost(lease: ExportLease) -> LeaseLost:
    return LeaseLost(f"run {lease.run_id}: the lease on its export files is gone")


def _set(session: Session, run_id: UUID, **values: object) -> None:
    session.execute(_quietly(update(Run).where(Run.id == run_id).values(**values)))


def _quietly(statement: _Statement) -> _Statement:
    """Do not synchronise the session's objects: callers refresh what they need."""
    return statement.execution_options(synchronize_session=False)


def _clock() -> ColumnElement[datetime]:
    """The current time. `now()` is the start of the transaction, which may have waited for a lock."""
    return func.clock_timestamp()
