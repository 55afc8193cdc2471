import smtplib
from collections.abc import Callable

import dns.resolver
import pytest

from sandbox.counts import Tally
from sandbox.domains import Behaviour, Domain
from sandbox.internet import Internet

Dial = Callable[[Domain], smtplib.SMTP]


def test_without_traffic_all_counts_are_zero() -> None:
    counts = Tally().read()

    assert (counts.dns_queries, counts.recipients, counts.hosts) == (0, {}, {})
    assert counts.commands("RCPT") == 0


def test_commands_are_counted_by_host_and_verb_and_recipients_by_domain(
    internet: Internet, dial: Dial, domain_with: Callable[[Behaviour], Domain]
) -> None:
    domain = domain_with(Behaviour.ORDINARY)
    client = dial(domain)
    client.mail("")
    for name in ("ada", "bo", "cy"):
        client.rcpt(f"{name}@{domain.name}")
    client.rset()
    client.quit()

    counts = internet.counts

    commands = {"EHLO": 1, "MAIL": 1, "RCPT": 3, "RSET": 1, "QUIT": 1}
    assert counts.hosts[domain.living_hosts[0]].commands == commands
    assert counts.recipients == {domain.name: 3}
    assert counts.commands("RCPT") == 3


def test_connections_are_counted_with_the_most_there_were_at_once(
    internet: Internet, dial: Dial, domain_with: Callable[[Behaviour], Domain]
) -> None:
    domain = domain_with(Behaviour.ORDINARY)
    for client in [dial(domain), dial(domain)]:
        client.quit()
    dial(domain)

    host = internet.counts.hosts[domain.living_hosts[0]]

    assert (host.connections, host.most_at_once) == (3, 2)


def test_dns_queries_are_counted(internet: Internet, resolver: dns.resolver.Resolver) -> None:
    for _ in range(2):
        with pytest.raises(dns.resolver.NXDOMAIN):
            resolver.resolve("elsewhere.test.", "A")

    assert internet.counts.dns_queries == 2


def test_a_reset_counts_from_zero_and_keeps_the_open_connections(
    internet: Internet, dial: Dial, domain_with: Callable[[Behaviour], Domain]
) -> None:
    domain = domain_with(Behaviour.ORDINARY)
    dial(domain)
    internet.reset_counts()
    assert internet.counts == Tally().read()

    dial(domain)

    host = internet.counts.hosts[domain.living_hosts[0]]
    assert (host.connections, host.most_at_once) == (1, 2)
