"""Chunks of a stage: plan, lease, load, record, finish, release.

A lease has a fencing token. Recording outcomes renews it in the same transaction. A chunk task whose lease is gone
gets `LeaseLost` and must write nothing. All of it happens under the run's row lock, taken first.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, select, text, update
from sqlalchemy.orm import Session

from models.database import CHECKS_PLANNED_ANEW
from models.events import EventKind, add_event
from models.queries import free_chunks, live_leases
from models.run import Run
from models.run_chunk import COMPILE, RunChunk, is_chunk
from models.run_stage import RunStage
from models.status import ChunkStatus, RunStatus
from models.transitions import (
    defer_chunk,
    end_of_lease,
    fail_chunk_attempt,
    finish_chunk,
    forget_exports,
    lease_chunk,
    lock_run,
    release_chunk,
    retract_outcomes,
    touch_run,
)
from pipeline.contacts import Batch, Contact
from pipeline.errors import LeaseLost
from pipeline.evidence import Evidence
from pipeline.mail.address.syntax import normalise_domain
from pipeline.memory.domain_patterns import known_patterns, learn_patterns
from pipeline.memory.of_stages import memory_of
from pipeline.memory.span import Span
from pipeline.memory.verifications import Freshness
from pipeline.outcomes import Deferral, Outcome, Reason
from pipeline.privacy import suppressions
from pipeline.runs import trouble
from pipeline.runs.deferrals import count_waiting, note_deferrals, park
from pipeline.runs.poison import bisect
from pipeline.runs.trouble import StepFailed, Trouble
from pipeline.stages import retracted_statuses, stage_named

PLAN = text("""
INSERT INTO run_chunks (run_id, stage, number, first_position, last_position)
SELECT :run_id, :stage, first / o.size, first, least(first + o.size, o.contacts) - 1
FROM (SELECT CAST(:contacts AS bigint) AS contacts, CAST(:size AS bigint) AS size) o,
  generate_series(0, o.contacts - 1, o.size) AS first
ON CONFLICT DO NOTHING
""")

RECORD = text(f"""
INSERT INTO outcomes (run_id, stage, position, status, reason, email, source, score, evidence)
SELECT :run_id, :stage, r.position, r.status, r.reason, r.email, r.source, r.score, r.evidence
FROM {CHECKS_PLANNED_ANEW}, jsonb_to_recordset(CAST(:outcomes AS jsonb))
  AS r(position int, status text, reason text, email text, source text, score int, evidence jsonb)
ON CONFLICT DO NOTHING
RETURNING position
""")  # noqa: S608 - a constant of ours

# The contacts of a chunk without an outcome, with the address and the evidence of an earlier stage. The LIMIT and the
# bounds keep the planner to the chunk's own rows while it has no statistics of a fresh run.
UNDONE = text("""
SELECT c.position, c.first_name, c.last_name, c.full_name, c.company, c.domain,
       coalesce(earlier.email, c.email) AS email, coalesce(earlier.evidence, '{}') AS evidence,
       coalesce(d.times, 0) AS deferrals, coalesce(d.reason, '') AS deferred_for
FROM contacts c
LEFT JOIN deferrals d ON d.run_id = c.run_id AND d.stage = :stage AND d.position = c.position
  AND d.position BETWEEN :first AND :last
LEFT JOIN LATERAL (
  SELECT e.email, e.evidence FROM outcomes e
  WHERE e.run_id = c.run_id AND e.stage = :earlier_stage AND e.position = c.position LIMIT 1
) earlier ON true
WHERE c.run_id = :run_id AND c.position BETWEEN :first AND :last
  AND NOT EXISTS (
    SELECT FROM outcomes o
    WHERE o.run_id = c.run_id AND o.stage = :stage AND o.position = c.position AND o.position BETWEEN :first AND :last
  )
ORDER BY c.position
""")


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to work one chunk, until it ends or another lease has a higher token."""

    run_id: UUID
    stage: str
    number: int
    token: int
    worker: str
    first_position: int
    last_position: int
    is_poison: bool = False
    """The chunk is one contact that broke its task every time. It gets an outcome without being loaded or worked."""


def plan(session: Session, run_id: UUID, stage: str, contacts: int, size: int) -> None:
    """Divide a stage into chunks of `size` contacts. A second call changes nothing."""
    session.execute(PLAN, {"run_id": run_id, "stage": stage, "contacts": contacts, "size": size})


def lease_next(
    session: Session, run: Run, stage: str, worker: str, seconds: float, max_tasks_per_run: int
) -> Lease | None:
    """Lease the next free chunk. None if there is none, or if `max_tasks_per_run` chunk tasks work on the run.

    A chunk that broke its task several times is bisected first. The caller must hold the lock on the run. Raises
    `ChunkExhausted` for a chunk that can't be bisected, and for a run that keeps losing its chunk tasks.
    """
    if live_leases(session, run.id) >= max_tasks_per_run or trouble.must_wait(session, run):
        return None
    number = next(iter(free_chunks(session, run.id, stage, 1)), None)
    if number is None:
        return None
    chunk = session.get_one(RunChunk, (run.id, stage, number), populate_existing=True)
    if chunk.status == ChunkStatus.LEASED:
        add_event(session, run.id, EventKind.LEASE_LOST, stage=stage, worker=chunk.worker, chunk=chunk.number)
        trouble.note_lost_lease(session, run, chunk)
    count_waiting(session, run.id, stage, -chunk.waiting)
    is_poison = bisect(session, chunk, worker)
    token = lease_chunk(session, chunk, worker, seconds)
    add_event(session, run.id, EventKind.CHUNK_LEASED, stage=stage, worker=worker, chunk=chunk.number)
    return Lease(run.id, stage, chunk.number, token, worker, chunk.first_position, chunk.last_position, is_poison)


def load(session: Session, lease: Lease, freshness: Freshness | None = None) -> Batch:
    """The contacts of a chunk without an outcome, with what is known about their domains, names and addresses."""
    span = Span(lease.run_id, lease.stage, lease.first_position, lease.last_position)
    rows = session.execute(UNDONE, span._asdict() | {"earlier_stage": _earlier_address_stage(session, lease)})
    contacts = [_contact(row) for row in rows]
    domains = sorted({domain for contact in contacts if (domain := normalise_domain(contact.domain))})
    batch = Batch(contacts, known_patterns(session, domains))
    return memory_of(lease.stage).load(session, span, batch, freshness or Freshness())


def record(session: Session, lease: Lease, outcomes: Sequence[Outcome], seconds: float) -> Run:
    """Write outcomes and renew the lease in one step, and return the run's fresh row. Raises `LeaseLost`.

    An outcome that exists already is neither changed nor counted again.
    """
    run = lock_run(session, lease.run_id)
    if run is None or run.status != RunStatus.RUNNING:
        raise LeaseLost(f"run {lease.run_id}, stage {lease.stage}: the run is over")
    _renew(session, lease, seconds)
    if outcomes:
        retracted_status = stage_named(lease.stage).retracted_status
        outcomes = suppressions.suppress(session, run.account_id, outcomes, retracted_status)
        outcomes = _insert(session, lease, outcomes)
        trouble.overcome_by(session, run.id, outcomes)
        _count(session, lease, len(outcomes))
        if suppressed := [outcome.position for outcome in outcomes if outcome.reason is Reason.SUPPRESSED]:
            retract_outcomes(session, run.id, suppressed, Reason.SUPPRESSED, retracted_statuses())
        learn_patterns(session, outcomes)
        memory_of(lease.stage).remember(session, run.account_id, outcomes)
    return touch_run(session, run.id, seconds)


def finish(session: Session, lease: Lease) -> None:
    """Mark the chunk as done. If all other chunks wait, park the run until the first is due. Raises `LeaseLost`."""
    if not finish_chunk(session, lease.run_id, lease.stage, lease.number, lease.token):
        raise _lost(lease)
    add_event(session, lease.run_id, EventKind.CHUNK_FINISHED, **_named(lease))
    if not lease.is_poison:
        trouble.overcome(session, lease.run_id)
    park(session, lease.run_id, lease.stage)


def release(session: Session, lease: Lease, reason: str) -> None:
    """Leave the rest of the chunk to another chunk task. Does nothing if the lease is gone."""
    if release_chunk(session, lease.run_id, lease.stage, lease.number, lease.token):
        add_event(session, lease.run_id, EventKind.CHUNK_RELEASED, **_named(lease), reason=reason)


def fail_attempt(session: Session, lease: Lease, failed: StepFailed) -> None:
    """Count a failed attempt at the chunk. Another task may try again after a pause. Raises `LeaseLost`."""
    times = fail_chunk_attempt(session, lease.run_id, lease.stage, lease.number, lease.token, trouble.LONGEST_PAUSE_S)
    if times is None:
        raise _lost(lease)
    detail = _named(lease) | {"step": failed.step.value, "fault": failed.fault, "times": times}
    add_event(session, lease.run_id, EventKind.CHUNK_RELEASED, **detail, reason="the chunk broke")
    if lease.stage == COMPILE:
        # Otherwise the failed attempt would keep its account's turn for exports.
        forget_exports(session, lease.run_id)
    trouble.note(session, lease.run_id, Trouble(failed.step, lease.stage, failed.fault, times))
    park(session, lease.run_id, lease.stage)


def defer(session: Session, lease: Lease, deferrals: Sequence[Deferral]) -> None:
    """Keep the chunk from being leased until the first of its deferred contacts is due. Raises `LeaseLost`."""
    note_deferrals(session, lease.run_id, lease.stage, deferrals)
    trouble.overcome(session, lease.run_id)
    seconds = min(deferral.seconds for deferral in deferrals)
    waiting = len(deferrals)
    if not defer_chunk(session, lease.run_id, lease.stage, lease.number, lease.token, seconds, waiting):
        raise _lost(lease)
    count_waiting(session, lease.run_id, lease.stage, waiting)
    reasons = sorted({deferral.reason for deferral in deferrals})
    detail = _named(lease) | {"contacts": waiting, "seconds": round(seconds), "reasons": reasons}
    add_event(session, lease.run_id, EventKind.CHUNK_DEFERRED, **detail)
    park(session, lease.run_id, lease.stage)


def pause(session: Session, lease: Lease, seconds: float, reason: str) -> None:
    """Keep the chunk from being leased for `seconds`, without counting an attempt. Raises `LeaseLost`."""
    if not defer_chunk(session, lease.run_id, lease.stage, lease.number, lease.token, seconds):
        raise _lost(lease)
    detail = _named(lease) | {"seconds": round(seconds), "reasons": [reason]}
    add_event(session, lease.run_id, EventKind.CHUNK_DEFERRED, **detail)
    park(session, lease.run_id, lease.stage)


def _renew(session: Session, lease: Lease, seconds: float) -> None:
    renewed = session.scalar(
        update(RunChunk)
        .where(
            is_chunk(lease.run_id, lease.stage, lease.number),
            RunChunk.token == lease.token,
            RunChunk.status == ChunkStatus.LEASED,
            RunChunk.lease_expires_at > func.clock_timestamp(),
        )
        .values(lease_expires_at=end_of_lease(seconds))
        .returning(RunChunk.number)
        .execution_options(synchronize_session=False)
    )
    if renewed is None:
        raise _lost(lease)


def _insert(session: Session, lease: Lease, outcomes: Sequence[Outcome]) -> Sequence[Outcome]:
    """Write outcomes and return the new ones. Existing ones teach nothing twice; an erased contact has one already."""
    rows = json.dumps([outcome.to_json() for outcome in outcomes])
    parameters = {"run_id": lease.run_id, "stage": lease.stage, "outcomes": rows}
    inserted = set(session.scalars(RECORD, parameters))
    return [outcome for outcome in outcomes if outcome.position in inserted]


def _contact(row: Row[Any]) -> Contact:
    return Contact(**row._asdict() | {"evidence": Evidence.from_json(row.evidence)})


def _count(session: Session, lease: Lease, inserted: int) -> None:
    session.execute(
        update(RunStage)
        .where(RunStage.run_id == lease.run_id, RunStage.stage == lease.stage)
        .values(done=RunStage.done + inserted)
        .execution_options(synchronize_session=False)
    )


def _earlier_address_stage(session: Session, lease: Lease) -> str | None:
    """The nearest earlier stage of the run that found or judged an address."""
    ordered = select(RunStage.stage).where(RunStage.run_id == lease.run_id).order_by(RunStage.ordinal)
    earlier = takewhile(lambda stage: stage != lease.stage, session.scalars(ordered).all())
    about_addresses = [name for name in earlier if stage_named(name).finds_address or stage_named(name).judges_address]
    return about_addresses[-1] if about_addresses else None


def _named(lease: Lease) -> dict[str, Any]:
    return {"stage": lease.stage, "worker": lease.worker, "chunk": lease.number}


def _lost(lease: Lease) -> LeaseLost:
    return LeaseLost(f"run {lease.run_id}, stage {lease.stage}, chunk {lease.number}: the lease is gone")
