"""Lists of extreme shapes: very many people at one domain, or very many domains with one person each."""

from dataclasses import dataclass
from itertools import islice, product

from sandbox.domains import Behaviour, Domain
from sandbox.names import FIRST_NAMES, SURNAME_BEGINNINGS, SURNAME_ENDINGS
from sandbox.truth import Mailbox

HOSTS = 50
"""The number of mail hosts that the domains with one person each share, as companies share providers."""


@dataclass(frozen=True, slots=True)
class CrowdMember:
    """A contact who has a mailbox."""

    first_name: str
    last_name: str
    domain: str
    mailbox: Mailbox = Mailbox.OPEN

    @property
    def email(self) -> str:
        """The address: every company here uses the commonest pattern."""
        return f"{self.first_name}.{self.last_name}@{self.domain}".lower()


@dataclass(frozen=True, slots=True)
class Crowd:
    """People and their domains."""

    people: list[CrowdMember]
    domains: list[Domain]


def at_one_domain(count: int) -> Crowd:
    """Invent `count` colleagues, at most 1.5 million."""
    domain = _domain("crowd.test", "mail.crowd.test")
    return Crowd([CrowdMember(*name, domain.name) for name in _names(count)], [domain])


def one_each(count: int, hosts: int = HOSTS) -> Crowd:
    """Invent `count` companies with one contact each, at `hosts` mail hosts."""
    domains = [_domain(f"company-{number}.test", f"mx{number % hosts}.hosting.example") for number in range(count)]
    return Crowd(
        [CrowdMember(*name, domain.name) for name, domain in zip(_names(count), domains, strict=True)], domains
    )


def one_each_at_three_hosts(count: int) -> Crowd:
    """Invent `count` companies with one contact each, all at three mail hosts."""
    return one_each(count, hosts=3)


def _domain(name: str, mail_host: str) -> Domain:
    return Domain(name, name, Behaviour.ORDINARY, "first.last", (mail_host,), "postfix")


def _names(count: int) -> list[tuple[str, str]]:
    names = product(SURNAME_BEGINNINGS, SURNAME_ENDINGS, FIRST_NAMES)
    return [(first, beginning + ending) for beginning, ending, first in islice(names, count)]
