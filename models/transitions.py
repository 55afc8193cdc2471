"""The only module that changes the status of a run, a stage or a chunk.

Each transition is a guarded update. It returns whether it took effect, and appends to the timeline if it did. *False*
means that the row was not in a status from which the transition is allowed: another process was first. The caller must
hold the lock on the run's row (`lock_run`).
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Update, func, select, text, tuple_, update
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

# For the chunks that hold these contacts, whose outcomes are written by now.
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
    """Why a run failed: a code for programs, a sentence for people, and the stage in which it failed."""

    code: str
    message: str
    stage: str | None


def lock_run(session: Session, run_id: UUID) -> Run | None:
    """Lock the run's row until the transaction ends, and return it; None if there is no such run.

    `FOR NO KEY UPDATE`: events and outcomes, whose keys lead to the row, can be written meanwhile.
    """
    return session.scalar(
        select(Run).where(Run.id == run_id).with_for_update(key_share=True).execution_options(populate_existing=True)
    )


def touch_run(session: Session, run_id: UUID, quiet_seconds: float) -> Run:
    """Raise the run's version, keep the sweeper away for `quiet_seconds`, and return the fresh row."""
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
    """`running` to `completed`, if each contact has an outcome."""
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
    """`running` to `completed`. `results` are the columns that hold the compiled results."""
    landed = _move_run(session, run_id, RunStatus.COMPLETED, finished_at=func.now(), **results)
    if landed:
        add_event(session, run_id, EventKind.COMPLETED, worker=worker)
    return landed


def fail_run(session: Session, run_id: UUID, error: RunError, worker: str | None = None, **results: Any) -> bool:
    """`pending` or `running` to `failed`, with its running stage and its chunks. `worker` is None for the sweeper."""
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
    """Record that the data of a finished run is deleted, and delete the names of the client's columns."""
    landed = _landed(
        session,
        update(Run)
        # Not `finished_at`: the planner would scan the index of all unexpired runs instead of the primary key.
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
    """End the writing of export files, so that another run of the account gets its turn."""
    session.execute(
        update(Run)
        .where(Run.id == run_id)
        .values(export_retry_at=None, exporter=None, export_attempts=0)
        .execution_options(synchronize_session=False)
    )


def retract_run(session: Session, run_id: UUID) -> None:
    """Stop showing, exporting and retrying a finished run, whose data is about to be deleted."""
    session.execute(
        update(Run)
        .where(Run.id == run_id)
        .values(retracted_at=func.coalesce(Run.retracted_at, func.now()))
        .execution_options(synchronize_session=False)
    )


def park_run(session: Session, run_id: UUID, until: Any) -> None:
    """Have the sweeper send the chain at this time, and not before, unless the run moves earlier."""
    session.execute(
        update(Run).where(Run.id == run_id).values(parked_until=until).execution_options(synchronize_session=False)
    )


def retract_outcomes(
    session: Session, run_id: UUID, positions: Sequence[int], reason: str, statuses: Mapping[str, str]
) -> None:
    """Replace the outcomes of these contacts by ones without address or evidence. They still count as done.

    `statuses` maps each stage to the status of such an outcome.
    """
    replaced = {"run_id": run_id, "positions": list(positions), "reason": reason, "statuses": json.dumps(statuses)}
    session.execute(RETRACT, replaced)


def end_of_lease(seconds: float) -> ColumnElement[datetime]:
    """The end of a lease that begins with this statement.

    `now()` is the start of the transaction, which may have waited for the run's row since then.
    """
    return func.clock_timestamp() + interval(seconds)


def lease_chunks(
    session: Session, run_id: UUID, stage: str, numbers: Sequence[int], worker: str, lease_seconds: float
) -> Mapping[int, int]:
    """Lease free chunks of a stage to `worker`, and return the new token of each."""
    statement = (
        update(RunChunk)
        .where(RunChunk.run_id == run_id, RunChunk.stage == stage, RunChunk.number.in_(numbers))
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
        .returning(RunChunk.number, RunChunk.token)
        .execution_options(synchronize_session=False)
    )
    return dict(session.execute(statement).all())


def finish_chunks(session: Session, run_id: UUID, stage: str, tokens: Mapping[int, int]) -> Collection[int]:
    """`leased` to `done`, for the chunks that are leased under these tokens. Return their numbers."""
    statement = (
        update(RunChunk)
        .where(
            RunChunk.run_id == run_id,
            RunChunk.stage == stage,
            RunChunk.number.in_(tokens),
            tuple_(RunChunk.number, RunChunk.token).in_(list(tokens.items())),
            RunChunk.status == ChunkStatus.LEASED,
        )
        .values(status=ChunkStatus.DONE, lease_expires_at=None)
        .returning(RunChunk.number)
        .execution_options(synchronize_session=False)
    )
    return set(session.scalars(statement))


def release_chunk(session: Session, run_id: UUID, stage: str, number: int, token: int) -> bool:
    """`leased` under this token to `open`, without counting an attempt: another chunk task may work the rest."""
    return _release(session, run_id, stage, number, token, status=ChunkStatus.OPEN, attempts=0)


def fail_chunk_attempt(
    session: Session, run_id: UUID, stage: str, number: int, token: int, longest_s: int
) -> int | None:
    """`leased` under this token to `open` after a step failed. Return the number of attempts.

    The chunk can be leased again after 1, 2, 4 ... seconds, at most `longest_s`. None if it was not leased under this
    token.
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
    """`leased` under this token to `open`. It can be leased again after `seconds`; `waiting` contacts wait so long."""
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
    """Recount the waiting contacts in the chunks of these contacts, which no longer wait."""
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
    """Stop the chunks that are not done. Their leases end."""
    session.execute(
        update(RunChunk)
        .where(RunChunk.run_id == run_id, RunChunk.status.in_([ChunkStatus.OPEN, ChunkStatus.LEASED]))
        .values(status=ChunkStatus.STOPPED, lease_expires_at=None, not_before=None, waiting=0)
        .execution_options(synchronize_session=False)
    )


def _landed(session: Session, statement: Update) -> bool:
    return changed_rows(session, statement) > 0
