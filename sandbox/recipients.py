"""What the mail server of a domain replies to RCPT."""

from collections.abc import Iterable, Mapping
from typing import Protocol

from sandbox.dialects import dialect_named
from sandbox.domains import Behaviour, Domain
from sandbox.truth import Mailbox

FUNCTION_MAILBOXES = ("postmaster", "abuse", "info")
"""Mailboxes that every domain with a mail server has (RFC 5321 section 4.5.1 and RFC 2142)."""

MailboxStates = Mapping[str, Mapping[str, Mailbox]]
"""By domain, then by local part."""

Triple = tuple[str, str, str]
"""A client's address, a sender and a recipient: the key of greylisting."""


class MailboxOwner(Protocol):
    """A person with a mailbox, or without one: then `email` is None."""

    @property
    def email(self) -> str | None: ...

    @property
    def mailbox(self) -> Mailbox: ...


def mailbox_states(people: Iterable[MailboxOwner], domains: Iterable[Domain]) -> MailboxStates:
    """Return every mailbox that exists at the domains. Raises KeyError for a person at another domain."""
    states = {domain.name: dict.fromkeys(FUNCTION_MAILBOXES, Mailbox.OPEN) for domain in domains}
    for person in people:
        if person.email is not None:
            local_part, _, domain_name = person.email.rpartition("@")
            states[domain_name][local_part] = person.mailbox
    return states


class Greylist:
    """Refuses each new triple until `seconds` have passed."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._first_seen: dict[Triple, float] = {}

    def allows(self, triple: Triple, now: float) -> bool:
        """Return whether the triple was first seen long enough ago. `now` is in seconds of any steady clock."""
        if triple not in self._first_seen:
            self._first_seen[triple] = now
            return False
        return now - self._first_seen[triple] >= self.seconds


def recipient_reply(domain: Domain, mailbox: Mailbox) -> str:
    """Return the reply to RCPT, a template of `sandbox.dialects`, if neither limits nor greylisting apply."""
    dialect = dialect_named(domain.dialect)
    if domain.behaviour in {Behaviour.REFUSING, Behaviour.REFUSING_AT_BANNER}:
        return dialect.blocked
    if domain.behaviour is Behaviour.CATCH_ALL:
        return dialect.recipient_ok
    return {
        Mailbox.OPEN: dialect.recipient_ok,
        Mailbox.FULL: dialect.mailbox_full,
        Mailbox.DISABLED: dialect.mailbox_disabled,
        Mailbox.NONE: dialect.no_such_mailbox,
    }[mailbox]
