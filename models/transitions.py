"""The only writer of statuses.

Each function is a guarded update that says whether it landed, and appends to the timeline when it did.
*False* always means: the row was not in a status from which this may follow, so somebody else was first.
All of them expect that the caller holds the run's row (`lock_run`), which is the run's mutex.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Update, func, select, text, update
from sqlalchemy.orm import Session

from models.database import changed_rows
from models.events import EventKind, add_event
from models.pauses import doubling_pause_sql, in_seconds
from models.pauses import seconds as interval
from models.run import Run
from models.run_chunk import RunChunk, is_chunk
from models.run_stage import RunStage
from models.status import TERMINAL_RUN_STATUSES, ChunkStatus, RunStatus, StageStatus, statuses_before

RETRACT = text("""
UPDATE outcomes SET status = coalesce(CAST(:statuses AS jsonb) ->> stage, 'skipped'),
  reason = :reason, email = NULL, source = NULL, score = 0, evidence = '{}'
WHERE run_id = :run_id AND position = ANY(:positions)
""")

# Of the chunks with these contacts, which no stage has to do with any more.
RECOUNT_WAITING = text("""
WITH chunks AS (
  SELECT c.stage, c.number, c.waiting FROM run_chunks c
  WHERE c.run_id = :run_id AND c.status = 'open' AND c.waiting > 0 AND EXISTS (
    SELECT FROM unnest(CAST(:positions AS bigint[])) AS p WHERE p BETWEEN c.first_position AND c.last_position
  )
), recounted AS (
  UPDATE run_chunks c SET waiting = (
    SELECT count(*) FROM deferrals d
    WHERE d.run_id = c.run_id AND d.stage = c.stage AND d.position BETWEEN c.first_position AND c.last_position
      AND NOT EXISTS (
        SELECT FROM outcomes o WHERE o.run_id = d.run_id AND o.position = d.position AND o.stage = d.stage
      )
  )
  FROM chunks WHERE c.run_id = :run_id AND c.stage = chunks.stage AND c.number = chunks.number
  RETURNING c.stage, chunks.waiting - c.waiting AS fewer
)
UPDATE run_stages s SET waiting = s.waiting - f.fewer
FROM (SELECT stage, sum(fewer) AS fewer FROM recounted GROUP BY stage) f
WHERE s.run_id = :run_id AND s.stage = f.stage
""")


@dataclass(frozen=True, slots=True)
class RunError:
    """Why a run failed: a code for machines, a sentence for people, and the stage it happened in."""

    code: str
    message: str
    stage: str | None


def lock_run(session: Session, run_id: UUID) -> Run | None:
    """The run's row, locked until the transaction ends; none when there is no such run."""
    return session.scalar(
        select(Run).where(Run.id == run_id).with_for_update().execution_options(populate_existing=True)
    )


def touch_run(session: Session, run_id: UUID, quiet_seconds: float) -> Run:
    """A new version for readers; and the sweeper leaves the run alone for `quiet_seconds`. Its fresh row."""
    return session.scalars(
        update(Run)
        .where(Run.id == run_id)
        .values(
            version=Run.version + 1,
            updated_at=func.now(),
            resends=0,
            resend_at=in_seconds(quiet_seconds),
            parked_until=None,
        )
        .returning(Run)
        .execution_options(populate_existing=True)
    ).one()


def start_run(session: Session, run_id: UUID, worker: str) -> bool:
    """`pending` to `running`."""
    landed = _move_run(session, run_id, RunStatus.RUNNING, started_at=func.now())
    if landed:
        add_event(session, run_id, EventKind.STARTED, worker=worker)
    return landed


def start_stage(session: Session, run_id: UUID, stage: str, worker: str) -> bool:
    """`pending` to `running`."""
    landed = _landed(
        session,
        update(RunStage)
        .where(RunStage.run_id == run_id, RunStage.stage == stage, RunStage.status == StageStatus.PENDING)
        .values(status=StageStatus.RUNNING, started_at=func.now()),
    )
    if landed:
        add_event(session, run_id, EventKind.STAGE_STARTED, stage=stage, worker=worker)
    return landed


def complete_stage(session: Session, run_id: UUID, stage: str, worker: str) -> bool:
    """`running` to `completed`, once each of its contacts has an outcome."""
    landed = _landed(
        session,
        update(RunStage)
        .where(
            RunStage.run_id == run_id,
            RunStage.stage == stage,
            RunStage.status == StageStatus.RUNNING,
            RunStage.done == RunStage.total,
        )
        .values(status=StageStatus.COMPLETED, finished_at=func.now()),
    )
    if landed:
        add_event(session, run_id, EventKind.STAGE_COMPLETED, stage=stage, worker=worker)
    return landed


def complete_run(session: Session, run_id: UUID, worker: str, **results: Any) -> bool:
    """`running` to `completed`, with its compiled results (columns of the run)."""
    landed = _move_run(session, run_id, RunStatus.COMPLETED, finished_at=func.now(), **results)
    if landed:
        add_event(session, run_id, EventKind.COMPLETED, worker=worker)
    return landed


def fail_run(session: Session, run_id: UUID, error: RunError, worker: str | None = None, **results: Any) -> bool:
    """`pending` or `running` to `failed`, with its running stage and its chunks; `worker` is none for the sweeper."""
    landed = _move_run(
        session,
        run_id,
        RunStatus.FAILED,
        finished_at=func.now(),
        error_code=error.code,
        error_message=error.message,
        error_stage=error.stage,
        **results,
    )
    if landed:
        _end_running_stage(session, run_id, StageStatus.FAILED)
        _stop_chunks(session, run_id)
        add_event(session, run_id, EventKind.FAILED, stage=error.stage, worker=worker, code=error.code)
    return landed


def cancel_run(session: Session, run_id: UUID, **results: Any) -> bool:
    """`pending` or `running` to `cancelled`, with its running stage and its chunks."""
    landed = _move_run(session, run_id, RunStatus.CANCELLED, finished_at=func.now(), **results)
    if landed:
        _end_running_stage(session, run_id, StageStatus.CANCELLED)
        _stop_chunks(session, run_id)
        add_event(session, run_id, EventKind.CANCELLED)
    return landed


def expire_run(session: Session, run_id: UUID) -> bool:
    """Note that the data of a finished run is deleted; the names of its client's columns go with it."""
    landed = _landed(
        session,
        update(Run)
        # Not `finished_at`: the planner would look through the index of all that may expire, and not for this one.
        .where(Run.id == run_id, Run.status.in_(sorted(TERMINAL_RUN_STATUSES)), Run.expired_at.is_(None))
        .values(
            retracted_at=func.coalesce(Run.retracted_at, func.now()),
            expired_at=func.now(),
            extra_columns=[],
            version=Run.version + 1,
            updated_at=func.now(),
        ),
    )
    if landed:
        add_event(session, run_id, EventKind.EXPIRED)
    return landed


def forget_exports(session: Session, run_id: UUID) -> None:
    """No export files are to be written, and nobody is at it: another run of the account may have its turn."""
    session.execute(
        update(Run)
        .where(Run.id == run_id)
        .values(export_retry_at=None, exporter=None, export_attempts=0)
        .execution_options(synchronize_session=False)
    )


def retract_run(session: Session, run_id: UUID) -> None:
    """Nothing of a finished run is shown, handed out or retried from now on: its data is about to be deleted."""
    session.execute(
        update(Run)
        .where(Run.id == run_id)
        .values(retracted_at=func.coalesce(Run.retracted_at, func.now()))
        .execution_options(synchronize_session=False)
    )


def park_run(session: Session, run_id: UUID, until: Any) -> None:
    """Nothing can be done for a run before this time: then the sweeper sends its chain, unless it moves before."""
    session.execute(
        update(Run).where(Run.id == run_id).values(parked_until=until).execution_options(synchronize_session=False)
    )


def retract_outcomes(
    session: Session, run_id: UUID, positions: Sequence[int], reason: str, statuses: Mapping[str, str]
) -> None:
    """Replace what all stages said of these contacts by no address and a reason. Each stays counted as done.

    `statuses` is the status that takes the place of each stage's.
    """
    replaced = {"run_id": run_id, "positions": list(positions), "reason": reason, "statuses": json.dumps(statuses)}
    session.execute(RETRACT, replaced)


def end_of_lease(seconds: float) -> ColumnElement[datetime]:
    """When a lease ends that begins at this statement.

    Not `now()`: that is when the transaction began, and it may since have waited for the run's row.
    """
    return func.clock_timestamp() + interval(seconds)


def lease_chunk(session: Session, chunk: RunChunk, worker: str, lease_seconds: float) -> int:
    """Give a free chunk, locked by the caller, to `worker`; the new token."""
    statement = (
        update(RunChunk)
        .where(is_chunk(chunk.run_id, chunk.stage, chunk.number))
        .values(
            status=ChunkStatus.LEASED,
            token=RunChunk.token + 1,
            attempts=RunChunk.attempts + 1,
            worker=worker,
            lease_expires_at=end_of_lease(lease_seconds),
            resent_at=None,
            not_before=None,
            waiting=0,
        )
        .returning(RunChunk.token)
        .execution_options(synchronize_session=False)
    )
    return session.scalars(statement).one()


def finish_chunk(session: Session, run_id: UUID, stage: str, number: int, token: int) -> bool:
    """`leased` under this token to `done`."""
    return _release(session, run_id, stage, number, token, status=ChunkStatus.DONE)


def release_chunk(session: Session, run_id: UUID, stage: str, number: int, token: int) -> bool:
    """`leased` under this token to `open`: what is left of it is for another chunk task, which starts afresh."""
    return _release(session, run_id, stage, number, token, status=ChunkStatus.OPEN, attempts=0)


def fail_chunk_attempt(
    session: Session, run_id: UUID, stage: str, number: int, token: int, longest_s: int
) -> int | None:
    """`leased` under this token to `open`: a step of it failed, which counts as an attempt; how many there were.

    To be leased only after 1, 2, 4 ... seconds, at most `longest_s`. None when it was not leased under this token.
    """
    not_before = in_seconds(doubling_pause_sql(RunChunk.attempts, longest_s))
    statement = (
        update(RunChunk)
        .where(is_chunk(run_id, stage, number), RunChunk.token == token, RunChunk.status == ChunkStatus.LEASED)
        .values(status=ChunkStatus.OPEN, lease_expires_at=None, not_before=not_before)
        .returning(RunChunk.attempts)
        .execution_options(synchronize_session=False)
    )
    return session.scalars(statement).one_or_none()


def defer_chunk(
    session: Session, run_id: UUID, stage: str, number: int, token: int, seconds: float, waiting: int = 0
) -> bool:
    """`leased` under this token to `open`, to be leased only after so many seconds, for which contacts wait."""
    until = {"not_before": in_seconds(seconds), "waiting": waiting}
    return _release(session, run_id, stage, number, token, status=ChunkStatus.OPEN, attempts=0, **until)


def _release(session: Session, run_id: UUID, stage: str, number: int, token: int, **values: Any) -> bool:
    return _landed(
        session,
        update(RunChunk)
        .where(is_chunk(run_id, stage, number), RunChunk.token == token, RunChunk.status == ChunkStatus.LEASED)
        .values(lease_expires_at=None, **values),
    )


def recount_waiting(session: Session, run_id: UUID, positions: Sequence[int]) -> None:
    """Count anew who waits in the chunks of these contacts: they do not any more."""
    session.execute(RECOUNT_WAITING, {"run_id": run_id, "positions": list(positions)})


def _move_run(session: Session, run_id: UUID, target: RunStatus, **values: Any) -> bool:
    return _landed(
        session,
        update(Run)
        .where(Run.id == run_id, Run.status.in_(sorted(statuses_before(target))))
        .values(status=target, version=Run.version + 1, updated_at=func.now(), **values),
    )


def _end_running_stage(session: Session, run_id: UUID, status: StageStatus) -> None:
    session.execute(
        update(RunStage)
        .where(RunStage.run_id == run_id, RunStage.status == StageStatus.RUNNING)
        .values(status=status, finished_at=func.now(), waiting=0)
    )


def _stop_chunks(session: Session, run_id: UUID) -> None:
    """Nobody leases what is left, and whoever holds a lease has lost it."""
    session.execute(
        update(RunChunk)
        .where(RunChunk.run_id == run_id, RunChunk.status.in_([ChunkStatus.OPEN, ChunkStatus.LEASED]))
        .values(status=ChunkStatus.STOPPED, lease_expires_at=None, not_before=None, waiting=0)
        .execution_options(synchronize_session=False)
    )


def _landed(session: Session, statement: Update) -> bool:
    return changed_rows(session, statement) > 0
