"""What an address and its mail host tell by themselves, without asking about the mailbox."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.mail.lists import Lists
from pipeline.mail.mail_providers import provider_of
from pipeline.mail.same_mailbox import same_mailbox_key
from pipeline.mail.syntax import Address
from pipeline.mail.typos import did_you_mean


@dataclass(frozen=True, slots=True)
class AddressFacts:
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
    provider, free = provider_of(mail_host), lists.is_free(address.domain)
    meant = None if free else did_you_mean(address.domain)
    return AddressFacts(
        disposable=lists.is_disposable(address.domain) or lists.is_disposable(mail_host),
        free=free,
        role=lists.is_role(address.local),
        provider=provider,
        did_you_mean=f"{address.local}@{meant}" if meant else None,
        same_mailbox=same_mailbox_key(address, provider),
    )
