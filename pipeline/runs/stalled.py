"""Finds runs that are stalled, or that take too long, for the sweeper."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, exists, func, select, text, true, tuple_, union, update
from sqlalchemy.orm import Session

from models.events import EventKind, add_event
from models.pauses import doubling_pause_sql, in_seconds
from models.run import Run
from models.run_chunk import RunChunk
from models.run_stage import RunStage
from models.schema import word
from models.status import ChunkStatus, RunStatus, StageStatus
from models.transitions import RunError

MAX_RESEND_PAUSE_S = 300

ONE_AT_A_TIME = text("SELECT pg_advisory_xact_lock(CAST(:lock AS bigint))")
SWEEP_LOCK = 0x73776570


@dataclass(frozen=True, slots=True)
class Stalled:
    """A run whose chain must be sent again."""

    run_id: UUID
    preset: str


@dataclass(frozen=True, slots=True)
class Overdue:
    """A run that exceeded a time limit, and the error to fail it with."""

    run_id: UUID
    error: RunError


def take_turn(session: Session) -> None:
    """Keep other sweepers out until this transaction ends; wait for one that is sweeping.

    What they look for spans several tables. Postgres checks again only the row that it had to wait for, so two
    that look at once would both find a run, and send its chain twice.
    """
    session.execute(ONE_AT_A_TIME, {"lock": SWEEP_LOCK})


def find_stalled(session: Session, limit: int = 100) -> Sequence[Stalled]:
    """Find runs with work that no chunk task does: never sent, or their tasks died. Call `take_turn` first.

    Each is marked as sent again. It is found once more after a pause of 1, 2, 4 ... seconds, at most five minutes,
    unless a chunk task gets through. A dead lease is resent once. Locked rows are skipped: their holder works on them.
    """
    stalled = (
        select(Run.id)
        .where(_is_active(), Run.id.in_(union(_at_rest(), _orphaned())))
        .order_by(Run.resend_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    pause = doubling_pause_sql(Run.resends + 1, MAX_RESEND_PAUSE_S)
    mark = (
        update(Run)
        .where(Run.id.in_(stalled))
        .values(resends=Run.resends + 1, resend_at=in_seconds(pause), parked_until=None)
        .returning(Run.id, Run.preset)
        .execution_options(synchronize_session=False)
    )
    found = [Stalled(run_id, preset) for run_id, preset in session.execute(mark)]
    _mark_dead_leases(session, [run.run_id for run in found], func.now())
    return found


def find_all_active(session: Session) -> Sequence[Stalled]:
    """Find all pending and running runs, after the broker lost its messages. Call `take_turn` first.

    Those that are due are postponed by a second, so that `find_stalled` does not send them at once a second time.
    """
    due = select(Run.id).where(_is_active(), _is_due()).with_for_update(skip_locked=True)
    postpone = (
        update(Run)
        .where(Run.id.in_(due))
        .values(resend_at=in_seconds(1), parked_until=None)
        .execution_options(synchronize_session=False)
    )
    session.execute(postpone)
    active = select(Run.id, Run.preset).where(_is_active())
    found = [Stalled(run_id, preset) for run_id, preset in session.execute(active)]
    _mark_dead_leases(session, [run.run_id for run in found], func.now())
    return found


def unmark_resent(session: Session, run_ids: Sequence[UUID]) -> None:
    """Undo the marks on runs whose chain could not be sent, so that the next sweep finds them again."""
    session.execute(
        update(Run)
        .where(Run.id.in_(run_ids))
        .values(resends=func.greatest(Run.resends - 1, 0), resend_at=func.now())
        .execution_options(synchronize_session=False)
    )
    _mark_dead_leases(session, run_ids, None)


def note_resent(session: Session, run_ids: Sequence[UUID], **detail: str) -> None:
    """Append to the timelines of these runs that their chains were sent again."""
    for run_id in run_ids:
        add_event(session, run_id, EventKind.RESENT, **detail)


def _at_rest() -> Select[Any]:
    """Runs that are due and have no live lease."""
    is_leased = (RunChunk.run_id == Run.id, RunChunk.status == word(ChunkStatus.LEASED))
    live_lease = exists().where(*is_leased, RunChunk.lease_expires_at > func.now())
    return select(Run.id).where(_is_active(), _is_due(), ~live_lease)


def _orphaned() -> Select[Any]:
    """Runs with a dead lease for which no chain was sent. Other chunk tasks may still work on the run."""
    return select(RunChunk.run_id).where(*_lease_is_dead(), RunChunk.resent_at.is_(None))


def _mark_dead_leases(session: Session, run_ids: Sequence[UUID], resent_at: ColumnElement[datetime] | None) -> None:
    # A task that is late may just renew one, and then wants the run's row, which is locked here.
    dead = (
        select(RunChunk.run_id, RunChunk.stage, RunChunk.number)
        .where(RunChunk.run_id.in_(run_ids), *_lease_is_dead())
        .with_for_update(key_share=True, skip_locked=True)
    )
    session.execute(
        update(RunChunk)
        .where(tuple_(RunChunk.run_id, RunChunk.stage, RunChunk.number).in_(dead))
        .values(resent_at=resent_at)
        .execution_options(synchronize_session=False)
    )


def _lease_is_dead() -> tuple[ColumnElement[bool], ...]:
    return RunChunk.status == word(ChunkStatus.LEASED), RunChunk.lease_expires_at <= func.now()


def _is_due() -> ColumnElement[bool]:
    return func.coalesce(Run.parked_until, Run.resend_at) <= func.now()


def _is_active() -> ColumnElement[bool]:
    return Run.status.in_([word(RunStatus.PENDING), word(RunStatus.RUNNING)])


def find_overdue(session: Session, run_hours: float, stage_hours: float, limit: int = 100) -> Sequence[Overdue]:
    """Find runs that exceeded their time limit, or whose running stage exceeded its own.

    A run that could not be failed is found again after a pause. Locked rows are skipped, and found by a later sweep:
    some transactions take minutes, such as the retry of a large run.
    """
    run_is_overdue = Run.created_at < _hours_ago(run_hours)
    # The LIMIT keeps the planner to one look at the stages of each active run: without it, it reads those of all runs.
    running = (
        select(RunStage.stage, RunStage.started_at)
        .where(RunStage.run_id == Run.id, RunStage.status == StageStatus.RUNNING)
        .limit(1)
        .lateral()
    )
    overdue = (
        select(Run.id, running.c.stage, run_is_overdue)
        .outerjoin(running, true())
        .where(
            _is_active(),
            func.coalesce(Run.retry_at, func.now()) <= func.now(),
            run_is_overdue | (running.c.started_at < _hours_ago(stage_hours)),
        )
        .limit(limit)
        .with_for_update(of=Run, skip_locked=True)
    )
    return [
        Overdue(run_id, _run_time_limit(run_hours) if whole_run else _stage_time_limit(stage, stage_hours))
        for run_id, stage, whole_run in session.execute(overdue)
    ]


def _hours_ago(hours: float) -> ColumnElement[datetime]:
    return in_seconds(-3600 * hours)


def _run_time_limit(hours: float) -> RunError:
    message = f"The run took longer than {hours:g} hours. Retry it: it goes on where it stopped."
    return RunError("run_time_limit", message, stage=None)


def _stage_time_limit(stage: str, hours: float) -> RunError:
    message = f"The stage {stage} took longer than {hours:g} hours. Retry the run: it goes on where it stopped."
    return RunError("stage_time_limit", message, stage)
