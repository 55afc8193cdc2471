"""The steps of a run: begin a stage, complete it, complete the run, cancel it, fail it."""

from collections.abc import Callable, Sequence
from enum import Enum, auto
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from models.database import allow_time_for
from models.queries import stages_of_run
from models.run import Run
from models.run_chunk import COMPILE
from models.status import TERMINAL_RUN_STATUSES, RunStatus, StageStatus
from models.transitions import (
    RunError,
    cancel_run,
    complete_run,
    complete_stage,
    fail_run,
    lock_run,
    start_run,
    start_stage,
)
from pipeline.credits import Delivered, at_most_charged, rebate, rebate_of_completed, rebate_of_stopped
from pipeline.errors import LeaseLost, RunStateConflict, UnknownRun
from pipeline.results.artifacts import add_artifacts, artifacts_of, summary_of
from pipeline.results.counts import OutcomeGroup, charged, count_outcomes, delivered
from pipeline.results.export_lease import ask_for_exports
from pipeline.results.exports import ExportFile
from pipeline.results.reports import data_source_mix, gap_report, preview
from pipeline.runs import chunks, trouble
from pipeline.runs.chunks import Lease
from pipeline.runs.deferrals import park
from pipeline.runs.repeats import note_repeats
from pipeline.runs.trouble import Step
from pipeline.stages import address_stages


class Beginning(Enum):
    """What a chain step finds when it begins its stage."""

    OVER = auto()
    """There is nothing to do: the run is finished or unknown, or an earlier stage is not complete."""
    DONE = auto()
    """The stage is complete: the chain goes on."""
    WORK = auto()
    """The stage is not complete: chunks are free, or other chunk tasks work on them."""


def begin_stage(session: Session, run_id: UUID, stage: str, worker: str, chunk_size: int) -> Beginning:
    """Start the run and this stage unless they have started, and plan the stage's chunks."""
    run = lock_run(session, run_id)
    if run is None or run.status in TERMINAL_RUN_STATUSES:
        return Beginning.OVER
    stages = {row.stage: row.status for row in stages_of_run(session, run_id)}
    if any(stages[earlier] != StageStatus.COMPLETED for earlier in _before(stage, list(stages))):
        return Beginning.OVER
    if stages.get(stage) == StageStatus.COMPLETED:
        return Beginning.DONE
    if run.status == RunStatus.PENDING:
        if run.made_in_sql:
            note_repeats(session, run)
        start_run(session, run_id, worker)
    if stage == COMPILE:
        chunks.plan(session, run_id, COMPILE, contacts=1, size=1)
    elif start_stage(session, run_id, stage, worker):
        with trouble.step(Step.PLAN):
            chunks.plan(session, run_id, stage, run.contact_count, chunk_size)
    return Beginning.WORK


def advance(session: Session, run_id: UUID, stage: str, worker: str) -> bool:
    """Complete the stage if all of its chunks are done; return whether this call completed it.

    If all other chunks wait, the run is parked until the first of them is due. The caller holds the run's row.
    """
    if complete_stage(session, run_id, stage, worker):
        return True
    park(session, run_id, stage)
    return False


def complete(session: Session, lease: Lease, exports: Sequence[ExportFile]) -> Run:
    """Write results, artifacts, rebate and the status `completed` in one step. Raises `LeaseLost`."""
    run = lock_run(session, lease.run_id)
    if run is None:
        raise LeaseLost(f"run {lease.run_id}: there is no such run")
    chunks.end(session, lease)
    groups, counts = _counted(session, run)
    credits_back = at_most_charged(run, rebate_of_completed(run, charged(session, run, counts)))
    add_artifacts(session, run.id, artifacts_of(counts, exports))
    rebate(session, run, credits_back)
    complete_run(session, run.id, lease.worker, **_results(run, counts, groups, credits_back))
    completed = refreshed(session, run.id)
    if exports:
        add_artifacts(session, run.id, [summary_of(completed)])
    return completed


def cancel(session: Session, account_id: UUID, run_id: UUID) -> Run:
    """Cancel a run. Found addresses are kept, other credits are paid back. Chunk tasks stop at their next checkpoint.

    Raises `UnknownRun`, and `RunStateConflict` for a run that is finished.
    """
    run = lock_run(session, run_id)
    if run is None or run.account_id != account_id:
        raise UnknownRun.with_this_id()
    allow_time_for(session, run.contact_count)
    if not _stop(session, run, partial(cancel_run, session, run_id)):
        raise RunStateConflict(f"This run is {run.status} already: only a pending or running one can be cancelled.")
    return refreshed(session, run_id)


def fail(session: Session, run_id: UUID, error: RunError, worker: str | None = None) -> Run | None:
    """Fail a run. Found addresses are kept, other credits are paid back. None if the run was finished already.

    `worker` is the worker that fails it, or None for the sweeper.
    """
    run = lock_run(session, run_id)
    if run is None or not _stop(session, run, partial(fail_run, session, run_id, error, worker)):
        return None
    return refreshed(session, run_id)


def refreshed(session: Session, run_id: UUID) -> Run:
    """Read the run's row again in this transaction."""
    session.flush()
    return session.get_one(Run, run_id, populate_existing=True)


def _stop(session: Session, run: Run, transition: Callable[..., bool]) -> bool:
    """End a run before it is complete; return whether the transition took effect."""
    groups, counts = _counted(session, run)
    credits_back = at_most_charged(run, rebate_of_stopped(run, charged(session, run, counts)))
    landed = transition(**_results(run, counts, groups, credits_back))
    if landed:
        rebate(session, run, credits_back)
        ask_for_exports(session, run)
    return landed


def _counted(session: Session, run: Run) -> tuple[list[OutcomeGroup], Delivered]:
    groups = count_outcomes(session, run.id)
    return groups, delivered(run.contact_count, address_stages(run.preset), groups)


def _results(run: Run, counts: Delivered, groups: list[OutcomeGroup], credits_back: int) -> dict[str, Any]:
    return {
        "preview": preview(run, counts, groups, credits_back),
        "data_source_mix": data_source_mix(run, counts, groups),
        "gap_report": gap_report(run, counts, groups),
    }


def _before(stage: str, stages: Sequence[str]) -> Sequence[str]:
    return stages if stage == COMPILE else stages[: stages.index(stage)]
