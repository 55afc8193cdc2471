"""Chunks of a stage: plan, lease, load, record, finish, release.

A lease has a fencing token. Recording outcomes renews it in the same transaction. A chunk task whose lease is gone
gets `LeaseLost` and must write nothing.

Tasks record beside each other: a transaction locks its chunks, writes their outcomes, and takes the run's row in the
end, for a moment. Whatever ends the run or changes all of it waits for them (`models.transitions.lock_run`).
"""

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from operator import attrgetter
from typing import Any
from uuid import UUID

from pydantic_core import to_json
from sqlalchemy import Row, select, text
from sqlalchemy.orm import Session

from models.events import EventKind, add_event
from models.hook_outbox import announce_contacts
from models.queries import FreeChunk, free_chunks, other_workers
from models.run import Run
from models.run_chunk import COMPILE, RunChunk
from models.run_stage import RunStage
from models.status import ChunkStatus
from models.transitions import (
    defer_chunk,
    fail_chunk_attempt,
    forget_exports,
    lease_chunks,
    lock_run_for_recording,
    note_progress,
    release_chunk,
    renew_leases,
    retract_outcomes,
)
from pipeline.contacts import Batch, Contact
from pipeline.errors import LeaseLost
from pipeline.evidence import Evidence
from pipeline.memory.domain_patterns import learn_patterns
from pipeline.memory.lookups import NEAR
from pipeline.memory.of_stages import memory_of
from pipeline.memory.span import Span
from pipeline.memory.verifications import Freshness
from pipeline.outcomes import Deferral, Outcome, Reason
from pipeline.privacy import suppressions
from pipeline.runs import trouble
from pipeline.runs.deferrals import count_waiting, note_deferrals, park
from pipeline.runs.poison import bisect, may_join
from pipeline.runs.trouble import Step, StepFailed, Trouble
from pipeline.stages import retracted_statuses, stage_named, stages_of

PLAN = text("""
INSERT INTO run_chunks (run_id, stage, number, first_position, last_position)
SELECT :run_id, :stage, first / o.size, first, least(first + o.size, o.contacts) - 1
FROM (SELECT CAST(:contacts AS bigint) AS contacts, CAST(:size AS bigint) AS size) o,
  generate_series(0, o.contacts - 1, o.size) AS first
ON CONFLICT DO NOTHING
""")

RECORD = text("""
INSERT INTO outcomes (run_id, stage, position, status, reason, email, source, score, evidence)
SELECT :run_id, :stage, r.position, r.status, r.reason, r.email, r.source, r.score, r.evidence
FROM jsonb_to_recordset(CAST(:outcomes AS jsonb))
  AS r(position int, status text, reason text, email text, source text, score int, evidence jsonb)
ON CONFLICT DO NOTHING
RETURNING position
""")

# The contacts of a chunk without an outcome, with the fields of `Contact` in their order. The address and the evidence
# are those of an earlier stage, if there is one. The LIMITs keep the planner to one look at a primary key per contact,
# whatever it knows of the tables: without them it has read all outcomes of the chunk for each contact.
UNDONE = text("""
SELECT c.position, c.first_name, c.last_name, c.full_name, c.company, c.domain,
       coalesce(earlier.email, c.email) AS email, coalesce(d.times, 0), coalesce(d.reason, ''), earlier.evidence
FROM contacts c
LEFT JOIN LATERAL (
  SELECT d.times, d.reason FROM deferrals d
  WHERE d.run_id = :run_id AND d.stage = :stage AND d.position = c.position LIMIT 1
) d ON true
LEFT JOIN LATERAL (
  SELECT o.position FROM outcomes o
  WHERE o.run_id = :run_id AND o.stage = :stage AND o.position = c.position LIMIT 1
) done ON true
LEFT JOIN LATERAL (
  SELECT e.email, e.evidence FROM outcomes e
  WHERE e.run_id = :run_id AND e.stage = :earlier_stage AND e.position = c.position LIMIT 1
) earlier ON true
WHERE c.run_id = :run_id AND c.position BETWEEN :first AND :last AND done.position IS NULL
ORDER BY c.position
""")


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to work one chunk, until it ends or another lease has a higher token."""

    run_id: UUID
    account_id: UUID
    stage: str
    number: int
    token: int
    worker: str
    first_position: int
    last_position: int
    of_run: int
    """The number of contacts of the run."""
    attempts: int = 0
    """How often the chunk broke its task before."""
    is_poison: bool = False
    """The chunk is one contact that broke its task every time. It gets an outcome without being loaded or worked."""


@dataclass(frozen=True, slots=True)
class Leased:
    """Leases, and how many other chunks are free, as far as somebody looked."""

    leases: Sequence[Lease] = ()
    others: int = 0


def plan(session: Session, run_id: UUID, stage: str, contacts: int, size: int) -> None:
    """Divide a stage into chunks of `size` contacts. A second call changes nothing."""
    session.execute(PLAN, {"run_id": run_id, "stage": stage, "contacts": contacts, "size": size})


def lease_next(
    session: Session,
    run: Run,
    stage: str,
    worker: str,
    seconds: float,
    max_tasks_per_run: int,
    suspects: Sequence[int] = (),
) -> Leased:
    """Lease the next free chunk, and look whether there are others for `max_tasks_per_run` tasks.

    None is leased if so many other workers work on the run. See `lease_several`.
    """
    if other_workers(session, run.id, worker) >= max_tasks_per_run:
        return Leased()
    return lease_several(session, run, stage, worker, seconds, 1, suspects, look_at=max_tasks_per_run)


def lease_several(
    session: Session,
    run: Run,
    stage: str,
    worker: str,
    seconds: float,
    count: int,
    suspects: Sequence[int] = (),
    look_at: int = 0,
) -> Leased:
    """Lease the next free chunks, at most `count`, and of a throttled run one.

    Never more than half of the free ones, so that other processes find some. `suspects` are the numbers of attempts of
    the suspect chunks that the process works already: see `pipeline.runs.poison`. A chunk that broke its task several
    times is bisected first. The caller must hold the lock on the run's row. Raises `ChunkExhausted` for a chunk that
    can't be bisected, and for a run that keeps losing its chunk tasks.
    """
    if trouble.must_wait(session, run):
        return Leased()
    free = free_chunks(session, run.id, stage, max(2 * count, look_at))
    chosen = _choose(free, 1 if trouble.is_throttled(run) else min(count, -(-len(free) // 2)), suspects)
    if not chosen:
        return Leased()
    count_waiting(session, run.id, stage, -sum(chunk.waiting for chunk in chosen))
    tried = _chunks(session, run.id, stage, [chunk.number for chunk in chosen if chunk.attempts])
    _note_lost_leases(session, run, tried)
    poison = {chunk.number for chunk in tried if bisect(session, chunk, worker)}
    tokens = lease_chunks(session, run.id, stage, [chunk.number for chunk in chosen], worker, seconds)
    # A bisected chunk has lost contacts, and attempts.
    as_it_is: dict[int, FreeChunk | RunChunk] = {chunk.number: chunk for chunk in chosen}
    as_it_is |= {chunk.number: chunk for chunk in tried}
    leases = [
        Lease(
            run.id,
            run.account_id,
            stage,
            number,
            tokens[number],
            worker,
            chunk.first_position,
            chunk.last_position,
            run.contact_count,
            chunk.attempts,
            number in poison,
        )
        for number, chunk in sorted(as_it_is.items())
    ]
    return Leased(leases, len(free) - len(leases))


def _choose(free: Sequence[FreeChunk], count: int, suspects: Sequence[int]) -> Sequence[FreeChunk]:
    """Take the first chunks that may be worked beside each other and beside the process's suspects."""
    chosen: list[FreeChunk] = []
    at_work = list(suspects)
    for chunk in free:
        if len(chosen) < count and may_join(chunk.attempts, at_work):
            chosen.append(chunk)
            at_work += [chunk.attempts] if chunk.attempts else []
    return chosen


def _chunks(session: Session, run_id: UUID, stage: str, numbers: Sequence[int]) -> Sequence[RunChunk]:
    if not numbers:
        return ()
    of_stage = (RunChunk.run_id == run_id, RunChunk.stage == stage, RunChunk.number.in_(numbers))
    rows = select(RunChunk).where(*of_stage).order_by(RunChunk.number).execution_options(populate_existing=True)
    return session.scalars(rows).all()


def _note_lost_leases(session: Session, run: Run, chunks: Sequence[RunChunk]) -> None:
    lost = [chunk for chunk in chunks if chunk.status == ChunkStatus.LEASED]
    for chunk in lost:
        add_event(session, run.id, EventKind.LEASE_LOST, stage=chunk.stage, worker=chunk.worker, chunk=chunk.number)
    if lost:
        # A process that ends loses all of its leases at once: that is one failure of the run.
        trouble.note_lost_lease(session, run, max(lost, key=lambda chunk: chunk.attempts))


def load(session: Session, lease: Lease, freshness: Freshness | None = None) -> Batch:
    """The contacts of a chunk without an outcome, with what is known about their domains, names and addresses."""
    return load_several(session, [lease], freshness)[lease]


def load_several(
    session: Session, leases: Sequence[Lease], freshness: Freshness | None = None
) -> Mapping[Lease, Batch]:
    """`load` for chunks of one stage. Adjacent chunks are read in one go, and what is known of one is in each."""
    batches: dict[Lease, Batch] = {}
    for adjacent in _adjacent(sorted(leases, key=attrgetter("first_position"))):
        batches |= _load_adjacent(session, adjacent, freshness or Freshness())
    return batches


def _adjacent(leases: Iterable[Lease]) -> Iterable[Sequence[Lease]]:
    groups: list[list[Lease]] = []
    for lease in leases:
        if groups and groups[-1][-1].last_position + 1 == lease.first_position:
            groups[-1].append(lease)
        else:
            groups.append([lease])
    return groups


def _load_adjacent(session: Session, leases: Sequence[Lease], freshness: Freshness) -> Mapping[Lease, Batch]:
    of_all = leases[0]
    span = Span(of_all.run_id, of_all.stage, of_all.first_position, leases[-1].last_position, of_all.of_run)
    rows = session.execute(UNDONE, span._asdict() | {"earlier_stage": _earlier_address_stage(session, of_all)})
    batch = memory_of(of_all.stage).load(session, span, Batch([_contact(row) for row in rows]), freshness)
    return {of_all: batch} if len(leases) == 1 else {lease: _part(batch, lease) for lease in leases}


def _part(batch: Batch, lease: Lease) -> Batch:
    """The part of a batch that is in one chunk. Near contacts of its domains in other chunks are colleagues."""
    contacts = _between(batch.contacts, lease.first_position, lease.last_position)
    domains, own = {contact.domain for contact in contacts}, {contact.position for contact in contacts}
    near = _between(batch.contacts, lease.first_position - NEAR, lease.last_position + NEAR)
    others = [each for each in near if each.domain in domains and each.position not in own]
    return replace(batch, contacts=contacts, colleagues=[*batch.colleagues, *others])


def _between(contacts: Sequence[Contact], first: int, last: int) -> Sequence[Contact]:
    position = attrgetter("position")
    return contacts[bisect_left(contacts, first, key=position) : bisect_right(contacts, last, key=position)]


def record(session: Session, lease: Lease, outcomes: Sequence[Outcome], seconds: float) -> Run:
    """`record_several` for one chunk. Raises `LeaseLost` also if this lease is lost."""
    run, lost = record_several(session, {lease: outcomes}, seconds)
    if lost:
        raise _lost(lease)
    return run


def finish(session: Session, lease: Lease, outcomes: Sequence[Outcome], seconds: float) -> Run:
    """`record` the last outcomes of a chunk: it is done. Raises `LeaseLost`."""
    run, lost = record_several(session, {lease: outcomes}, seconds, worked=[lease])
    if lost:
        raise _lost(lease)
    return run


def end(session: Session, lease: Lease) -> None:
    """Mark a chunk as done in a transaction that holds the run alone. Raises `LeaseLost`."""
    if _renew(session, [lease], [lease], seconds=0):
        raise _lost(lease)


def record_several(
    session: Session,
    outcomes_of: Mapping[Lease, Sequence[Outcome]],
    seconds: float,
    worked: Collection[Lease] = (),
) -> tuple[Run, Collection[Lease]]:
    """Write the outcomes of chunks of one stage in one step. Their leases are renewed, or end if they are `worked`.

    Returns the run's fresh row, which is locked from then on, and the leases that are lost, whose outcomes are not
    written. An outcome that exists already is neither changed nor counted again. Raises `LeaseLost` if the run is over.
    """
    of_all = next(iter(outcomes_of))
    lock_run_for_recording(session, of_all.run_id)
    with trouble.step(Step.FINISH if worked else Step.RECORD):
        lost = _renew(session, outcomes_of.keys(), worked, seconds)
    outcomes: Sequence[Outcome] = [each for lease in outcomes_of if lease not in lost for each in outcomes_of[lease]]
    recorded = _write(session, of_all, outcomes) if outcomes else ()
    overcomes = trouble.is_progress(recorded) or any(not lease.is_poison for lease in worked if lease not in lost)
    run = note_progress(session, of_all.run_id, of_all.stage, seconds, len(recorded), overcomes=overcomes)
    if run is None:
        raise LeaseLost(f"run {of_all.run_id}, stage {of_all.stage}: the run is over")
    if recorded and run.announces_contacts and of_all.stage == stages_of(run.preset)[-1]:
        announce_contacts(session, run, sorted(outcome.position for outcome in recorded))
    return run, lost


def _write(session: Session, lease: Lease, outcomes: Sequence[Outcome]) -> Sequence[Outcome]:
    """Write outcomes and all that follows from them; return the new ones."""
    retracted_status = stage_named(lease.stage).retracted_status
    outcomes = suppressions.suppress(session, lease.account_id, outcomes, retracted_status)
    outcomes = _insert(session, lease, outcomes)
    if suppressed := [outcome.position for outcome in outcomes if outcome.reason is Reason.SUPPRESSED]:
        retract_outcomes(session, lease.run_id, suppressed, Reason.SUPPRESSED, retracted_statuses())
    learn_patterns(session, outcomes)
    memory_of(lease.stage).remember(session, lease.account_id, outcomes)
    return outcomes


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


def _renew(session: Session, leases: Collection[Lease], worked: Collection[Lease], seconds: float) -> Collection[Lease]:
    """Renew the leases, or end them with their chunks done; return those that are lost."""
    of_all, tokens = next(iter(leases)), {lease.number: lease.token for lease in leases}
    done = {lease.number for lease in worked}
    held = renew_leases(session, of_all.run_id, of_all.stage, of_all.worker, tokens, done, seconds)
    return [lease for lease in leases if lease.number not in held]


def _insert(session: Session, lease: Lease, outcomes: Sequence[Outcome]) -> Sequence[Outcome]:
    """Write outcomes and return the new ones. Existing ones teach nothing twice; an erased contact has one already."""
    rows = to_json([outcome.to_json() for outcome in outcomes]).decode()
    parameters = {"run_id": lease.run_id, "stage": lease.stage, "outcomes": rows}
    inserted = set(session.scalars(RECORD, parameters))
    # Backwards, since of two for one contact Postgres takes the first.
    return list({each.position: each for each in reversed(outcomes) if each.position in inserted}.values())


def _contact(row: Row[Any]) -> Contact:
    return Contact._make((*row[:-1], Evidence.from_json(row.evidence or {})))


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
