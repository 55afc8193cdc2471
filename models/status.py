"""Every status of a run, a stage and a chunk, and the transitions between them."""

from collections.abc import Mapping
from enum import StrEnum


class RunStatus(StrEnum):
    """The status of a run."""

    PENDING = "pending"
    """Created and charged, not started. A worker starts it; the sweeper sends its chain again if none does."""
    RUNNING = "running"
    """Its first stage has started. Ends when the results are compiled, or when it fails or is cancelled."""
    COMPLETED = "completed"
    """The results are compiled and the rebate is paid. Final."""
    FAILED = "failed"
    """It could not continue. Credits for contacts that were not delivered are paid back. Final."""
    CANCELLED = "cancelled"
    """The client stopped it. Found addresses are kept, the other credits are paid back. Final."""


class StageStatus(StrEnum):
    """The status of one stage of a run."""

    PENDING = "pending"
    """Not started. Clients do not see it yet."""
    RUNNING = "running"
    """Divided into chunks, which chunk tasks work."""
    COMPLETED = "completed"
    """Each of its contacts has an outcome. Final."""
    FAILED = "failed"
    """It was running when its run failed. Final."""
    CANCELLED = "cancelled"
    """It was running when its run was cancelled. Final."""


class ChunkStatus(StrEnum):
    """The status of one chunk of a stage."""

    OPEN = "open"
    """Any chunk task may lease it."""
    LEASED = "leased"
    """A chunk task works it. Once its lease has ended, another may lease it under a new token."""
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
    SUSPENDED = "suspended"
    """An operator has shut it: nothing is allowed until an operator resumes it. Its runs go on."""


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
