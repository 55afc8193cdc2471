"""The life of a run, of a stage and of a chunk: every status, what it means, and what may follow it."""

from collections.abc import Mapping
from enum import StrEnum


class RunStatus(StrEnum):
    """Where a run is in its life."""

    PENDING = "pending"
    """Created and charged; no worker has started it. A worker moves it on; the sweeper sends it again."""
    RUNNING = "running"
    """A worker has started its first stage. Lasts until the results are compiled, or it fails or is cancelled."""
    COMPLETED = "completed"
    """Results are compiled and the rebate is paid. Final."""
    FAILED = "failed"
    """It could not go on; what was not delivered is paid back. Final."""
    CANCELLED = "cancelled"
    """The client stopped it; what was found is kept, the rest paid back. Final."""


class StageStatus(StrEnum):
    """Where one stage of a run is."""

    PENDING = "pending"
    """Not started: clients do not see it yet."""
    RUNNING = "running"
    """Planned into chunks, and chunk tasks work them."""
    COMPLETED = "completed"
    """Each of its contacts has an outcome. Final."""
    FAILED = "failed"
    """It was running when its run failed. Final."""
    CANCELLED = "cancelled"
    """It was running when its run was cancelled. Final."""


class ChunkStatus(StrEnum):
    """Where one chunk of a stage's work is."""

    OPEN = "open"
    """Nobody works it; any chunk task may lease it."""
    LEASED = "leased"
    """A chunk task works it until its lease ends; after that anybody may lease it, under a new token."""
    DONE = "done"
    """Each of its contacts has an outcome. Final."""
    STOPPED = "stopped"
    """Its run failed or was cancelled before all of its contacts had an outcome. Final."""


class SubscriptionStatus(StrEnum):
    """Whether an account may use the API."""

    ACTIVE = "active"
    """Paid: everything is allowed."""
    PAST_DUE = "past_due"
    """A payment failed: nothing is allowed until it is made."""
    ENDED = "ended"
    """The subscription is over."""


class LedgerKind(StrEnum):
    """Why credits moved."""

    GRANT = "grant"
    """Credits added to an account."""
    CHARGE = "charge"
    """Taken when a run is created: once per run."""
    REBATE = "rebate"
    """Given back when a run ends, for what was not delivered: once per run."""


ALLOWED_RUN_TRANSITIONS: Mapping[RunStatus, frozenset[RunStatus]] = {
    RunStatus.PENDING: frozenset({RunStatus.RUNNING, RunStatus.FAILED, RunStatus.CANCELLED}),
    RunStatus.RUNNING: frozenset({RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED}),
    RunStatus.COMPLETED: frozenset(),
    RunStatus.FAILED: frozenset(),
    RunStatus.CANCELLED: frozenset(),
}

ALLOWED_STAGE_TRANSITIONS: Mapping[StageStatus, frozenset[StageStatus]] = {
    StageStatus.PENDING: frozenset({StageStatus.RUNNING}),
    StageStatus.RUNNING: frozenset({StageStatus.COMPLETED, StageStatus.FAILED, StageStatus.CANCELLED}),
    StageStatus.COMPLETED: frozenset(),
    StageStatus.FAILED: frozenset(),
    StageStatus.CANCELLED: frozenset(),
}

TERMINAL_RUN_STATUSES = frozenset(status for status, after in ALLOWED_RUN_TRANSITIONS.items() if not after)


def statuses_before(target: RunStatus) -> frozenset[RunStatus]:
    """The statuses from which a run may move to `target`."""
    return frozenset(status for status, after in ALLOWED_RUN_TRANSITIONS.items() if target in after)
