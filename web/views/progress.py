"""A run's progress as people see it: stages with their speed, what is left, and who waits."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from sqlalchemy.orm import Session

from models.queries import stages_of_run
from models.run import Run
from models.run_stage import RunStage
from models.status import RunStatus, StageStatus
from pipeline.runs.deferrals import Waiting, waiting
from pipeline.runs.progress import COMPILING_MESSAGE, ENDINGS, PENDING_MESSAGE, StageCount, percent
from pipeline.runs.trouble import trouble_of
from pipeline.stages import stage_named
from web.views.formats import count_of, duration, minute
from web.views.memory import Memory

NO_ESTIMATE = "No estimate yet"
AVERAGE_AFTER_S = 3.0


class Note(NamedTuple):
    """A note under the bar: what it is about, and what follows from it."""

    tone: str
    strong: str
    text: str


class StageView(NamedTuple):
    """One stage. `rate` is in contacts a second, where it is known."""

    name: str
    status: str
    done: int
    total: int
    waiting: int
    rate: float | None
    took: float | None


class ProgressView(NamedTuple):
    """The progress of a run."""

    percent: int
    sentence: str
    left: str
    note: Note
    stages: Sequence[StageView]


def progress_of(session: Session, run: Run, memory: Memory) -> ProgressView:
    """The progress of a run that is active."""
    rows = stages_of_run(session, run.id)
    counts = [StageCount(row.stage, row.status, row.done, row.total) for row in rows]
    waits = waiting(session, run.id) if any(row.waiting for row in rows) else None
    stages = [_stage(run, row, memory) for row in rows]
    current = next((stage for stage in stages if stage.status == StageStatus.RUNNING), None)
    return ProgressView(
        percent(run.status, counts),
        _sentence(run, stages),
        _left(current, waits, is_last=current is not None and current is stages[-1]),
        _note(run, current, waits),
        stages,
    )


def _stage(run: Run, row: RunStage, memory: Memory) -> StageView:
    is_running = row.status == StageStatus.RUNNING
    ended = row.finished_at or (run.finished_at if row.status != StageStatus.PENDING else None)
    took = (ended - row.started_at).total_seconds() if ended and row.started_at else None
    rate = _rate(run, row, memory) if is_running else row.done / took if took and row.done else None
    return StageView(row.stage, row.status, row.done, row.total, row.waiting, rate, took)


def _rate(run: Run, row: RunStage, memory: Memory) -> float | None:
    """What this process saw of it; before that the average, unless a retry began with results of another run."""
    seen = memory.rate_of(run.id, row.stage, row.done)
    if seen or run.retry_of or row.started_at is None or row.waiting:
        return seen
    elapsed = (run.updated_at - row.started_at).total_seconds()
    return row.done / elapsed if row.done and elapsed >= AVERAGE_AFTER_S else None


def _sentence(run: Run, stages: Sequence[StageView]) -> str:
    if run.status != RunStatus.RUNNING:
        return PENDING_MESSAGE if run.status == RunStatus.PENDING else ENDINGS[RunStatus(run.status)]
    unfinished = next((stage for stage in stages if stage.status != StageStatus.COMPLETED), None)
    return stage_named(unfinished.name).message if unfinished else COMPILING_MESSAGE


def _left(current: StageView | None, waits: Waiting | None, *, is_last: bool) -> str:
    """An estimate for what can be worked now; never earlier than the first of those who wait."""
    if current is None:
        return NO_ESTIMATE
    seconds = seconds_for(current)
    if waits and (seconds is None or datetime.now(UTC) + timedelta(seconds=seconds) < waits.until):
        return f"Not before {minute(waits.until)}"
    if seconds is None:
        return NO_ESTIMATE
    about = duration(max(1.0, seconds))
    return f"About {about} left" if is_last else f"About {about} in this stage"


def seconds_for(stage: StageView) -> float | None:
    """How long the contacts of a stage that do not wait take, at its present speed."""
    now = stage.total - stage.done - stage.waiting
    return now / stage.rate if stage.rate else (0.0 if now <= 0 else None)


def _note(run: Run, current: StageView | None, waits: Waiting | None) -> Note:
    """Always one note, so that nothing moves when it changes."""
    trouble = trouble_of(run)
    if trouble and run.retry_at:
        then = f"The next try is at {minute(run.retry_at)}." if run.retry_at > run.updated_at else "It is tried again."
        return Note("bad", f"{trouble.sentence}.", then)
    if waits is None and current and current.waiting:
        return Note("wait", f"{_wait(current.waiting)}.", "Their time has come: the next free worker asks again.")
    if waits is None or current is None:
        return Note("calm", "No contact waits.", "Nobody’s mail server has asked us to come back later.")
    others = current.total - current.done - current.waiting
    rest = f" {count_of(others, 'other')} can be worked now." if others > 0 else ""
    why = f"Mail servers, name servers or providers asked us to come back. No worker is held up by that.{rest}"
    return Note("wait", f"{_wait(waits.contacts)} until {minute(waits.until)}.", why)


def _wait(contacts: int) -> str:
    return "1 contact waits" if contacts == 1 else f"{contacts:,} contacts wait"
