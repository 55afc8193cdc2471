"""How a worker handles a failed step: it notes the attempt, with a growing pause, and in the end fails the run."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from uuid import UUID

from sqlalchemy.orm import Session

from models.postgres_errors import Meaning, meaning_of
from models.queries import has_free_chunks
from models.run import Run
from models.transitions import RunError, lock_run
from pipeline.errors import ChunkExhausted, LeaseLost
from pipeline.outcomes import Outcome
from pipeline.results.links import Links
from pipeline.runs import chunks, lifecycle, live_state, trouble
from pipeline.runs.chunks import Lease
from pipeline.runs.live_state import LiveState
from pipeline.runs.trouble import Step, StepFailed
from worker.commit_retry import retry_commit, retry_commit_of_end, work_under
from worker.dispatch import broker_may_be_away, send_export
from worker.process import Process

log = logging.getLogger(__name__)


def fail_attempt(process: Process, lease: Lease, failed: StepFailed, outcomes: Sequence[Outcome]) -> bool | None:
    """End the lease of a chunk whose step failed. Returns whether the stage has chunks that can be leased.

    Keeps those of the unrecorded outcomes that Postgres accepts. Returns none if the attempt could not be noted: the
    lease then expires, which counts too. Also returns none if the lease is lost; then the outcomes are dropped.
    """
    span = f"contacts {lease.first_position} to {lease.last_position}"
    log.error("%s, %s: %s", work_under(lease), span, failed)

    def end(session: Session) -> tuple[bool, Run, LiveState]:
        # Alone: halving takes the run's row before outcomes, which others take the other way round.
        lock_run(session, lease.run_id)
        chunks.record(session, lease, (), process.settings.lease_seconds)
        record_acceptable(session, lease, outcomes, process.settings.lease_seconds)
        chunks.fail_attempt(session, lease, failed)
        run = lifecycle.refreshed(session, lease.run_id)
        state = live_state.build(session, run, Links.of(process.settings))
        return has_free_chunks(session, lease.run_id, lease.stage), run, state

    try:
        with trouble.step(Step.FINISH):
            has_free, run, state = retry_commit_of_end(process, lease, end)
    except StepFailed as error:
        log.error("%s: its failed attempt was not noted: %s", work_under(lease), error)
        return None
    except LeaseLost as lost:
        log.warning("%s; unrecorded outcomes are dropped", lost)
        return None
    process.publish(state)
    if trouble.is_hopeless(run):
        fail_run(process, lease.run_id, trouble.error_of(run, lease.stage), lease.worker)
    return has_free


def record_acceptable(session: Session, lease: Lease, outcomes: Sequence[Outcome], seconds: float) -> None:
    """Record the outcomes that Postgres accepts, by halving them. Those that it refuses stay undone."""
    try:
        with session.begin_nested():
            chunks.record(session, lease, outcomes, seconds)
    except Exception as error:
        if isinstance(error, LeaseLost) or meaning_of(error) is Meaning.UNAVAILABLE:
            raise
        half = len(outcomes) // 2
        for part in (outcomes[:half], outcomes[half:]) if half else ():
            record_acceptable(session, lease, part, seconds)


def note_failure(process: Process, run_id: UUID, failed: StepFailed, stage: str | None, worker: str) -> None:
    """Note the failure of a step without a lease. The sweeper sends the chain again after a pause."""
    log.error("run %s, stage %s: %s", run_id, stage, failed)

    def step(session: Session) -> tuple[Run, LiveState] | None:
        run = lock_run(session, run_id)
        if run is None or not trouble.note_step(session, run, failed, stage, worker):
            return None
        run = lifecycle.refreshed(session, run_id)
        return run, live_state.build(session, run, Links.of(process.settings))

    try:
        with trouble.step(failed.step):
            noted = retry_commit(process, f"run {run_id}, stage {stage}", step)
    except StepFailed as error:
        log.error("run %s: its failure was not noted: %s", run_id, error)
        return
    if noted is None:
        return
    run, state = noted
    process.publish(state)
    if trouble.is_hopeless(run) and failed.step is not Step.FAIL:
        fail_run(process, run_id, trouble.error_of(run, stage), worker)


def fail_exhausted(process: Process, run_id: UUID, stage: str, worker: str) -> None:
    """Fail a run because one of its chunks has failed too often."""
    run = retry_commit(process, f"run {run_id}, stage {stage}", lambda session: session.get_one(Run, run_id))
    fail_run(process, run_id, trouble.error_of(run, stage), worker)


def fail_run(process: Process, run_id: UUID, error: RunError, worker: str) -> None:
    """Fail a run and pay back the credits for what was not delivered. If even that fails, it is tried again later."""
    log.error("run %s, stage %s: failed with %s", run_id, error.stage, error.code)

    def end(session: Session) -> LiveState | None:
        run = lifecycle.fail(session, run_id, error, worker)
        return live_state.build(session, run, Links.of(process.settings)) if run else None

    try:
        with trouble.step(Step.FAIL):
            state = retry_commit(process, f"run {run_id}, stage {error.stage}", end)
    except StepFailed as failed:
        note_failure(process, run_id, failed, error.stage, worker)
        return
    if state:
        process.publish(state)
        with broker_may_be_away(run_id):
            send_export(run_id)


@contextmanager
def noting_failures(process: Process, run_id: UUID, stage: str, worker: str) -> Iterator[None]:
    """For steps without a lease: a failure ends the block and is noted in the run's row."""
    try:
        yield
    except ChunkExhausted as error:
        log.error("%s", error)
        fail_exhausted(process, run_id, stage, worker)
    except StepFailed as failed:
        note_failure(process, run_id, failed, stage, worker)
