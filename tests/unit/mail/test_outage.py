"""The outside world is gone as a whole, or only some of its domains are."""

import asyncio
import socket
from collections.abc import Mapping, Sequence

from hypothesis import given
from hypothesis import strategies as st

from pipeline.mail.network import MailNetwork, MailNetworkConfig
from pipeline.mail.outage import ENOUGH, NO_RESOLVER, OF_ONES_OWN, REMEMBERED, SMTP_PORT_BLOCKED, FailuresInARow, Outage
from tests.unit.mail.servers.scripted_servers import SERVFAIL, SILENT, NameServer, mail_host, mail_server, name_server

DEAD = [f"dead{number}.test" for number in range(ENOUGH)]
OTHERS = [f"other{number}.test" for number in range(OF_ONES_OWN + 1)]
Zone = dict[tuple[str, str], Sequence[str] | str]


def fail_all(failures: FailuresInARow, names: Sequence[str]) -> None:
    for name in names:
        failures.failed(name, successes_before=failures.successes)


# Counting


def test_enough_failures_in_a_row_are_an_outage_and_fewer_are_not() -> None:
    failures = FailuresInARow()

    fail_all(failures, DEAD[1:])
    before = failures.is_outage
    fail_all(failures, DEAD[:1])

    assert (before, failures.is_outage) == (False, True)


@given(st.lists(st.sampled_from([*DEAD, ""]), max_size=40))
def test_an_outage_is_as_many_distinct_failures_since_the_last_success(events: list[str]) -> None:
    failures = FailuresInARow()
    since: set[str] = set()

    for event in events:
        if event:
            fail_all(failures, [event])
            since.add(event)
        else:
            failures.succeeded()
            since.clear()

    assert failures.is_outage is (len(since) >= ENOUGH)


def test_failures_that_share_a_domain_or_an_address_are_one() -> None:
    failures = FailuresInARow()

    for number in range(50):
        failures.failed("acme.test", f"192.0.2.{number}", successes_before=0)
        failures.failed(f"d{number}.test", "198.51.100.1", successes_before=0)

    assert not failures.is_outage


def test_a_failure_while_another_domain_succeeded_is_no_sign_of_an_outage() -> None:
    failures = FailuresInARow()
    before = failures.successes
    failures.succeeded()

    for name in DEAD:
        failures.failed(name, successes_before=before)

    assert not failures.is_outage


def test_failures_of_others_are_no_outage_for_a_chunk_that_begins_now() -> None:
    """Their hosts are all dead, by chance or by intention; a real outage is soon met again."""
    outages = []

    async def scenario() -> None:
        zone: Zone = {(name, "A"): [f"127.9.0.{number + 1}"] for number, name in enumerate([*DEAD, *OTHERS])}
        async with name_server(zone) as (_, address):
            network = MailNetwork(MailNetworkConfig((address,), 9, allow_private=True))
            await probe_all(network, DEAD)
            before = network.failures
            outages.append(network.outage())
            for number in range(OF_ONES_OWN + 1):
                outages.append(network.outage(before))
                await probe_all(network, [OTHERS[number]])
            await network.close()

    asyncio.run(scenario())

    assert outages == [SMTP_PORT_BLOCKED, *[None] * OF_ONES_OWN, SMTP_PORT_BLOCKED]


def test_old_failures_are_no_outage() -> None:
    now = [0.0]
    failures = FailuresInARow(clock=lambda: now[0])
    fail_all(failures, DEAD)

    now[0] += REMEMBERED
    forgotten = failures.is_outage
    fail_all(failures, DEAD)

    assert (forgotten, failures.is_outage) == (False, True)


# Resolvers


async def probe_all(network: MailNetwork, domains: Sequence[str]) -> None:
    """Look for the domains' mail hosts and probe one address at each."""

    async def probe(domain: str) -> None:
        route = await network.route(domain)
        if route.problem is None:
            async with network.conversation(route) as conversation:
                await conversation.probe([f"grace@{domain}"])

    await asyncio.gather(*map(probe, domains))


async def outage_of(network: MailNetwork, domains: Sequence[str]) -> Outage | None:
    """The outage that there is after probing all domains."""
    await probe_all(network, domains)
    await network.close()
    return network.outage()


def outage_by_zone(zone: Mapping[tuple[str, str], Sequence[str] | str], domains: Sequence[str]) -> Outage | None:
    async def scenario() -> Outage | None:
        async with name_server(zone) as (_, address):
            return await outage_of(MailNetwork(MailNetworkConfig((address,), dns_timeout=0.5)), domains)

    return asyncio.run(scenario())


def silent(*names: str) -> Zone:
    return {(name, "MX"): SILENT for name in names}


def test_without_any_resolver_there_is_an_outage_that_says_what_to_do() -> None:
    outage = outage_by_zone(silent(*DEAD) | {(".", "NS"): SILENT}, DEAD)

    assert outage == NO_RESOLVER
    assert "growth doctor" in outage.message


def test_a_resolver_that_is_not_there_at_all_does_not_answer_either() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closed:
        closed.bind(("127.0.0.1", 0))
        address = closed.getsockname()
    network = MailNetwork(MailNetworkConfig((address,), dns_timeout=0.5))

    assert asyncio.run(outage_of(network, DEAD)) == NO_RESOLVER


def test_four_domains_without_answer_are_no_outage() -> None:
    assert outage_by_zone(silent(*DEAD) | {(".", "NS"): SILENT}, DEAD[1:]) is None


def test_a_resolver_that_refuses_to_serve_us_is_as_good_as_none() -> None:
    async def scenario() -> Outage | None:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(Refuses, local_addr=("127.0.0.1", 0))
        address = transport.get_extra_info("sockname")[:2]
        found = await outage_of(MailNetwork(MailNetworkConfig((address,), dns_timeout=0.4)), DEAD)
        transport.close()
        return found

    assert asyncio.run(scenario()) == NO_RESOLVER


class Refuses(NameServer):
    def __init__(self) -> None:
        super().__init__({})

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        query = bytearray(data)
        query[2:4] = b"\x80\x05"  # a response, with the code REFUSED
        self.transport.sendto(bytes(query[:12]) + data[12:], addr)


def test_a_resolver_that_waits_in_vain_for_dead_domains_name_servers_is_no_outage() -> None:
    assert outage_by_zone(silent(*DEAD), DEAD) is None, "it still knows the root"


def test_servfail_is_an_answer() -> None:
    zone: Zone = {(domain, "MX"): SERVFAIL for domain in DEAD}

    assert outage_by_zone(zone | {(".", "NS"): SILENT}, DEAD) is None


def test_an_answer_ends_the_outage() -> None:
    async def scenario() -> list[Outage | None]:
        async with name_server(silent(*DEAD) | {(".", "NS"): SILENT}) as (_, address):
            network = MailNetwork(MailNetworkConfig((address,), dns_timeout=0.5))
            before = await outage_of(network, DEAD)
            return [before, await outage_of(network, ["gone.test"])]

    assert asyncio.run(scenario()) == [NO_RESOLVER, None]


# Mail hosts


def hosts(domains: Sequence[str], network: str) -> Zone:
    """Give each domain a mail host on its own address."""
    zone: Zone = {(domain, "MX"): [f"10 mx.{domain}."] for domain in domains}
    return zone | {(f"mx.{domain}", "A"): [f"{network}.{number + 1}"] for number, domain in enumerate(domains)}


def outage_by_hosts(zone: Zone, domains: Sequence[str]) -> Outage | None:
    """Only 127.8.0.1 is a mail host that listens."""

    async def scenario() -> Outage | None:
        async with mail_server(mail_host("grace"), "127.8.0.1") as (port, _), name_server(zone) as (_, address):
            config = MailNetworkConfig((address,), port, allow_private=True, connections_per_host=20)
            return await outage_of(MailNetwork(config), domains)

    return asyncio.run(scenario())


def test_where_every_connection_is_refused_the_port_is_shut() -> None:
    outage = outage_by_hosts(hosts(DEAD, "127.9.0"), DEAD)

    assert outage == SMTP_PORT_BLOCKED
    assert "port 25" in outage.message


def test_four_dead_hosts_do_not_shut_the_port() -> None:
    assert outage_by_hosts(hosts(DEAD, "127.9.0"), DEAD[1:]) is None


def test_many_domains_on_one_dead_host_do_not_shut_the_port() -> None:
    many = [f"d{number}.test" for number in range(20)]
    zone: Zone = {(domain, "MX"): ["10 mx.test."] for domain in many}

    assert outage_by_hosts(zone | {("mx.test", "A"): ["127.9.0.1"]}, many) is None


def test_one_domain_with_many_dead_hosts_does_not_shut_the_port() -> None:
    zone: Zone = {("acme.test", "A"): [f"127.9.0.{number}" for number in range(1, 20)]}

    assert outage_by_hosts(zone, ["acme.test"]) is None


def test_dead_hosts_beside_a_living_one_do_not_shut_the_port() -> None:
    zone = hosts(DEAD, "127.9.0") | hosts(["acme.test"], "127.8.0")

    assert outage_by_hosts(zone, [*DEAD, "acme.test"]) is None
