"""Percent and message of a run, computed from counts of rows that only grow, so that percent never falls."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from models.run import Run
from models.status import RunStatus, StageStatus
from pipeline.runs.deferrals import Waiting
from pipeline.runs.trouble import trouble_of
from pipeline.stages import stage_named

PENDING_MESSAGE = "Waiting for a worker to start this run..."
COMPILING_MESSAGE = "Compiling results..."
FINAL_MESSAGES = {
    RunStatus.COMPLETED: "Run complete.",
    RunStatus.CANCELLED: "Run cancelled. What was found is kept; the rest was paid back.",
}
ENDINGS = {
    RunStatus.COMPLETED: "Run complete.",
    RunStatus.FAILED: "Run failed.",
    RunStatus.CANCELLED: "Run cancelled.",
}
EXPORTS_GIVEN_UP_MESSAGE = (
    " Its export files could not be written, again and again, and are not tried any more: have the operator write them."
)
EXPIRED_MESSAGE = "Its data has expired: contacts, results and exports were deleted, only the counts are left."


@dataclass(frozen=True, slots=True)
class StageCount:
    """The counts of a stage."""

    stage: str
    status: str
    done: int
    total: int


def percent(status: str, stages: Sequence[StageCount]) -> int:
    """The share of contacts that are done, weighted by stage. 100 only for a completed run.

    It never falls, because the counts do not.
    """
    if status == RunStatus.COMPLETED:
        return 100
    weights = {count.stage: stage_named(count.stage).weight for count in stages}
    share = sum(weights[count.stage] * count.done / count.total for count in stages)
    return min(99, int(100 * share / sum(weights.values())))


def message(
    run: Run, stages: Sequence[StageCount], waiting: Waiting | None = None, exports_wait: datetime | None = None
) -> str:
    """What the run is doing, and what is wrong with it, in sentences for people."""
    status = RunStatus(run.status)
    if run.retracted_at:
        return f"{ENDINGS[status]} {EXPIRED_MESSAGE}"
    if status is RunStatus.PENDING:
        return PENDING_MESSAGE + _trouble_message(run)
    if status is RunStatus.RUNNING:
        wrong = _trouble_message(run) or _exports_message(exports_wait)
        return _running_message(stages) + _waiting_message(waiting) + wrong
    ended = f"Run failed. {run.error_message}" if status is RunStatus.FAILED else FINAL_MESSAGES[status]
    return ended + _missing_exports_message(run)


def _missing_exports_message(run: Run) -> str:
    if not run.export_attempts or run.exporter:
        return ""
    return _exports_message(run.export_retry_at) if run.export_retry_at else EXPORTS_GIVEN_UP_MESSAGE


def _trouble_message(run: Run) -> str:
    trouble = trouble_of(run)
    if trouble is None or run.retry_at is None:
        return ""
    waits = run.retry_at > run.updated_at
    then = f"the next try is at {run.retry_at:%H:%M:%S} UTC" if waits else "it is tried again"
    return f" {trouble.sentence}; {then}."


def _exports_message(until: datetime | None) -> str:
    return f" The export files can't be written yet; the next try is at {until:%H:%M:%S} UTC." if until else ""


def _waiting_message(waiting: Waiting | None) -> str:
    if waiting is None:
        return ""
    contacts = "1 contact waits" if waiting.contacts == 1 else f"{waiting.contacts} contacts wait"
    servers = "mail servers, name servers or providers can be asked again"
    return f" {contacts} until {servers} (not before {waiting.until:%H:%M:%S} UTC)."


def _running_message(stages: Sequence[StageCount]) -> str:
    unfinished = next((count for count in stages if count.status != StageStatus.COMPLETED), None)
    return stage_named(unfinished.stage).message if unfinished else COMPILING_MESSAGE
