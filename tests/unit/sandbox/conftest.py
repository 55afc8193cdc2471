"""A running internet, and clients that talk to it over real sockets."""

import smtplib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack

import dns.resolver
import pytest

from sandbox.domains import Behaviour, Domain, invent_domains
from sandbox.internet import Internet
from sandbox.people import Person, invent_people

Dial = Callable[[Domain], smtplib.SMTP]


@pytest.fixture(scope="session")
def domains() -> Sequence[Domain]:
    return invent_domains(seed=1)


@pytest.fixture(scope="session")
def people(domains: Sequence[Domain]) -> list[Person]:
    return invent_people(seed=1, count=1000, domains=domains)


@pytest.fixture(scope="session")
def domain_with(domains: Sequence[Domain]) -> Callable[[Behaviour], Domain]:
    return lambda behaviour: next(domain for domain in domains if domain.behaviour is behaviour)


@pytest.fixture
def internet(people: list[Person], domains: Sequence[Domain]) -> Iterator[Internet]:
    with Internet(people, domains, greylist_seconds=0.0, slow_seconds=0.05) as internet:
        yield internet


@pytest.fixture
def resolver(internet: Internet) -> dns.resolver.Resolver:
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers = ["127.0.0.1"]
    resolver.port = internet.dns_port
    resolver.lifetime = 5
    return resolver


@pytest.fixture
def address_of(resolver: dns.resolver.Resolver) -> Callable[[str], str]:
    return lambda host: resolver.resolve(host, "A")[0].to_text()


@pytest.fixture
def dial(internet: Internet, address_of: Callable[[str], str]) -> Iterator[Dial]:
    """Connects to a domain's first living mail host and says EHLO."""
    with ExitStack() as connections:

        def dial(domain: Domain) -> smtplib.SMTP:
            address = address_of(domain.living_hosts[0])
            client = smtplib.SMTP(address, internet.smtp_port, local_hostname="client.test", timeout=10)
            connections.callback(client.close)
            client.ehlo()
            return client

        yield dial
