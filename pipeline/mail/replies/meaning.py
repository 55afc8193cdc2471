"""The possible meanings of a mail server's answer about one address, and the reason of each."""

from collections.abc import Mapping
from enum import StrEnum

from pipeline.outcomes import Reason


class Meaning(StrEnum):
    """What an answer says about one address."""

    ACCEPTED = "accepted"
    """The server accepts it; at a catch-all domain that proves nothing."""
    NO_SUCH_MAILBOX = "no_such_mailbox"
    """A permanent refusal whose code or text says that the mailbox does not exist."""
    MAILBOX_FULL = "mailbox_full"
    """It exists and is over its quota."""
    MAILBOX_DISABLED = "mailbox_disabled"
    """It existed and was switched off."""
    MAILBOX_BUSY = "mailbox_busy"
    """It exists and gets mail faster than allowed."""
    GREYLISTED = "greylisted"
    """The server asks unknown clients to come back later."""
    RATE_LIMITED = "rate_limited"
    """We probe too much or too fast."""
    BLOCKED = "blocked"
    """Our IP address, its reverse DNS, our HELO name or our sender is refused."""
    POLICY = "policy"
    """A policy of the server refuses the probe; whether the mailbox exists is unknown."""
    UNCLEAR = "unclear"
    """An inconclusive reply, or a session that broke."""
    UNREACHABLE = "unreachable"
    """No session could be opened with any mail host of the domain; there is no reply."""
    TIME_LIMIT = "time_limit"
    """Our time limit for one contact passed; there is no reply."""


EXISTS = frozenset({Meaning.ACCEPTED, Meaning.MAILBOX_FULL, Meaning.MAILBOX_BUSY})
"""The mailbox exists according to the server."""

CONCLUSIVE = EXISTS | {Meaning.NO_SUCH_MAILBOX, Meaning.MAILBOX_DISABLED}
"""The answer is conclusive: the mailbox exists, or it does not."""

ABOUT_US = frozenset(
    {Meaning.GREYLISTED, Meaning.RATE_LIMITED, Meaning.BLOCKED, Meaning.UNREACHABLE, Meaning.TIME_LIMIT}
)
"""The answer is about us or temporary: probing another address at the same server now is pointless."""

REASONS: Mapping[Meaning, Reason] = {
    Meaning.ACCEPTED: Reason.MAILBOX_EXISTS,
    Meaning.NO_SUCH_MAILBOX: Reason.NO_SUCH_MAILBOX,
    Meaning.MAILBOX_FULL: Reason.MAILBOX_FULL,
    Meaning.MAILBOX_DISABLED: Reason.MAILBOX_DISABLED,
    Meaning.MAILBOX_BUSY: Reason.MAILBOX_BUSY,
    Meaning.GREYLISTED: Reason.GREYLISTED,
    Meaning.RATE_LIMITED: Reason.RATE_LIMITED,
    Meaning.BLOCKED: Reason.BLOCKED,
    Meaning.POLICY: Reason.POLICY,
    Meaning.UNCLEAR: Reason.SERVER_UNCLEAR,
    Meaning.UNREACHABLE: Reason.SERVER_UNREACHABLE,
    Meaning.TIME_LIMIT: Reason.TIME_LIMIT,
}
"""The reason of each meaning."""
