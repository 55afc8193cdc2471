"""What an address and its mail host tell without a probe."""

from pipeline.evidence import AddressFacts
from pipeline.mail.address.lists import Lists
from pipeline.mail.address.providers import provider_of
from pipeline.mail.address.same_mailbox import same_mailbox_key
from pipeline.mail.address.syntax import Address
from pipeline.mail.address.typos import did_you_mean


def facts_about(address: Address, mail_host: str, lists: Lists) -> AddressFacts:
    """Return the facts about an address; `mail_host` is the preferred one of its domain, empty if there is none."""
    return DomainFacts(address.domain, mail_host, lists).about(address)


class DomainFacts:
    """The facts about a domain and its preferred mail host, looked up once for all of its addresses."""

    def __init__(self, domain: str, mail_host: str, lists: Lists) -> None:
        self._lists = lists
        self._provider, self._free = provider_of(mail_host), lists.is_free(domain)
        self._meant = None if self._free else did_you_mean(domain)
        self._disposable = lists.is_disposable(domain) or lists.is_disposable(mail_host)

    def about(self, address: Address) -> AddressFacts:
        role = self._lists.is_role(address.local)
        meant = f"{address.local}@{self._meant}" if self._meant else None
        same = same_mailbox_key(address, self._provider)
        return AddressFacts(self._disposable, self._free, role, self._provider, meant, same)
