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
from typing import Self
from uuid import UUID

from sqlalchemy.orm import Session

from models.queries import preset_of_run
from models.status import TERMINAL_RUN_STATUSES
from models.transitions import RunError, lock_run, touch_run
from pipeline.errors import TotalOutage
from pipeline.results.links import Links
from pipeline.runs import chunks, lifecycle, live_state, trouble
from pipeline.runs.chunks import Lease, Leased
from pipeline.runs.deferrals import park
from pipeline.runs.lifecycle import Beginning
from pipeline.runs.live_state import LiveState
from pipeline.runs.trouble import Step
from worker.at_work import Place
from worker.attempts import fail_run, noting_failures
from worker.chunk_task import ChunkTask
from worker.commit_retry import retry_commit, retry_commit_of_lease
from worker.dispatch import broker_may_be_away, send_chunk_tasks, send_rest_of_chain
from worker.process import Process
from worker.turns import StageLeft

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Begun:
    """How a task begins: the state of its stage, the chunk that it leased, and the number of chunks left."""

    beginning: Beginning
    lease: Lease | None = None
    left_over: int = 0
    in_trouble: bool = False
    """Steps of the run fail again and again: extra tasks are sent only once a chunk has succeeded."""

    @classmethod
    def with_(cls, leased: Leased, *, in_trouble: bool = False) -> Self:
        """A task that works its stage, with a chunk if there was one."""
        return cls(Beginning.WORK, next(iter(leased.leases), None), leased.others, in_trouble)


def work_chain_step(process: Process, run_id: UUID, stage: str, worker: str, extra_tasks: int) -> bool:
    """Do the work of one chain step. Returns whether the chain goes on."""
    place = process.at_work.enter_or_ask(run_id, stage)
    if place is None:
        return False
    begun, left = Begun(Beginning.OVER), None
    try:
        begun = begin(process, run_id, stage, worker)
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


def begin(process: Process, run_id: UUID, stage: str, worker: str) -> Begun:
    """Begin a stage and lease its first free chunk, in one transaction."""
    settings = process.settings

    def step(session: Session) -> tuple[Begun, LiveState | None]:
        beginning = lifecycle.begin_stage(session, run_id, stage, worker, settings.chunk_size)
        if beginning is not Beginning.WORK:
            return Begun(beginning), None
        run = touch_run(session, run_id, settings.lease_seconds)
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
        if not leased.leases:
            park(session, run_id, stage)
            trouble.park(session, run)
        state = live_state.build(session, run, Links.of(settings))
        return Begun.with_(leased, in_trouble=trouble.is_throttled(run)), state

    with noting_failures(process, run_id, stage, worker):
        with trouble.step(Step.BEGIN):
            begun, state = retry_commit_of_lease(process, _of_stage(run_id, stage), step, lambda given: given[0].lease)
        if state:
            process.publish(state)
        return begun
    return Begun(Beginning.OVER)


def _lease_chunk(process: Process, run_id: UUID, stage: str, worker: str) -> Begun:
    settings = process.settings

    def step(session: Session) -> Begun:
        run = lock_run(session, run_id)
        if run is None or run.status in TERMINAL_RUN_STATUSES:
            return Begun(Beginning.OVER)
        return Begun.with_(
            chunks.lease_next(
                session,
                run,
                stage,
                worker,
                settings.lease_seconds,
                settings.max_tasks_per_run,
                process.at_work.suspects(),
            )
        )

    with noting_failures(process, run_id, stage, worker), trouble.step(Step.LEASE):
        return retry_commit_of_lease(process, _of_stage(run_id, stage), step, lambda begun: begun.lease)
    return Begun(Beginning.OVER)


def _work(process: Process, begun: Begun, hand_on: Callable[[], None]) -> StageLeft | None:
    """Work chunks; none if their leases were lost, or if the run failed because nothing outside can be reached."""
    if begun.lease is None:
        return None
    lease = begun.lease
    try:
        return ChunkTask(process, lease, hand_on).work(begun.left_over > 0)
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
