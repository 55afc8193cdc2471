"""The truth about a person's mailbox, and how much of it an engine can establish."""

from enum import StrEnum
from typing import NamedTuple

from sandbox.domains import Behaviour, Domain


class Mailbox(StrEnum):
    """The state of one person's mailbox."""

    OPEN = "open"
    FULL = "full"
    DISABLED = "disabled"
    """The person has left; the server still knows the address."""
    NONE = "none"
    """The person has no mailbox: left long ago, or the company has no mail at this domain."""


class Truth(NamedTuple):
    """What an engine can establish that probes the mail server and waits until greylisting ends.

    `verdict` (`valid` or `risky`) is the right verdict on the found address. `reason_not_found` is the right reason in
    the gap report if no address can be found. One of the two is always None.
    """

    findable: bool
    verdict: str | None
    reason_not_found: str | None


_REASON_BY_BEHAVIOUR = {
    Behaviour.CATCH_ALL: "catch_all",
    Behaviour.NO_MAIL_SERVER: "no_mail_server",
    Behaviour.NOTHING_LISTENS: "server_unreachable",
    Behaviour.NO_SUCH_DOMAIN: "no_such_domain",
    Behaviour.NULL_MX: "null_mx",
    Behaviour.REFUSING: "blocked",
    Behaviour.REFUSING_AT_BANNER: "blocked",
    Behaviour.DNS_SERVFAIL: "dns_failure",
}
"""Behaviours that reveal nothing about a mailbox of the domain, and the reason in the gap report."""

_BY_MAILBOX = {
    Mailbox.OPEN: Truth(findable=True, verdict="valid", reason_not_found=None),
    Mailbox.FULL: Truth(findable=True, verdict="risky", reason_not_found=None),
    Mailbox.DISABLED: Truth(findable=False, verdict=None, reason_not_found="mailbox_disabled"),
    Mailbox.NONE: Truth(findable=False, verdict=None, reason_not_found="every_candidate_refused"),
}


def truth_about(domain: Domain, mailbox: Mailbox) -> Truth:
    """Return what can be established about a person with this mailbox at this domain."""
    reason = "time_limit" if domain.is_tarpit else _REASON_BY_BEHAVIOUR.get(domain.behaviour)
    if reason:
        return Truth(findable=False, verdict=None, reason_not_found=reason)
    return _BY_MAILBOX[mailbox]
