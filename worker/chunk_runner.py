"""The work on one leased chunk. A checkpoint records its outcomes each `CHECKPOINT_SECONDS`.

Each step is one transaction, and none is open during network input or output. After each commit the live copy is
written.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from sqlalchemy.orm import Session

from models.postgres_errors import PostgresUnavailable
from models.queries import free_chunks
from pipeline.contacts import Batch
from pipeline.errors import LeaseLost, StageFault, TotalOutage
from pipeline.outcomes import Deferral, Outcome, Reason
from pipeline.runs import chunks, lifecycle, live_state, trouble
from pipeline.runs.chunks import Lease
from pipeline.runs.trouble import Step, StepFailed
from pipeline.stages import stage_named
from worker.attempts import fail_attempt
from worker.commit_retry import retry_commit, retry_commit_of_end, work_under
from worker.process import Process, freshness_of

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StageLeft:
    """What is left of a stage after a chunk task's work."""

    complete: bool
    has_free_chunks: bool


@dataclass(slots=True)
class _Unrecorded:
    """Outcomes that are not recorded yet, and deferrals."""

    outcomes: list[Outcome] = field(default_factory=list)
    deferrals: list[Deferral] = field(default_factory=list)

    def add(self, result: Outcome | Deferral) -> None:
        if isinstance(result, Deferral):
            self.deferrals.append(result)
        else:
            self.outcomes.append(result)

    def take_outcomes(self) -> list[Outcome]:
        taken, self.outcomes = self.outcomes, []
        return taken


def work_chunk(process: Process, lease: Lease) -> StageLeft | None:
    """Work a leased chunk until it is done, its time is up, or the worker stops; none if its lease was lost.

    Raises `TotalOutage` when mail servers can't be reached at all. Unrecorded outcomes are dropped then, since they say
    nothing about the contacts.
    """
    unrecorded = _Unrecorded()
    try:
        with trouble.step(Step.WORK):
            return process.loop.run_until_complete(_work_and_close(process, lease, unrecorded))
    except StepFailed as failed:
        has_free_chunks = fail_attempt(process, lease, failed, unrecorded.outcomes)
        return None if has_free_chunks is None else StageLeft(complete=False, has_free_chunks=has_free_chunks)
    except LeaseLost as lost:
        log.warning("%s; unrecorded outcomes are dropped", lost)
        return None


async def _work_and_close(process: Process, lease: Lease, unrecorded: _Unrecorded) -> StageLeft:
    """Afterwards the event loop does not run until the next chunk: nothing of the mail network may stay in flight."""
    try:
        return await _work(process, lease, unrecorded)
    finally:
        await process.network.flush()


async def _work(process: Process, lease: Lease, unrecorded: _Unrecorded) -> StageLeft:
    settings, failures_before = process.settings, process.network.failures
    results = _poison_outcome(lease) if lease.is_poison else _worked(process, lease, _load(process, lease))
    stage_work = asyncio.create_task(_collect(results, unrecorded))
    release_at = time.monotonic() + settings.chunk_seconds
    try:
        while not (await asyncio.wait({stage_work}, timeout=settings.checkpoint_seconds))[0]:
            if process.draining.is_set() or time.monotonic() > release_at:
                reason = "the worker stops" if process.draining.is_set() else "the chunk's time is up"
                await _cancel(stage_work)
                return await asyncio.to_thread(_release, process, lease, unrecorded, reason)
            _check_world(process, failures_before)
            await _checkpoint(process, lease, unrecorded)
    finally:
        await _cancel(stage_work)
    _check_world(process, failures_before)
    stage_work.result()
    return await asyncio.to_thread(_finish, process, lease, unrecorded)


async def _checkpoint(process: Process, lease: Lease, unrecorded: _Unrecorded) -> None:
    """Record the outcomes. If Postgres is unavailable, they are kept for the next checkpoint while the lease lives."""
    outcomes = unrecorded.take_outcomes()
    try:
        await asyncio.to_thread(_record, process, lease, outcomes)
    except PostgresUnavailable as error:
        log.warning("run %s: outcomes are not recorded yet: %s", lease.run_id, error)
        unrecorded.outcomes[:0] = outcomes
    except StepFailed:
        unrecorded.outcomes[:0] = outcomes
        raise


def _check_world(process: Process, failures_before: int) -> None:
    """Raise `TotalOutage` instead of reporting for each contact that its mail server could not be reached."""
    if outage := process.outage(failures_before):
        raise TotalOutage(outage.code, outage.message)


async def _collect(results: AsyncIterator[Outcome | Deferral], unrecorded: _Unrecorded) -> None:
    with trouble.step(Step.WORK):
        async for result in results:
            unrecorded.add(result)


async def _worked(process: Process, lease: Lease, batch: Batch) -> AsyncIterator[Outcome | Deferral]:
    stage, missing = stage_named(lease.stage).stage, {contact.position for contact in batch.contacts}
    async for result in stage.work(batch, process.network, process.sources_of(lease.run_id)):
        missing.discard(result.position)
        yield result
    if missing:
        raise StageFault(
            f"stage {lease.stage} gave no outcome for {len(missing)} contacts, the first at position {min(missing)}"
        )


async def _poison_outcome(lease: Lease) -> AsyncIterator[Outcome]:
    """The outcome of a contact that broke its chunk tasks. It is neither loaded nor worked again."""
    yield Outcome(lease.first_position, stage_named(lease.stage).on_fault, Reason.INTERNAL_ERROR)


async def _cancel(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.wait({task})


def _load(process: Process, lease: Lease) -> Batch:
    freshness = freshness_of(process.settings)
    with trouble.step(Step.LOAD):
        return retry_commit(process, work_under(lease), lambda session: chunks.load(session, lease, freshness))


def _record(process: Process, lease: Lease, outcomes: list[Outcome]) -> None:
    with trouble.step(Step.RECORD), process.database.transaction() as session:
        run = chunks.record(session, lease, outcomes, process.settings.lease_seconds)
        state = live_state.build(session, run, process.settings.public_url)
    process.publish(state)


def _finish(process: Process, lease: Lease, unrecorded: _Unrecorded) -> StageLeft:
    def end(session: Session) -> bool:
        if unrecorded.deferrals:
            chunks.defer(session, lease, unrecorded.deferrals)
            return False
        chunks.finish(session, lease)
        with trouble.step(Step.ADVANCE):
            return lifecycle.advance(session, lease.run_id, lease.stage, lease.worker)

    return _end(process, lease, unrecorded.outcomes, end)


def _release(process: Process, lease: Lease, unrecorded: _Unrecorded, reason: str) -> StageLeft:
    def end(session: Session) -> bool:
        chunks.release(session, lease, reason)
        return False

    return _end(process, lease, unrecorded.outcomes, end)


def _end(process: Process, lease: Lease, outcomes: list[Outcome], end_chunk: Callable[[Session], bool]) -> StageLeft:
    """Record the outcomes and end the lease, in one transaction. `end_chunk` returns whether the stage is complete."""

    def end(session: Session) -> tuple[StageLeft, live_state.LiveState]:
        with trouble.step(Step.RECORD):
            run = chunks.record(session, lease, outcomes, process.settings.lease_seconds)
        complete = end_chunk(session)
        left = StageLeft(complete, bool(free_chunks(session, lease.run_id, lease.stage, 1)))
        return left, live_state.build(session, run, process.settings.public_url)

    with trouble.step(Step.FINISH):
        left, state = retry_commit_of_end(process, lease, end)
    process.publish(state)
    return left
