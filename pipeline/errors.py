"""Every error that the pipeline raises on purpose, as a tree.

GrowthError
├── InvalidInput             what the caller sent is not usable
├── UnusableFile             a file of contacts or addresses can't be used
├── SourcesMisconfigured     a file that describes sources is not usable
├── UnknownAccount           no such account
├── UnknownKey               no such API key
├── AccountStateConflict     the action does not fit the account's status
├── InsufficientCredits      the account's balance does not cover the run
├── QuoteRefused             the quote token was used, has expired, or is for something else
├── IdempotencyConflict      the key was used before with another body
├── UnknownRun               no such run, or another account's
├── RunStateConflict         the action does not fit the run's state
├── UnknownUpload            no such upload, or another account's
├── UploadConflict           the action does not fit the upload's state
│   └── UploadBusy           it is just being read: some seconds later it does
├── UnknownHook              no such hook or delivery, or another account's
├── HookConflict             the action does not fit the delivery's state
├── StageFault               a stage did not yield one outcome per contact
├── StorageFailed            the suppression list or the journal can't be read or written
├── TotalOutage              no mail server, or no name server, can be reached at all
├── ChunkExhausted           a chunk failed too often
└── LeaseLost                the lease on a chunk has ended; another worker may hold it
"""

from traceback import format_tb
from typing import Self


class GrowthError(Exception):
    """An expected failure; its text is a sentence that a person can act on."""


class InvalidInput(GrowthError):
    """Raised when what the caller sent is not usable. The text names the contact and the field, never the value."""


class UnusableFile(GrowthError):
    """Raised when a file of contacts or addresses can't be used. The text says why, and what to do."""


class SourcesMisconfigured(GrowthError):
    """Raised when a file that describes sources is not usable. The text names the file and what to correct."""


class UnknownAccount(GrowthError):
    """Raised when an account does not exist, or when a name is that of several."""


class UnknownKey(GrowthError):
    """Raised when there is no API key with an id."""


class AccountStateConflict(GrowthError):
    """Raised when an action does not fit the account's status, such as suspending one whose subscription has ended."""


class InsufficientCredits(GrowthError):
    """Raised when a run would cost more credits than the account has."""


class QuoteRefused(GrowthError):
    """Raised when a quote token was used before, has expired, or is another account's or for another plan."""


class IdempotencyConflict(GrowthError):
    """Raised when an idempotency key was used before with another body."""


class UnknownRun(GrowthError):
    """Raised when the account has no such run. The runs of other accounts can't be told from missing ones."""

    @classmethod
    def with_this_id(cls) -> Self:
        """Create the error with the sentence that is the same for missing runs and those of other accounts."""
        return cls("There is no run with this id for your account: check the id.")


class RunStateConflict(GrowthError):
    """Raised when an action does not fit the run's state, such as cancelling a finished run."""


class UnknownUpload(GrowthError):
    """Raised when the account has no such upload. Those of other accounts can't be told from missing ones."""

    @classmethod
    def with_this_id(cls) -> Self:
        """Create the error with the sentence that is the same for missing uploads and those of other accounts."""
        return cls("There is no upload with this id for your account: check the id; unused uploads expire.")


class UploadConflict(GrowthError):
    """Raised when an action does not fit an upload's state: bytes for another place, or a run before it is read."""


class UploadBusy(UploadConflict):
    """Raised when an upload is just being read or used: the same request succeeds some seconds later."""


class UnknownHook(GrowthError):
    """Raised when the account has no such hook, or the hook no such delivery. Those of others can't be told apart."""

    @classmethod
    def with_this_id(cls) -> Self:
        """Create the error with the sentence that is the same for missing hooks and those of other accounts."""
        return cls("There is no hook with this id for your account: `growth hooks list` shows them.")


class HookConflict(GrowthError):
    """Raised when an action does not fit the state of a delivery, such as replaying one that is still pending."""


class LeaseLost(GrowthError):
    """Raised when a worker no longer holds the lease on a chunk. It must not write the outcomes that it has."""


class ChunkExhausted(GrowthError):
    """Raised when a chunk was leased too often without being finished. Its run fails."""


class StageFault(GrowthError):
    """Raised when a stage ends without an outcome for each contact. The text names the stage and a position."""


class StorageFailed(GrowthError):
    """Raised when a stage can't read the suppression list, or can't read or write the journal of paid questions.

    No contact is at fault, so stages let it pass, and the chunk's attempt fails. `fault` is the kind of the error; the
    text says what was read or written, and where in our code.
    """

    def __init__(self, place: str, fault: str) -> None:
        super().__init__(place)
        self.fault = fault


class TotalOutage(GrowthError):
    """Raised when no name server, no mail server or no source can be reached at all.

    The run fails early, and its credits are given back. `code` is a word for programs; the text says what to do.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def traced(error: BaseException) -> str:
    """The type and traceback of an unexpected error, for logs; without its text, which may hold personal data."""
    return f"{type(error).__name__}\n{''.join(format_tb(error.__traceback__))}"
