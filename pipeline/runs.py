"""A run's own steps: begin a stage, advance past it, fail, and find those that stand still."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from enum import Enum, auto
from uuid import UUID

from sqlalchemy import exists, func, select, update
from sqlalchemy.orm import Session

from models.artifact import EXPORT, Artifact
from models.events import EventKind, add_event
from models.queries import stages_of_run
from models.run import Run
from models.run_chunk import RunChunk
from models.status import TERMINAL_RUN_STATUSES, ChunkStatus, RunStatus, StageStatus
from models.transitions import (
    RunError,
    complete_run,
    complete_stage,
    fail_run,
    lock_run,
    start_run,
    start_stage,
)
from pipeline import chunks
from pipeline.chunks import Lease
from pipeline.credits import Delivered, rebate, rebate_of_completed, rebate_of_stopped
from pipeline.results.counts import count_delivered, count_outcomes, delivered, finding_stage
from pipeline.results.exports import ExportFile
from pipeline.results.reports import data_source_mix, gap_report, preview

COMPILE = "compile"
"""The last link of the chain; its one chunk gives compiling the same lease as any other work."""

MAX_RESEND_PAUSE_S = 300


class Beginning(Enum):
    """What a link of the chain finds when it begins its stage."""

    OVER = auto()
    """There is nothing for this link: the run is finished or unknown, or an earlier stage is still at work."""
    DONE = auto()
    """The stage is complete: the chain goes on."""
    WORK = auto()
    """There is work to claim, or others are at it."""


@dataclass(frozen=True, slots=True)
class Stalled:
    """A run whose chain must be sent again."""

    run_id: UUID
    preset: str


def begin_stage(session: Session, run_id: UUID, stage: str, worker: str, chunk_size: int) -> Beginning:
    """Start the run and this stage if need be, and plan its chunks; says what there is to do."""
    run = lock_run(session, run_id)
    if run is None or run.status in TERMINAL_RUN_STATUSES:
        return Beginning.OVER
    stages = {row.stage: row.status for row in stages_of_run(session, run_id)}
    if any(stages[earlier] != StageStatus.COMPLETED for earlier in _before(stage, list(stages))):
        return Beginning.OVER
    if stages.get(stage) == StageStatus.COMPLETED:
        return Beginning.DONE
    start_run(session, run_id, worker)
    if stage == COMPILE:
        chunks.plan(session, run_id, COMPILE, contacts=1, size=1)
    elif start_stage(session, run_id, stage, worker):
        chunks.plan(session, run_id, stage, run.contact_count, chunk_size)
    return Beginning.WORK


def advance(session: Session, run_id: UUID, stage: str, worker: str) -> bool:
    """Complete a stage whose chunks are all done; says whether it is complete now."""
    return not chunks.unfinished(session, run_id, stage) and complete_stage(session, run_id, stage, worker)


def complete(session: Session, lease: Lease, exports: Sequence[ExportFile], seconds: float) -> Run:
    """Results, artifacts, rebate and `completed`, all at once. Raises `LeaseLost`."""
    run = chunks.record(session, lease, (), seconds)
    groups = count_outcomes(session, run.id)
    delivered_contacts = delivered(run.contact_count, finding_stage(run.preset), groups)
    session.add_all(_artifacts(run.id, delivered_contacts, exports))
    chunks.finish(session, lease)
    rebate(session, run, rebate_of_completed(run, delivered_contacts))
    complete_run(
        session,
        run.id,
        lease.worker,
        preview=preview(run, delivered_contacts, groups),
        data_source_mix=data_source_mix(run, delivered_contacts, groups),
        gap_report=gap_report(run, delivered_contacts, groups),
    )
    session.flush()
    return refreshed(session, run.id)


def refreshed(session: Session, run_id: UUID) -> Run:
    """The run's row as it is now, in this transaction."""
    return session.get_one(Run, run_id, populate_existing=True)


def fail(session: Session, run_id: UUID, error: RunError) -> Run | None:
    """Fail a run and pay back what it did not deliver; none when it was finished already."""
    run = lock_run(session, run_id)
    if run is None or not fail_run(session, run_id, error):
        return None
    rebate(session, run, rebate_of_stopped(run, count_delivered(session, run)))
    return refreshed(session, run_id)


def find_stalled(session: Session, limit: int = 100) -> Sequence[Stalled]:
    """Runs that nobody works although there is work: never sent, or their lanes died.

    Each one found is put off before it is found again: 1, 2, 4 ... seconds, at most five minutes, until a
    lane gets through. Locked rows are skipped: whoever holds one is at work on it.
    """
    live_lease = exists().where(
        RunChunk.run_id == Run.id,
        RunChunk.status == ChunkStatus.LEASED,
        RunChunk.lease_expires_at > func.now(),
    )
    stalled = (
        select(Run.id)
        .where(Run.status.in_([RunStatus.PENDING, RunStatus.RUNNING]), Run.resend_at <= func.now(), ~live_lease)
        .order_by(Run.resend_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    pause = func.least(MAX_RESEND_PAUSE_S, func.power(2, func.least(Run.resends, 10)))
    put_off = (
        update(Run)
        .where(Run.id.in_(stalled))
        .values(resends=Run.resends + 1, resend_at=func.now() + func.make_interval(0, 0, 0, 0, 0, 0, pause))
        .returning(Run.id, Run.preset)
        .execution_options(synchronize_session=False)
    )
    found = [Stalled(run_id, preset) for run_id, preset in session.execute(put_off)]
    for run in found:
        add_event(session, run.run_id, EventKind.RESENT)
    return found


def _before(stage: str, stages: Sequence[str]) -> Sequence[str]:
    return stages if stage == COMPILE else stages[: stages.index(stage)]


def _artifacts(run_id: UUID, counts: Delivered, exports: Sequence[ExportFile]) -> Iterator[Artifact]:
    yield Artifact(
        run_id=run_id,
        asset_id="verified_contacts",
        label="Verified Contacts",
        kind="contacts",
        rows=counts.verified,
    )
    for export in exports:
        label = f"Contacts ({export.format.upper()})"
        yield Artifact(run_id=run_id, label=label, kind=EXPORT, **asdict(export))
