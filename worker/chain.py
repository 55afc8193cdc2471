"""Steps of a run's chain, and the tasks beside it.

A chain step begins its stage and works its chunks, so that a small run needs three messages only. It sends further
tasks, which work chunks of the stage in other processes. Afterwards:

- If the stage is complete, the chain goes on.
- If other tasks work the last chunks, it ends this copy of the chain. The task that completes the stage sends the rest.
- If chunks are left although its time is up, it sends the rest of the chain and ends this copy.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.queries import preset_of_run
from models.run import Run
from models.status import TERMINAL_RUN_STATUSES
from models.transitions import RunError, lock_run, touch_run
from pipeline.contacts import Batch
from pipeline.errors import TotalOutage
from pipeline.results.links import Links
from pipeline.runs import chunks, lifecycle, live_state, trouble
from pipeline.runs.chunks import Lease
from pipeline.runs.deferrals import park
from pipeline.runs.lifecycle import Beginning
from pipeline.runs.live_state import LiveState
from pipeline.runs.trouble import Step, StepFailed
from worker.at_work import Place
from worker.attempts import fail_run, noting_failures
from worker.chunk_task import ChunkTask
from worker.commit_retry import retry_commit, retry_commit_of_lease
from worker.dispatch import broker_may_be_away, send_chain, send_chunk_tasks, send_rest_of_chain
from worker.process import Process, freshness_of
from worker.turns import StageLeft

PRESET = text("SELECT preset FROM runs WHERE id = :run_id")

log = logging.getLogger(__name__)

Loaded = TypeVar("Loaded")


@dataclass(frozen=True, slots=True)
class Begun(Generic[Loaded]):
    """How a task begins: the state of its stage, the chunk that it leased, what it holds, and the number of others."""

    beginning: Beginning
    lease: Lease | None = None
    loaded: Loaded | None = None
    """None if it could not be loaded: whoever works the chunk tries it once more, and that failure is noted."""
    left_over: int = 0
    in_trouble: bool = False
    """Steps of the run fail again and again: extra tasks are sent only once a chunk has succeeded."""


def work_chain_step(process: Process, run_id: UUID, stage: str, worker: str, extra_tasks: int) -> bool:
    """Do the work of one chain step. Returns whether the chain goes on."""
    place = process.at_work.enter_or_ask(run_id, stage)
    if place is None:
        return False
    begun: Begun[Batch] = Begun(Beginning.OVER)
    left = None
    try:
        begun = begin(process, run_id, stage, worker, partial(load_batch, process))
        if begun.lease and not begun.in_trouble:
            _send_chunk_tasks(run_id, stage, min(extra_tasks, begun.left_over))
        left = _work(process, begun, partial(_hand_on_chain, process, place, worker))
    finally:
        process.at_work.leave(place)
    if begun.beginning is Beginning.DONE or (left is not None and left.complete):
        return True
    # Only now that the place is free: this process may be the one that receives it.
    if left is not None and left.has_free_chunks and begun.in_trouble:
        _send_chunk_tasks(run_id, stage, min(extra_tasks, begun.left_over))
    if place.was_asked_for or (left is not None and left.has_free_chunks):
        _send_rest(process, run_id, stage, worker)
    return False


def start_run(process: Process, run_id: UUID) -> None:
    """Send the chain of a run. Of one that is not committed yet nothing is known: the sweeper sends its chain."""
    preset = retry_commit(process, f"run {run_id}", lambda session: session.scalar(PRESET, {"run_id": run_id}))
    if preset is None:
        log.warning("run %s is not there: if its transaction is not over, the sweeper will send its chain", run_id)
        return
    with broker_may_be_away(run_id):
        send_chain(run_id, preset)


def work_chunk_task(process: Process, run_id: UUID, stage: str, worker: str) -> None:
    """Work chunks of a stage beside the chain."""
    place = process.at_work.enter(run_id, stage)
    if place is None:
        return
    try:
        left = _work(process, _lease_chunk(process, run_id, stage, worker), partial(_hand_on_chunks, process, place))
    finally:
        process.at_work.leave(place)
    if place.was_asked_for or (left is not None and left.complete):
        _send_rest(process, run_id, stage, worker)
    elif left is not None and left.has_free_chunks:
        _send_chunk_tasks(run_id, stage, 1)


def _hand_on_chain(process: Process, place: Place, worker: str) -> None:
    process.at_work.leave(place)
    _send_rest(process, place.run_id, place.stage, worker)


def _hand_on_chunks(process: Process, place: Place) -> None:
    process.at_work.leave(place)
    _send_chunk_tasks(place.run_id, place.stage, 1)


def begin(
    process: Process, run_id: UUID, stage: str, worker: str, load: Callable[[Session, Run, Lease], Loaded | None]
) -> Begun[Loaded]:
    """Begin a stage, lease its first free chunk and `load` it, in one transaction."""
    with noting_failures(process, run_id, stage, worker):
        try:
            return _begin(process, run_id, stage, worker, load)
        except StepFailed as failed:
            if failed.step is not Step.LOAD:
                raise
        return _begin(process, run_id, stage, worker, _load_nothing)
    return Begun(Beginning.OVER)


def _begin(
    process: Process, run_id: UUID, stage: str, worker: str, load: Callable[[Session, Run, Lease], Loaded | None]
) -> Begun[Loaded]:
    settings = process.settings

    def step(session: Session) -> tuple[Begun[Loaded], LiveState | None]:
        beginning = lifecycle.begin_stage(session, run_id, stage, worker, settings.chunk_size)
        if beginning is not Beginning.WORK:
            return Begun(beginning), None
        run = touch_run(session, run_id, settings.lease_seconds)
        begun = _lease_and_load(session, process, run, stage, worker, load)
        if begun.lease is None:
            park(session, run_id, stage)
            trouble.park(session, run)
        return begun, live_state.build(session, run, Links.of(settings))

    with trouble.step(Step.BEGIN):
        begun, state = retry_commit_of_lease(process, _of_stage(run_id, stage), step, lambda given: given[0].lease)
    if state:
        process.publish(state)
    return begun


def _lease_chunk(process: Process, run_id: UUID, stage: str, worker: str) -> Begun[Batch]:
    def step(session: Session) -> Begun[Batch]:
        run = lock_run(session, run_id)
        if run is None or run.status in TERMINAL_RUN_STATUSES:
            return Begun(Beginning.OVER)
        return _lease_and_load(session, process, run, stage, worker, _load_nothing)

    with noting_failures(process, run_id, stage, worker), trouble.step(Step.LEASE):
        return retry_commit_of_lease(process, _of_stage(run_id, stage), step, lambda begun: begun.lease)
    return Begun(Beginning.OVER)


def _lease_and_load(
    session: Session,
    process: Process,
    run: Run,
    stage: str,
    worker: str,
    load: Callable[[Session, Run, Lease], Loaded | None],
) -> Begun[Loaded]:
    settings = process.settings
    with trouble.step(Step.LEASE):
        leased = chunks.lease_next(
            session,
            run,
            stage,
            worker,
            settings.lease_seconds,
            settings.max_tasks_per_run,
            process.at_work.suspects(),
        )
    lease = next(iter(leased.leases), None)
    with trouble.step(Step.LOAD):
        loaded = load(session, run, lease) if lease else None
    return Begun(Beginning.WORK, lease, loaded, leased.others, trouble.is_throttled(run))


def load_batch(process: Process, session: Session, _run: Run, lease: Lease) -> Batch | None:
    """The contacts of a leased chunk. Those of a poison chunk are not read."""
    return None if lease.is_poison else chunks.load(session, lease, freshness_of(process.settings))


def _load_nothing(_session: Session, _run: Run, _lease: Lease) -> None:
    return None


def _work(process: Process, begun: Begun[Batch], hand_on: Callable[[], None]) -> StageLeft | None:
    """Work chunks; none if their leases were lost, or if the run failed because nothing outside can be reached."""
    if begun.lease is None:
        return None
    lease = begun.lease
    try:
        return ChunkTask(process, lease, hand_on, begun.loaded).work(begun.left_over > 0)
    except TotalOutage as gone:
        fail_run(process, lease.run_id, RunError(gone.code, str(gone), lease.stage), lease.worker)
        return None


def _send_chunk_tasks(run_id: UUID, stage: str, count: int) -> None:
    with broker_may_be_away(run_id):
        send_chunk_tasks(run_id, stage, count)


def _send_rest(process: Process, run_id: UUID, stage: str, worker: str) -> None:
    with noting_failures(process, run_id, stage, worker):
        with trouble.step(Step.CONTINUE):
            preset = retry_commit(process, _of_stage(run_id, stage), lambda session: preset_of_run(session, run_id))
        with broker_may_be_away(run_id):
            send_rest_of_chain(run_id, preset, stage)


def _of_stage(run_id: UUID, stage: str | None) -> str:
    return f"run {run_id}, stage {stage}"
