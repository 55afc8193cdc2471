"""A lane's work on one chunk: what comes out is recorded about once a second, under the chunk's lease.

One step is one transaction; none is open while the world is asked. Readers are told after each commit.
"""

import asyncio
import logging
from dataclasses import dataclass, field

from pipeline import chunks, live_state, runs
from pipeline.chunks import Lease
from pipeline.errors import LeaseLost, StageFault
from pipeline.outcomes import Outcome
from pipeline.records import Batch
from pipeline.stages import stage_named
from worker.process import Process
from worker.publishing import publish

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StageLeft:
    """What is left of a stage after a lane's work."""

    complete: bool
    claimable: int


@dataclass(slots=True)
class _Hand:
    """Outcomes known and not yet recorded."""

    outcomes: list[Outcome] = field(default_factory=list)

    def take(self) -> list[Outcome]:
        taken, self.outcomes = self.outcomes, []
        return taken


def work_chunk(process: Process, lease: Lease) -> StageLeft | None:
    """Work a claimed chunk to its end, or until its time is up; none when its lease was lost."""
    try:
        return process.loop.run_until_complete(_work(process, lease))
    except LeaseLost as lost:
        log.warning("%s; what was in hand is dropped", lost)
        return None


async def _work(process: Process, lease: Lease) -> StageLeft:
    settings, hand = process.settings, _Hand()
    stage_work = asyncio.create_task(_collect(process, lease.stage, _load(process, lease), hand))
    try:
        async with asyncio.timeout(settings.chunk_seconds):
            while not (await asyncio.wait({stage_work}, timeout=settings.flush_seconds))[0]:
                await asyncio.to_thread(_record, process, lease, hand.take())
    except TimeoutError:
        await _cancel(stage_work)
        return await asyncio.to_thread(_hand_back, process, lease, hand.take())
    finally:
        await _cancel(stage_work)
    stage_work.result()
    return await asyncio.to_thread(_finish, process, lease, hand.take())


async def _collect(process: Process, stage: str, batch: Batch, hand: _Hand) -> None:
    missing = {record.position for record in batch.records}
    async for outcome in stage_named(stage).stage.work(batch, process.network):
        hand.outcomes.append(outcome)
        missing.discard(outcome.position)
    if missing:
        raise StageFault(
            f"stage {stage} gave no outcome for {len(missing)} records, the first at position {min(missing)}"
        )


async def _cancel(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.wait({task})


def _load(process: Process, lease: Lease) -> Batch:
    with process.database.transaction() as session:
        return chunks.load(session, lease)


def _record(process: Process, lease: Lease, outcomes: list[Outcome]) -> None:
    with process.database.transaction() as session:
        run = chunks.record(session, lease, outcomes, process.settings.lease_seconds)
        state = live_state.build(session, run, process.settings.public_url)
    publish(process, state)


def _finish(process: Process, lease: Lease, outcomes: list[Outcome]) -> StageLeft:
    with process.database.transaction() as session:
        run = chunks.record(session, lease, outcomes, process.settings.lease_seconds)
        chunks.finish(session, lease)
        complete = runs.advance(session, lease.run_id, lease.stage, lease.worker)
        left = StageLeft(complete, chunks.claimable(session, lease.run_id, lease.stage))
        state = live_state.build(session, run, process.settings.public_url)
    publish(process, state)
    return left


def _hand_back(process: Process, lease: Lease, outcomes: list[Outcome]) -> StageLeft:
    with process.database.transaction() as session:
        run = chunks.record(session, lease, outcomes, process.settings.lease_seconds)
        chunks.hand_back(session, lease, reason="chunk_time_is_up")
        left = StageLeft(complete=False, claimable=chunks.claimable(session, lease.run_id, lease.stage))
        state = live_state.build(session, run, process.settings.public_url)
    publish(process, state)
    return left
