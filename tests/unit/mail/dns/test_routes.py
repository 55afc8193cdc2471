"""Where a domain takes mail, asked of scripted name servers."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from pipeline.mail.dns.routes import MailHost, Resolver
from pipeline.outcomes import Reason
from tests.unit.mail.servers.scripted_servers import SERVFAIL, SILENT, NameServer, name_server

Zone = Mapping[tuple[str, str], Sequence[str] | str]


def routes(
    zone: Zone, *domains: str, ttl: int = 300, allow_private: bool = True, timeout: float = 5.0
) -> tuple[list[Any], NameServer]:
    """Ask for the route of each domain, one after the other, of one resolver."""

    async def scenario() -> tuple[list[Any], NameServer]:
        async with name_server(zone, ttl) as (server, address):
            resolver = Resolver([address], timeout=timeout, allow_private=allow_private)
            found = [await resolver.route(domain) for domain in domains]
            await resolver.close()
            return found, server

    return asyncio.run(scenario())


def test_hosts_come_in_order_of_preference_with_their_addresses() -> None:
    zone = {
        ("acme.test", "MX"): ["20 b.acme.test.", "10 a.acme.test."],
        ("a.acme.test", "A"): ["127.0.0.2", "127.0.0.3"],
        ("b.acme.test", "A"): ["127.0.0.4"],
    }

    (route,), _ = routes(zone, "acme.test")

    assert route.problem is None
    assert [host.name for host in route.hosts] == ["a.acme.test", "b.acme.test"]
    assert [sorted(host.addresses) for host in route.hosts] == [["127.0.0.2", "127.0.0.3"], ["127.0.0.4"]]


def test_hosts_of_equal_preference_share_the_load() -> None:
    zone = {
        ("acme.test", "MX"): ["10 a.acme.test.", "10 b.acme.test."],
        ("a.acme.test", "A"): ["127.0.0.2"],
        ("b.acme.test", "A"): ["127.0.0.3"],
    }

    found, _ = routes(zone, *["acme.test"] * 40, ttl=0)

    assert {route.hosts[0].name for route in found} == {"a.acme.test", "b.acme.test"}


def test_a_domain_with_an_address_but_no_mx_is_its_own_mail_host() -> None:
    (route,), _ = routes({("acme.test", "A"): ["127.0.0.2"]}, "acme.test")

    assert route.hosts == (MailHost("acme.test", ("127.0.0.2",)),)


def test_a_host_that_has_ipv6_only_is_found() -> None:
    zone = {("acme.test", "MX"): ["10 mx.acme.test."], ("mx.acme.test", "AAAA"): ["::1"]}

    (route,), _ = routes(zone, "acme.test")

    assert route.hosts == (MailHost("mx.acme.test", ("::1",)),)


def test_ipv6_is_not_asked_for_where_there_is_ipv4() -> None:
    zone = {("acme.test", "MX"): ["10 mx.acme.test."], ("mx.acme.test", "A"): ["127.0.0.2"]}

    _, server = routes(zone, "acme.test")

    assert server.asked == [("acme.test", "MX"), ("mx.acme.test", "A")]


@pytest.mark.parametrize(
    ("zone", "problem"),
    [
        ({}, Reason.NO_SUCH_DOMAIN),
        ({("acme.test", "TXT"): ["hello"]}, Reason.NO_MAIL_SERVER),
        ({("acme.test", "MX"): ["10 gone.acme.test."]}, Reason.NO_MAIL_SERVER),
        ({("acme.test", "MX"): ["0 ."]}, Reason.NULL_MX),
        ({("acme.test", "MX"): ["0 ."], ("acme.test", "A"): ["127.0.0.2"]}, Reason.NULL_MX),
        ({("acme.test", "MX"): SERVFAIL}, Reason.DNS_FAILURE),
        ({("acme.test", "MX"): SILENT}, Reason.DNS_FAILURE),
        ({("acme.test", "MX"): ["10 mx.acme.test."], ("mx.acme.test", "A"): SERVFAIL}, Reason.DNS_FAILURE),
    ],
)
def test_a_domain_without_mail_host_has_a_problem(zone: Zone, problem: Reason) -> None:
    (route,), _ = routes(zone, "acme.test", timeout=0.4)

    assert (route.hosts, route.problem) == ((), problem)


def test_a_host_that_can_not_be_resolved_does_not_hide_the_others() -> None:
    zone = {
        ("acme.test", "MX"): ["10 broken.test.", "20 mx.acme.test."],
        ("broken.test", "A"): SERVFAIL,
        ("mx.acme.test", "A"): ["127.0.0.2"],
    }

    (route,), _ = routes(zone, "acme.test")

    assert [host.name for host in route.hosts] == ["mx.acme.test"]


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "192.168.0.1", "169.254.1.1", "0.0.0.0", "224.0.0.1", "100.64.0.1"],  # noqa: S104
)
def test_mail_hosts_on_reserved_addresses_are_not_contacted(address: str) -> None:
    (route,), _ = routes({("acme.test", "A"): [address]}, "acme.test", allow_private=False)

    assert (route.hosts, route.problem) == ((), Reason.UNUSABLE_MAIL_HOST)


@pytest.mark.parametrize("address", ["::1", "fe80::1", "fd00::1", "::ffff:127.0.0.1"])
def test_mail_hosts_on_reserved_ipv6_addresses_are_not_contacted(address: str) -> None:
    (route,), _ = routes({("acme.test", "AAAA"): [address]}, "acme.test", allow_private=False)

    assert (route.hosts, route.problem) == ((), Reason.UNUSABLE_MAIL_HOST)


def test_reserved_addresses_are_left_out_where_a_host_has_others() -> None:
    zone = {("acme.test", "A"): ["127.0.0.1", "9.9.9.9"]}

    (route,), _ = routes(zone, "acme.test", allow_private=False)

    assert route.hosts == (MailHost("acme.test", ("9.9.9.9",)),)


def test_an_answer_is_not_asked_for_again_within_its_ttl() -> None:
    zone = {("acme.test", "A"): ["127.0.0.2"]}

    _, server = routes(zone, "acme.test", "acme.test", "gone.test", "gone.test")

    assert [name for name, kind in server.asked if kind == "MX"] == ["acme.test", "gone.test"]


def test_an_answer_with_a_ttl_of_zero_is_asked_for_again() -> None:
    _, server = routes({("acme.test", "A"): ["127.0.0.2"]}, "acme.test", "acme.test", ttl=0)

    assert server.asked.count(("acme.test", "A")) == 2


def test_concurrent_requests_for_a_route_share_one_question_though_the_first_is_cancelled() -> None:
    async def scenario() -> tuple[list[Any], list[tuple[str, str]]]:
        async with name_server({("acme.test", "A"): ["127.0.0.2"]}) as (server, address):
            resolver = Resolver([address], allow_private=True)
            askers = [asyncio.create_task(resolver.route("acme.test")) for _ in range(10)]
            await asyncio.sleep(0)
            askers[0].cancel()
            found = await asyncio.gather(*askers, return_exceptions=True)
            return list(found), server.asked

    found, asked = asyncio.run(scenario())

    assert isinstance(found[0], asyncio.CancelledError)
    assert [route.problem for route in found[1:]] == [None] * 9
    assert asked == [("acme.test", "MX"), ("acme.test", "A")]


def test_the_next_name_server_answers_for_one_that_fails() -> None:
    async def scenario() -> Any:
        zone = {("acme.test", "A"): ["127.0.0.2"]}
        broken = {("acme.test", "MX"): SERVFAIL, ("acme.test", "A"): SERVFAIL}
        async with name_server(broken) as (_, first), name_server(zone) as (_, second):
            return await Resolver([first, second], allow_private=True).route("acme.test")

    assert asyncio.run(scenario()).problem is None
