"""Failing steps: each failure is recorded on its run and retried after a pause; without progress, the run is failed.

A failure of a step under a lease also counts as an attempt at the chunk: `pipeline.runs.poison` finds the contact at
fault. A step without a lease (beginning a stage, planning, leasing) delays the whole run. Any progress resets the
count. While Postgres is unavailable, nothing counts as a failure.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from enum import StrEnum
from traceback import walk_tb
from typing import Any, Self
from uuid import UUID

from sqlalchemy import case, func, literal, select, update
from sqlalchemy.orm import Session

from models.events import EventKind, add_event
from models.pauses import doubling_pause, in_seconds
from models.pauses import seconds as interval
from models.postgres_errors import Meaning, PostgresUnavailable, meaning_of, sqlstate_of
from models.run import Run
from models.run_chunk import RunChunk
from models.status import TERMINAL_RUN_STATUSES
from models.transitions import RunError, park_run
from pipeline.errors import ChunkExhausted, GrowthError, LeaseLost, StorageFailed, TotalOutage
from pipeline.outcomes import Outcome, Reason

LONGEST_PAUSE_S = 60
LEAST_FAILURES = 5
PATIENCE = timedelta(minutes=2)
"""A run is failed after two minutes without progress in which at least `LEAST_FAILURES` steps failed."""

FORGOTTEN = timedelta(minutes=5)
"""A failure no longer counts so long after its retry was due: the run has waited for mail servers since then."""

FREE_FAILURES = 10
FAILURES_PER_SECOND = 2
"""After ten failures in a row, chunks of the run are leased at two a second at most. Otherwise a fault that lasts
could cost thousands of attempts in a minute."""

OUR_PACKAGES = ("models.", "pipeline.", "worker.")


class Step(StrEnum):
    """The steps of a worker's work on a run."""

    BEGIN = "begin"
    PLAN = "plan"
    LEASE = "lease"
    LOAD = "load"
    WORK = "work"
    RECORD = "record"
    FINISH = "finish"
    ADVANCE = "advance"
    WRITE_EXPORTS = "write_exports"
    COMPLETE = "complete"
    CONTINUE = "continue"
    FAIL = "fail"


WHILE = {
    Step.BEGIN: "it was begun",
    Step.PLAN: "its contacts were divided into parts",
    Step.LEASE: "a part was handed to a worker",
    Step.LOAD: "its contacts were loaded",
    Step.WORK: "its contacts were worked",
    Step.RECORD: "its results were recorded",
    Step.FINISH: "it was finished",
    Step.ADVANCE: "the stage was completed",
    Step.WRITE_EXPORTS: "the export files were written",
    Step.COMPLETE: "the results were compiled",
    Step.CONTINUE: "the rest of it was sent to the workers",
    Step.FAIL: "the run was ended",
}
"""What a step does, in words for the message that readers see."""

OF_A_PART = {Step.LOAD, Step.WORK, Step.RECORD, Step.FINISH, Step.ADVANCE}


class StepFailed(GrowthError):
    """Raised when a step fails unexpectedly. Names the step and the fault, and never a value."""

    def __init__(self, step: Step, fault: str, place: str = "") -> None:
        super().__init__(f"failed while {WHILE[step]}: {fault}{place and f', {place}'}")
        self.step = step
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Trouble:
    """The last failure of a run. `times` is how often its chunk, or the run, failed in a row."""

    step: Step
    stage: str | None
    fault: str
    times: int

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> Self:
        """The failure that is stored in a run's row."""
        return cls(Step(kept["step"]), kept["stage"], kept["fault"], kept["times"])

    @property
    def sentence(self) -> str:
        """What failed, as a sentence for people, without its full stop."""
        what = f"The stage {self.stage}" if self.stage else "This run"
        where = f"A part of the stage {self.stage}" if self.step in OF_A_PART else what
        times = "once" if self.times == 1 else f"{self.times} times"
        return f"{where} failed {times} while {WHILE[self.step]} ({self.fault})"


@contextmanager
def step(name: Step) -> Iterator[None]:
    """Turn unexpected exceptions of the block into `StepFailed`, unless Postgres is unavailable."""
    try:
        yield
    except (StepFailed, LeaseLost, TotalOutage, ChunkExhausted, PostgresUnavailable):
        raise
    except Exception as error:
        if meaning_of(error) is Meaning.UNAVAILABLE:
            raise
        # Not chained: the text of an error may contain personal data.
        raise StepFailed(name, fault_of(error), place_of(error)) from None


def note_step(session: Session, run: Run, failed: StepFailed, stage: str | None, worker: str | None = None) -> bool:
    """Record that a step without a lease failed. False for a run that has ended.

    The sweeper sends the chain again after a pause. `run` is locked.
    """
    if run.status in TERMINAL_RUN_STATUSES:
        return False
    trouble = Trouble(failed.step, stage, failed.fault, run.failures + 1)
    note(session, run.id, trouble)
    park_run(session, run.id, Run.retry_at)
    detail = {"step": failed.step.value, "fault": failed.fault, "times": trouble.times}
    add_event(session, run.id, EventKind.STEP_FAILED, stage=stage, worker=worker, **detail)
    return True


def note_lost_lease(session: Session, run: Run, chunk: RunChunk) -> None:
    """Record that a chunk task was lost, unless it was the first for this chunk, which may be chance.

    `run` is locked. Raises `ChunkExhausted` for a run that lost chunk tasks for too long and made no progress.
    """
    if chunk.attempts > 1:
        note(session, run.id, Trouble(Step.WORK, chunk.stage, "its worker fell silent", chunk.attempts), seconds=0)
        session.refresh(run)
        if is_hopeless(run):
            raise ChunkExhausted(f"run {run.id}, stage {chunk.stage}: {run.failures} chunk tasks lost, no progress")


def note(session: Session, run_id: UUID, trouble: Trouble, seconds: int | None = None) -> None:
    """Count a failure of a run, whose row the caller has locked; readers see it.

    The step is retried after `seconds`, by default after a pause that doubles with each failure in a row.
    """
    wait = doubling_pause(trouble.times, LONGEST_PAUSE_S) if seconds is None else seconds
    is_first = (Run.failures == 0) | (Run.retry_at < func.now() - FORGOTTEN)
    session.execute(
        update(Run)
        .where(Run.id == run_id)
        .values(
            failures=case((is_first, 1), else_=Run.failures + 1),
            troubled_since=case((is_first, func.now()), else_=Run.troubled_since),
            trouble=asdict(trouble),
            retry_at=in_seconds(wait),
            version=Run.version + 1,
            updated_at=func.now(),
        )
        .execution_options(synchronize_session=False)
    )


def overcome(session: Session, run_id: UUID) -> None:
    """Reset the count of failures: the run makes progress."""
    session.execute(
        update(Run)
        .where(Run.id == run_id, Run.failures > 0)
        .values(failures=0)
        .execution_options(synchronize_session=False)
    )


def is_progress(outcomes: Iterable[Outcome]) -> bool:
    """Whether an outcome is more than an `internal_error`."""
    return any(outcome.reason is not Reason.INTERNAL_ERROR for outcome in outcomes)


def is_hopeless(run: Run) -> bool:
    """Whether a run has failed for too long without progress. Ask it right after `note`."""
    return bool(
        run.failures >= LEAST_FAILURES and run.troubled_since and run.updated_at - run.troubled_since >= PATIENCE
    )


def is_throttled(run: Run) -> bool:
    """Whether a run failed so often in a row that its chunks are leased at a limited rate."""
    return run.failures > FREE_FAILURES


def must_wait(session: Session, run: Run) -> bool:
    """Whether a throttled run has to wait before its next chunk is leased."""
    if not is_throttled(run):
        return False
    return bool(session.scalar(select(_waits_until(run) > func.now())))


def park(session: Session, run: Run) -> None:
    """Park a throttled run until its next chunk may be leased."""
    if must_wait(session, run):
        park_run(session, run.id, _waits_until(run))


def trouble_of(run: Run) -> Trouble | None:
    """The failure that readers should see: there was no progress since, or a chunk still waits for its retry."""
    if not run.trouble or not run.retry_at:
        return None
    return Trouble.from_json(run.trouble) if run.failures or run.retry_at > run.updated_at else None


def error_of(run: Run, stage: str | None) -> RunError:
    """The error of a run that is failed because its steps keep failing."""
    trouble = Trouble.from_json(run.trouble) if run.trouble else None
    what = trouble.sentence if trouble else "A part of this run failed again and again"
    return RunError("stage_failed", f"{what}. Contact support, or retry the run: it goes on where it stopped.", stage)


def _waits_until(run: Run) -> Any:
    seconds = (run.failures - FREE_FAILURES) / FAILURES_PER_SECOND
    return literal(run.troubled_since) + interval(seconds)


def fault_of(error: Exception) -> str:
    """The kind of an error, without its text."""
    if isinstance(error, StorageFailed):
        return error.fault
    sqlstate = sqlstate_of(error)
    return f"database error {sqlstate}" if sqlstate else f"internal error {type(error).__name__}"


def place_of(error: Exception) -> str:
    """Where in our code an error was raised. For logs, instead of a traceback, whose last line contains values."""
    if isinstance(error, GrowthError):
        return str(error)
    frames = walk_tb(error.__traceback__)
    places = [f"{frame.f_globals.get('__name__')}:{line}" for frame, line in frames]
    return next((place for place in reversed(places) if place.startswith(OUR_PACKAGES)), "")
