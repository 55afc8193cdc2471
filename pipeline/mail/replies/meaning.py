"""What a mail server can mean about one address, and the reason word that people read for it."""

from collections.abc import Mapping
from enum import StrEnum

from pipeline.outcomes import Reason


class Meaning(StrEnum):
    """What an answer says about one address."""

    ACCEPTED = "accepted"
    """The server takes mail for it; at a catch-all domain that proves nothing."""
    NO_SUCH_MAILBOX = "no_such_mailbox"
    """A permanent refusal whose code or words say that the mailbox does not exist."""
    MAILBOX_FULL = "mailbox_full"
    """It exists and is over its quota."""
    MAILBOX_DISABLED = "mailbox_disabled"
    """It existed and was switched off."""
    MAILBOX_BUSY = "mailbox_busy"
    """It exists and gets mail faster than it may."""
    GREYLISTED = "greylisted"
    """Strangers are asked to come back later."""
    RATE_LIMITED = "rate_limited"
    """We ask too much or too fast."""
    BLOCKED = "blocked"
    """Our IP address, its reverse DNS, our HELO name or our sender is refused."""
    POLICY = "policy"
    """A rule refuses the question; whether the mailbox exists stays open."""
    UNCLEAR = "unclear"
    """A reply that settles nothing, or a session that broke."""
    UNREACHABLE = "unreachable"
    """No mail host of the domain let us begin a session; there is no reply."""
    TIME_LIMIT = "time_limit"
    """Our own limit for one contact passed; there is no reply."""


EXISTS = frozenset({Meaning.ACCEPTED, Meaning.MAILBOX_FULL, Meaning.MAILBOX_BUSY})
"""The server speaks of this mailbox as one that it has."""

CONCLUSIVE = EXISTS | {Meaning.NO_SUCH_MAILBOX, Meaning.MAILBOX_DISABLED}
"""The server has told what it knows about this address."""

ABOUT_US = frozenset(
    {Meaning.GREYLISTED, Meaning.RATE_LIMITED, Meaning.BLOCKED, Meaning.UNREACHABLE, Meaning.TIME_LIMIT}
)
"""The answer is about us or the moment: asking the same server about another address now is pointless."""

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
"""The reason word of each meaning."""
