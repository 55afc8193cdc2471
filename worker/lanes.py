"""A lane's work on one chunk: what comes out is recorded each `FLUSH_SECONDS`, under the chunk's lease.

One step is one transaction; none is open while the world is asked. Readers are told after each commit.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from sqlalchemy.orm import Session

from models.postgres_errors import PostgresUnavailable
from models.queries import claimable_chunks
from pipeline import chunks, live_state, runs
from pipeline.chunks import Lease
from pipeline.errors import LeaseLost, StageFault, WorldGone
from pipeline.outcomes import Deferral, Outcome, Reason
from pipeline.records import Batch
from pipeline.stages import stage_named
from worker.insisting import insist, insist_on_end, work_under
from worker.process import Process, freshness_of
from worker.publishing import publish

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StageLeft:
    """What is left of a stage after a lane's work."""

    complete: bool
    is_claimable: bool


@dataclass(slots=True)
class _Hand:
    """Outcomes known and not yet recorded, and what the stage put off."""

    outcomes: list[Outcome] = field(default_factory=list)
    deferrals: list[Deferral] = field(default_factory=list)

    def put(self, result: Outcome | Deferral) -> None:
        """Take what a stage says."""
        if isinstance(result, Deferral):
            self.deferrals.append(result)
        else:
            self.outcomes.append(result)

    def take(self) -> list[Outcome]:
        """Hand over the outcomes."""
        taken, self.outcomes = self.outcomes, []
        return taken


def work_chunk(process: Process, lease: Lease) -> StageLeft | None:
    """Work a claimed chunk to its end, or until its time is up or the worker stops; none when its lease was lost.

    Raises `WorldGone`: what is in hand then says nothing about the contacts, and is dropped.
    """
    try:
        return process.loop.run_until_complete(_work_and_settle(process, lease))
    except LeaseLost as lost:
        log.warning("%s; what was in hand is dropped", lost)
        return None


async def _work_and_settle(process: Process, lease: Lease) -> StageLeft:
    """Afterwards the event loop stands still until the next chunk: let nothing of the mail network hang meanwhile."""
    try:
        return await _work(process, lease)
    finally:
        await process.network.settle()


async def _work(process: Process, lease: Lease) -> StageLeft:
    settings, hand = process.settings, _Hand()
    stage_work = asyncio.create_task(_collect(process, lease, _load(process, lease), hand))
    hand_back_at = time.monotonic() + settings.chunk_seconds
    try:
        while not (await asyncio.wait({stage_work}, timeout=settings.flush_seconds))[0]:
            if process.draining.is_set() or time.monotonic() > hand_back_at:
                reason = "the worker stops" if process.draining.is_set() else "the chunk's time is up"
                await _cancel(stage_work)
                return await asyncio.to_thread(_hand_back, process, lease, hand.take(), reason)
            _check_world(process)
            await _flush(process, lease, hand)
    finally:
        await _cancel(stage_work)
    _check_world(process)
    if fault := stage_work.exception():
        log.error("run %s, stage %s, chunk %s broke", lease.run_id, lease.stage, lease.number, exc_info=fault)
        return await asyncio.to_thread(_give_up, process, lease, hand.take())
    return await asyncio.to_thread(_finish, process, lease, hand)


async def _flush(process: Process, lease: Lease, hand: _Hand) -> None:
    """Postgres may be away for a moment: what is in hand is then kept for the next flush, while the lease lives."""
    outcomes = hand.take()
    try:
        await asyncio.to_thread(_record, process, lease, outcomes)
    except PostgresUnavailable as error:
        log.warning("run %s: not recorded yet: %s", lease.run_id, error)
        hand.outcomes[:0] = outcomes


def _check_world(process: Process) -> None:
    """Raises `WorldGone` rather than have each contact reported as one that could not be asked about."""
    if outage := process.outage():
        raise WorldGone(outage.code, outage.message)


async def _collect(process: Process, lease: Lease, batch: Batch, hand: _Hand) -> None:
    stage = lease.stage
    missing = {record.position for record in batch.records}
    results = _condemned(stage, batch) if lease.condemned else _worked(process, lease, batch)
    async for result in results:
        hand.put(result)
        missing.discard(result.position)
    if missing:
        raise StageFault(
            f"stage {stage} gave no outcome for {len(missing)} records, the first at position {min(missing)}"
        )


def _worked(process: Process, lease: Lease, batch: Batch) -> AsyncIterator[Outcome | Deferral]:
    return stage_named(lease.stage).stage.work(batch, process.network, process.sources_of(lease.run_id))


async def _condemned(stage: str, batch: Batch) -> AsyncIterator[Outcome]:
    """The outcome of the record that broke its lanes: it is not worked any more."""
    for record in batch.records:
        yield Outcome(record.position, stage_named(stage).on_fault, Reason.INTERNAL_ERROR)


async def _cancel(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.wait({task})


def _load(process: Process, lease: Lease) -> Batch:
    freshness = freshness_of(process.settings)
    return insist(process, work_under(lease), lambda session: chunks.load(session, lease, freshness))


def _record(process: Process, lease: Lease, outcomes: list[Outcome]) -> None:
    with process.database.transaction() as session:
        run = chunks.record(session, lease, outcomes, process.settings.lease_seconds)
        state = live_state.build(session, run, process.settings.public_url)
    publish(process, state)


def _finish(process: Process, lease: Lease, hand: _Hand) -> StageLeft:
    def end(session: Session) -> bool:
        if hand.deferrals:
            chunks.put_off(session, lease, hand.deferrals)
            return False
        chunks.finish(session, lease)
        return runs.advance(session, lease.run_id, lease.stage, lease.worker)

    return _end(process, lease, hand.take(), end)


def _hand_back(process: Process, lease: Lease, outcomes: list[Outcome], reason: str) -> StageLeft:
    def end(session: Session) -> bool:
        chunks.hand_back(session, lease, reason)
        return False

    return _end(process, lease, outcomes, end)


def _give_up(process: Process, lease: Lease, outcomes: list[Outcome]) -> StageLeft:
    def end(session: Session) -> bool:
        chunks.give_up(session, lease)
        return False

    return _end(process, lease, outcomes, end)


def _end(process: Process, lease: Lease, outcomes: list[Outcome], end_chunk: Callable[[Session], bool]) -> StageLeft:
    """Record what is in hand and end the lease, in one transaction; `end_chunk` says if the stage is complete."""

    def end(session: Session) -> tuple[StageLeft, live_state.LiveState]:
        run = chunks.record(session, lease, outcomes, process.settings.lease_seconds)
        complete = end_chunk(session)
        left = StageLeft(complete, bool(claimable_chunks(session, lease.run_id, lease.stage, 1)))
        return left, live_state.build(session, run, process.settings.public_url)

    left, state = insist_on_end(process, lease, end)
    publish(process, state)
    return left
