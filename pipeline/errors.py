"""Every error that the pipeline raises on purpose, as a tree.

GrowthError
├── InvalidInput             what the caller sent can't be used
├── SourcesMisconfigured     a file that describes sources can't be used
├── UnknownAccount           no such account
├── InsufficientCredits      the account's balance does not cover the run
├── IdempotencyConflict      the key was used before, with another body
├── UnknownRun               no such run, or another account's
├── RunStateConflict         the action does not fit the run's state
├── StageFault               a stage broke its promise of one outcome per contact
├── WorldGone                the outside world is gone as a whole
├── ChunkExhausted           a chunk broke its task too often
└── LeaseLost                this worker's lease on a chunk is gone; somebody else may hold it
"""

from traceback import format_tb
from typing import Self


class GrowthError(Exception):
    """An expected failure; its text is a sentence that a person can act on."""


class InvalidInput(GrowthError):
    """Raised when what the caller sent can't be used; names the contact and the field, never the value."""


class SourcesMisconfigured(GrowthError):
    """Raised when a file that describes sources of addresses can't be used; names the file and what to correct."""


class UnknownAccount(GrowthError):
    """Raised when a run is to be created for an account that does not exist."""


class InsufficientCredits(GrowthError):
    """Raised when a run would cost more credits than the account has."""


class IdempotencyConflict(GrowthError):
    """Raised when an idempotency key comes back with another body."""


class UnknownRun(GrowthError):
    """Raised when there is no such run for this account; other accounts' runs look the same."""

    @classmethod
    def with_this_id(cls) -> Self:
        """The one sentence for all such runs, so that they can't be told apart."""
        return cls("There is no run with this id for your account: check the id.")


class RunStateConflict(GrowthError):
    """Raised when an action does not fit the run's state, such as cancelling a finished run."""


class LeaseLost(GrowthError):
    """Raised when a chunk's lease is no longer ours: whatever is in hand must not be written."""


class ChunkExhausted(GrowthError):
    """Raised when a chunk was leased again and again and never finished: its run can't go on."""


class StageFault(GrowthError):
    """Raised when a stage ends without an outcome for each contact; names the stage and a position."""


class WorldGone(GrowthError):
    """Raised when nothing of the outside world answers any more: the run is failed early, and paid back.

    `code` is a word for programs; the text says what to do.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def traced(error: BaseException) -> str:
    """Kind and traceback of an unexpected error, for a log; without its text, which may hold a name or an address."""
    return f"{type(error).__name__}\n{''.join(format_tb(error.__traceback__))}"
