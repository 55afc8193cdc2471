"""The only module that changes the status of a run, a stage or a chunk.

Each transition is a guarded update. It returns whether it took effect, and appends to the timeline if it did. *False*
means that the row was not in a status from which the transition is allowed: another process was first. The caller must
hold the lock on the run (`lock_run`). Only leases are renewed and chunks finished beside each other
(`lock_run_for_recording`).
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CTE, BigInteger, ColumnElement, Update, exists, func, literal, or_, select, text, update
from sqlalchemy.orm import Session
from sqlalchemy.sql.dml import ReturningUpdate

from models.database import changed_rows
from models.events import EventKind, add_event_of
from models.hook import HookEvent
from models.hook_outbox import has_hook_for_contacts
from models.pauses import doubling_pause_sql, in_seconds
from models.pauses import seconds as interval
from models.run import Run
from models.run_chunk import RunChunk, is_chunk
from models.run_stage import RunStage
from models.schema import word
from models.status import TERMINAL_RUN_STATUSES, ChunkStatus, RunStatus, StageStatus, statuses_before

RETRACT = text("""
UPDATE outcomes SET status = coalesce(CAST(:statuses AS jsonb) ->> stage, 'skipped'),
  reason = :reason, email = NULL, source = NULL, score = 0, evidence = '{}'
WHERE run_id = :run_id AND position = ANY(:positions)
""")

LEASE = text("""
WITH leased AS (
  UPDATE run_chunks SET status = 'leased', token = token + 1, attempts = attempts + 1, worker = :worker,
    lease_expires_at = clock_timestamp() + make_interval(secs => :seconds), resent_at = NULL, not_before = NULL,
    waiting = 0
  WHERE run_id = :run_id AND stage = :stage AND number = ANY(:numbers)
  RETURNING number, token
), told AS (
  INSERT INTO run_events (run_id, kind, stage, worker, detail)
  SELECT :run_id, 'chunk_leased', :stage, :worker, jsonb_build_object('chunk', number) FROM leased ORDER BY number
)
SELECT number, token FROM leased
""")

RENEW = text("""
WITH held AS (
  UPDATE run_chunks c SET
    status = CASE WHEN given.is_worked THEN 'done' ELSE 'leased' END,
    lease_expires_at = CASE WHEN NOT given.is_worked THEN clock_timestamp() + make_interval(secs => :seconds) END
  FROM unnest(CAST(:numbers AS int[]), CAST(:tokens AS bigint[]), CAST(:worked AS boolean[]))
    AS given (number, token, is_worked)
  WHERE c.run_id = :run_id AND c.stage = :stage AND c.number = given.number AND c.token = given.token
    AND c.status = 'leased' AND c.lease_expires_at > clock_timestamp()
  RETURNING c.number, given.is_worked
), told AS (
  INSERT INTO run_events (run_id, kind, stage, worker, detail)
  SELECT :run_id, 'chunk_finished', :stage, :worker, jsonb_build_object('chunk', number)
  FROM held WHERE is_worked ORDER BY number
)
SELECT number FROM held
""")

# A run that somebody has just locked is left out, and found again when its rows have waited for too long.
EXPIRE_WAITING = text("""
WITH waiting AS (
  SELECT id FROM runs
  WHERE id >= :from_id AND id < :beyond_id AND expired_at IS NULL AND delete_rows_at > now()
  ORDER BY id LIMIT :count FOR NO KEY UPDATE SKIP LOCKED
), expired AS (
  UPDATE runs SET expired_at = now(), extra_columns = '[]', version = version + 1, updated_at = now()
  WHERE id IN (SELECT id FROM waiting)
), told AS (
  INSERT INTO run_events (run_id, kind) SELECT id, 'expired' FROM waiting
)
SELECT id FROM waiting ORDER BY id DESC LIMIT 1
""")

NO_EXPORTS: Mapping[str, int | None] = {"export_retry_at": None, "exporter": None, "export_attempts": 0}
"""The columns of a run that has no export files to write."""

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
    WHERE d.run_id = :run_id AND d.stage = c.stage AND d.position BETWEEN c.first_position AND c.last_position
      AND NOT EXISTS (
        SELECT FROM outcomes o WHERE o.run_id = :run_id AND o.position = d.position AND o.stage = d.stage
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
    """Lock the run until the transaction ends, and return its row; None if there is no such run.

    Waits for transactions that record outcomes of the run, and keeps others out. An advisory lock does that: unlike row
    locks, it serves whoever came first, so that a cancellation does not wait for ever between checkpoints. The row is
    locked `FOR NO KEY UPDATE`: events and outcomes, whose keys lead to it, can be written meanwhile.
    """
    alone = func.pg_advisory_xact_lock(_key(run_id)).is_not(None)
    locked = select(Run).where(Run.id == run_id, alone).with_for_update(key_share=True)
    return session.scalar(locked.execution_options(populate_existing=True))


def lock_run_for_recording(session: Session, run_id: UUID) -> None:
    """Keep transitions of the run out until the transaction ends, but not others that record.

    Afterwards the transaction must not call `lock_run`: two that did would wait for each other.
    """
    session.execute(select(func.pg_advisory_xact_lock_shared(_key(run_id))))


def _key(run_id: UUID) -> ColumnElement[int]:
    """The run's advisory lock: the random half of its id. Two runs that shared one would only wait for each other."""
    return literal(int.from_bytes(run_id.bytes[8:], "big", signed=True), BigInteger)


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


def note_progress(
    session: Session, run_id: UUID, stage: str, quiet_seconds: float, recorded: int, *, overcomes: bool
) -> Run | None:
    """`touch_run` for a running run: count `recorded` outcomes of a stage; `overcomes` resets the count of failures.

    None if the run is over. Locks the run's row: call it after all else that takes long.
    """
    statement = (
        update(Run)
        .where(Run.id == run_id, Run.status == RunStatus.RUNNING)
        .values(
            version=Run.version + 1,
            updated_at=func.now(),
            resends=0,
            resend_at=in_seconds(quiet_seconds),
            parked_until=None,
            failures=0 if overcomes else Run.failures,
        )
        .returning(Run)
        .execution_options(populate_existing=True)
    )
    return session.scalar(statement.add_cte(_counted(run_id, stage, recorded)) if recorded else statement)


def _counted(run_id: UUID, stage: str, recorded: int) -> CTE:
    return (
        update(RunStage)
        .where(RunStage.run_id == run_id, RunStage.stage == stage)
        .values(done=RunStage.done + recorded)
        .returning(RunStage.stage)
        .cte("counted")
    )


def start_run(session: Session, run_id: UUID, worker: str) -> bool:
    """`pending` to `running`."""
    announces = or_(Run.announces_contacts, has_hook_for_contacts())
    start = _to(RunStatus.RUNNING, run_id, started_at=func.now(), announces_contacts=announces)
    return add_event_of(session, start, run_id, EventKind.STARTED, worker=worker)


def start_stage(session: Session, run_id: UUID, stage: str, worker: str) -> bool:
    """`pending` to `running`."""
    start = (
        update(RunStage)
        .where(RunStage.run_id == run_id, RunStage.stage == stage, RunStage.status == StageStatus.PENDING)
        .values(status=StageStatus.RUNNING, started_at=func.now())
        .returning(RunStage.stage)
    )
    return add_event_of(session, start, run_id, EventKind.STAGE_STARTED, stage=stage, worker=worker)


def complete_stage(session: Session, run_id: UUID, stage: str, worker: str) -> bool:
    """`running` to `completed`, if each contact has an outcome and each chunk is done.

    The caller must hold the lock on the run's row: otherwise two that finish the last chunks would not see each other.
    """
    of_stage = (RunChunk.run_id == run_id, RunChunk.stage == stage)
    is_open, is_leased = (
        exists().where(*of_stage, RunChunk.status == word(status)) for status in (ChunkStatus.OPEN, ChunkStatus.LEASED)
    )
    complete = (
        update(RunStage)
        .where(
            RunStage.run_id == run_id,
            RunStage.stage == stage,
            RunStage.status == StageStatus.RUNNING,
            RunStage.done == RunStage.total,
            ~is_open,
            ~is_leased,
        )
        .values(status=StageStatus.COMPLETED, finished_at=func.now())
        .returning(RunStage.stage)
    )
    return add_event_of(session, complete, run_id, EventKind.STAGE_COMPLETED, stage=stage, worker=worker)


def complete_run(session: Session, run_id: UUID, worker: str, **results: Any) -> bool:
    """`running` to `completed`. `results` are the columns that hold the compiled results."""
    complete = _to(RunStatus.COMPLETED, run_id, finished_at=func.now(), **NO_EXPORTS, **results)
    return add_event_of(session, complete, run_id, EventKind.COMPLETED, HookEvent.COMPLETED, worker=worker)


def fail_run(session: Session, run_id: UUID, error: RunError, worker: str | None = None, **results: Any) -> bool:
    """`pending` or `running` to `failed`, with its running stage and its chunks. `worker` is None for the sweeper."""
    why = {"error_code": error.code, "error_message": error.message, "error_stage": error.stage}
    fail = _to(RunStatus.FAILED, run_id, finished_at=func.now(), **why, **results)
    of_event = {"stage": error.stage, "worker": worker, "code": error.code}
    landed = add_event_of(session, fail, run_id, EventKind.FAILED, HookEvent.FAILED, **of_event)
    if landed:
        _end_running_stage(session, run_id, StageStatus.FAILED)
        _stop_chunks(session, run_id)
    return landed


def cancel_run(session: Session, run_id: UUID, **results: Any) -> bool:
    """`pending` or `running` to `cancelled`, with its running stage and its chunks."""
    cancel = _to(RunStatus.CANCELLED, run_id, finished_at=func.now(), **results)
    landed = add_event_of(session, cancel, run_id, EventKind.CANCELLED, HookEvent.CANCELLED)
    if landed:
        _end_running_stage(session, run_id, StageStatus.CANCELLED)
        _stop_chunks(session, run_id)
    return landed


def expire_run(session: Session, run_id: UUID) -> bool:
    """Record that the data of a finished run is deleted, and delete the names of the client's columns."""
    expire = (
        update(Run)
        # Not `finished_at`: the planner would scan the index of all unexpired runs instead of the primary key.
        .where(Run.id == run_id, Run.status.in_(sorted(TERMINAL_RUN_STATUSES)), Run.expired_at.is_(None))
        .values(
            retracted_at=func.coalesce(Run.retracted_at, func.now()),
            expired_at=func.now(),
            extra_columns=[],
            version=Run.version + 1,
            updated_at=func.now(),
        )
        .returning(Run.id)
    )
    return add_event_of(session, expire, run_id, EventKind.EXPIRED)


def forget_exports(session: Session, run_id: UUID) -> None:
    """End the writing of export files, so that another run of the account gets its turn."""
    session.execute(
        update(Run).where(Run.id == run_id).values(**NO_EXPORTS).execution_options(synchronize_session=False)
    )


def expire_waiting_runs(session: Session, first: UUID, beyond: UUID, count: int) -> UUID | None:
    """`expire_run` for the next `count` runs with ids from `first` up to `beyond` whose rows were left to a partition.

    Returns the last of them; None if there is none left.
    """
    of_week = {"from_id": first, "beyond_id": beyond, "count": count}
    last: UUID | None = session.scalar(EXPIRE_WAITING, of_week)
    return last


def leave_rows(session: Session, run_id: UUID, days: float) -> None:
    """Leave the rows of a retracted run to the partition of its week, for so many days at most."""
    session.execute(
        update(Run)
        .where(Run.id == run_id, Run.expired_at.is_(None), Run.delete_rows_at.is_(None))
        .values(delete_rows_at=in_seconds(86_400 * days))
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
    of_all = {"run_id": run_id, "stage": stage, "worker": worker, "seconds": lease_seconds}
    return {row.number: row.token for row in session.execute(LEASE, of_all | {"numbers": list(numbers)})}


def renew_leases(
    session: Session,
    run_id: UUID,
    stage: str,
    worker: str,
    tokens: Mapping[int, int],
    worked: Collection[int],
    seconds: float,
) -> Collection[int]:
    """Renew the leases of chunks, by their tokens; those that are `worked` end, `leased` to `done`.

    Returns the numbers of those that were held. The others are lost: their holder may write nothing.
    """
    of_all = {"run_id": run_id, "stage": stage, "worker": worker, "seconds": seconds}
    given = {
        "numbers": list(tokens),
        "tokens": list(tokens.values()),
        "worked": [number in worked for number in tokens],
    }
    return set(session.scalars(RENEW, of_all | given))


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


def _to(target: RunStatus, run_id: UUID, **values: Any) -> ReturningUpdate[*tuple[Any, ...]]:
    return (
        update(Run)
        .where(Run.id == run_id, Run.status.in_(sorted(statuses_before(target))))
        .values(status=target, version=Run.version + 1, updated_at=func.now(), **values)
        .returning(Run.id, Run.account_id)
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
