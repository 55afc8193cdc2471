"""What is true of a person's mailbox, and what of it can be found out by asking honestly."""

from enum import StrEnum
from typing import NamedTuple

from sandbox.domains import Behaviour, Domain


class Mailbox(StrEnum):
    """The state of one person's mailbox."""

    OPEN = "open"
    FULL = "full"
    DISABLED = "disabled"
    """The person has left, and the address is still known to the server."""
    NONE = "none"
    """The person has none: left long ago, or the company takes no mail at this domain."""


class Truth(NamedTuple):
    """What an honest engine can establish: one that asks the mail server, and waits greylisting out.

    `verdict` (`valid` or `risky`) is what verifying the found address must say, and `reason_not_found`, in
    the words of the engine's gap report, why there is nothing to find; one of the two is always None.
    """

    findable: bool
    verdict: str | None
    reason_not_found: str | None


_SILENCED_BY = {
    Behaviour.CATCH_ALL: "catch_all",
    Behaviour.NO_MAIL_SERVER: "no_mail_server",
    Behaviour.NOTHING_LISTENS: "server_unreachable",
    Behaviour.NO_SUCH_DOMAIN: "no_such_domain",
    Behaviour.NULL_MX: "null_mx",
    Behaviour.REFUSING: "blocked",
    Behaviour.REFUSING_AT_BANNER: "blocked",
    Behaviour.DNS_SERVFAIL: "dns_failure",
}
"""Behaviours that keep the truth about every mailbox of the domain from whoever asks."""

_BY_MAILBOX = {
    Mailbox.OPEN: Truth(findable=True, verdict="valid", reason_not_found=None),
    Mailbox.FULL: Truth(findable=True, verdict="risky", reason_not_found=None),
    Mailbox.DISABLED: Truth(findable=False, verdict=None, reason_not_found="mailbox_disabled"),
    Mailbox.NONE: Truth(findable=False, verdict=None, reason_not_found="every_candidate_refused"),
}


def truth_about(domain: Domain, mailbox: Mailbox) -> Truth:
    """What can be established about somebody with this mailbox at this domain."""
    silenced = "time_limit" if domain.is_tarpit else _SILENCED_BY.get(domain.behaviour)
    if silenced:
        return Truth(findable=False, verdict=None, reason_not_found=silenced)
    return _BY_MAILBOX[mailbox]
