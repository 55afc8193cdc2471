"""What an address and its mail host tell by themselves, without asking about the mailbox."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from pipeline.mail.address.lists import Lists
from pipeline.mail.address.providers import provider_of
from pipeline.mail.address.same_mailbox import same_mailbox_key
from pipeline.mail.address.syntax import Address
from pipeline.mail.address.typos import did_you_mean


class AddressFacts(NamedTuple):
    """Facts that a verdict may rest on, and hints for a person.

    `disposable`: the domain, or the one that takes its mail, hands out addresses that live for minutes. `free`:
    anybody can get an address there. `role`: it belongs to a function. `provider`: who runs the mail host, if
    known. `did_you_mean`: the address that was probably meant. `same_mailbox`: equal for addresses known to reach the
    same mailbox.
    """

    disposable: bool
    free: bool
    role: bool
    provider: str
    did_you_mean: str | None
    same_mailbox: str

    def as_evidence(self) -> Mapping[str, Any]:
        """The facts as an outcome keeps them: JSON-ready."""
        return {
            "provider": self.provider or None,
            "disposable": self.disposable,
            "free": self.free,
            "role": self.role,
            "did_you_mean": self.did_you_mean,
            "same_mailbox": self.same_mailbox,
        }


def facts_about(address: Address, mail_host: str, lists: Lists) -> AddressFacts:
    """Gather the facts; `mail_host` is the name of the preferred one, empty if there is none."""
    return DomainFacts(address.domain, mail_host, lists).about(address)


class DomainFacts:
    """What a domain and its preferred mail host tell, found out once for all addresses there."""

    def __init__(self, domain: str, mail_host: str, lists: Lists) -> None:
        self._lists = lists
        self._provider, self._free = provider_of(mail_host), lists.is_free(domain)
        self._meant = None if self._free else did_you_mean(domain)
        self._disposable = lists.is_disposable(domain) or lists.is_disposable(mail_host)

    def about(self, address: Address) -> AddressFacts:
        """Gather the facts about an address of the domain."""
        role = self._lists.is_role(address.local)
        meant = f"{address.local}@{self._meant}" if self._meant else None
        same = same_mailbox_key(address, self._provider)
        return AddressFacts(self._disposable, self._free, role, self._provider, meant, same)
