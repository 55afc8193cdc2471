"""Where a domain takes mail, while the DNS misbehaves."""

import asyncio
import time
from collections.abc import Sequence

import dns.message
import dns.rcode
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.mail.address.syntax import Address, parse_address
from pipeline.mail.dns.routes import MailHost, MailRoute, Resolver
from pipeline.outcomes import Reason
from tests.unit.mail.servers.odd_name_servers import (
    Asked,
    Oddity,
    Zone,
    bogus,
    empty,
    failing,
    garbage,
    lame,
    odd_name_servers,
    refused,
    servfail,
    silent,
    truncated,
)

ACME: Zone = {("acme.test", "MX"): ["10 mx.acme.test."], ("mx.acme.test", "A"): ["127.0.0.2"]}
ACME_HOSTS = (MailHost("mx.acme.test", ("127.0.0.2",)),)


def broken(oddity: Oddity) -> Zone:
    return {("acme.test", "MX"): oddity, ("mx.acme.test", "A"): oddity}


def find_routes(
    *zones: Zone,
    domains: Sequence[str] = ("acme.test",),
    ttl: int = 300,
    chases: bool = True,
    timeout: float = 1.0,
    allow_private: bool = True,
    ipv6: bool = False,
) -> tuple[list[MailRoute], list[Asked]]:
    """Ask one resolver with these name servers, in this order, for one route after the other."""

    async def scenario() -> tuple[list[MailRoute], list[Asked]]:
        async with odd_name_servers(*zones, ttl=ttl, chases=chases) as (addresses, asked):
            resolver = Resolver(addresses, timeout=timeout, allow_private=allow_private, ipv6=ipv6)
            found = [await resolver.route(domain) for domain in domains]
            await resolver.close()
            return found, asked

    return asyncio.run(scenario())


@pytest.mark.parametrize("oddity", [servfail, refused, bogus, lame, garbage, silent, failing(dns.rcode.NOTIMP)])
def test_a_server_without_a_usable_answer_passes_the_question_on(oddity: Oddity) -> None:
    (route,), asked = find_routes(broken(oddity), ACME)

    assert route.hosts == ACME_HOSTS
    assert asked[0].names[0] == "acme.test"


@pytest.mark.parametrize(
    ("oddity", "detail"),
    [
        (servfail, "SERVFAIL"),
        (refused, "REFUSED"),
        (lame, "a referral"),
        (silent, "no answer in time"),
        (bogus, "SERVFAIL (DNSSEC BOGUS: signature crypto failed)"),
        (failing(dns.rcode.SERVFAIL, (7, "")), "SERVFAIL (SIGNATURE EXPIRED)"),
        (failing(dns.rcode.SERVFAIL, (22, ""), (23, "")), "SERVFAIL (NO REACHABLE AUTHORITY; NETWORK ERROR)"),
        (failing(dns.rcode.SERVFAIL, (4711, "")), "SERVFAIL (4711)"),
    ],
)
def test_where_no_server_has_a_usable_answer_the_failure_names_their_errors(oddity: Oddity, detail: str) -> None:
    (route,), _ = find_routes(broken(oddity), timeout=0.4)

    assert (route.hosts, route.problem, route.detail) == ((), Reason.DNS_FAILURE, detail)


def test_the_server_that_says_why_explains_more_than_a_silent_one() -> None:
    (route,), _ = find_routes(broken(bogus), broken(servfail), broken(silent), timeout=0.4)

    assert route.detail.startswith("SERVFAIL (DNSSEC BOGUS")


def test_a_negative_answer_of_the_first_server_is_final() -> None:
    (route,), asked = find_routes({("else.test", "A"): ["127.0.0.3"]}, ACME)

    assert route.problem is Reason.NO_SUCH_DOMAIN
    assert asked[1].questions == []


def test_a_silent_server_is_waited_for_once_not_by_every_question() -> None:
    domains = [f"d{number}.test" for number in range(8)]
    dead: Zone = {(domain, "MX"): silent for domain in domains}
    zone: Zone = {(domain, "A"): ["127.0.0.2"] for domain in domains}
    started = time.monotonic()

    routes, asked = find_routes(dead, zone, domains=domains)

    assert {route.problem for route in routes} == {None}
    assert len(asked[0].questions) == 1
    assert time.monotonic() - started < 2


def test_a_server_that_is_not_there_is_passed_over() -> None:
    async def scenario() -> MailRoute:
        async with odd_name_servers(ACME) as (addresses, _):
            async with odd_name_servers(ACME) as (gone, _):
                pass
            return await Resolver([*gone, *addresses], timeout=60, allow_private=True).route("acme.test")

    assert asyncio.run(scenario()).hosts == ACME_HOSTS


def test_an_answer_too_large_for_a_datagram_comes_over_tcp() -> None:
    records = [f"{10 * number} mx{number}.acme.test." for number in range(1, 21)]
    zone: Zone = {
        ("acme.test", "MX"): truncated(*records),
        **{(f"mx{number}.acme.test", "A"): [f"127.0.1.{number}"] for number in range(1, 21)},
    }

    (route,), asked = find_routes(zone)

    assert [host.name for host in route.hosts][:2] == ["mx1.acme.test", "mx2.acme.test"]
    assert [transport for name, _, transport in asked[0].questions if name == "acme.test"] == ["udp", "tcp"]


def test_of_twenty_hosts_the_last_is_found_if_it_is_the_only_one() -> None:
    zone: Zone = {
        ("acme.test", "MX"): [f"{10 * number} mx{number}.acme.test." for number in range(1, 21)],
        ("mx20.acme.test", "A"): ["127.0.0.2"],
    }

    (route,), _ = find_routes(zone)

    assert route.hosts == (MailHost("mx20.acme.test", ("127.0.0.2",)),)


def test_hosts_of_equal_preference_share_the_load_of_an_answer_that_is_remembered() -> None:
    zone: Zone = {
        ("acme.test", "MX"): ["10 a.acme.test.", "10 b.acme.test.", "5 c.acme.test."],
        **{(f"{host}.acme.test", "A"): ["127.0.0.2"] for host in "abc"},
    }

    routes, asked = find_routes(zone, domains=["acme.test"] * 40)

    assert {route.hosts[0].name for route in routes} == {"c.acme.test"}
    assert {route.hosts[1].name for route in routes} == {"a.acme.test", "b.acme.test"}
    assert asked[0].names.count("acme.test") == 1


@pytest.mark.parametrize("chases", [True, False])
def test_an_alias_is_followed_whether_or_not_the_server_brings_what_it_points_to(chases: bool) -> None:
    zone: Zone = {
        ("acme.test", "CNAME"): ["www.acme.test."],
        ("www.acme.test", "CNAME"): ["real.test."],
        ("real.test", "MX"): ["10 mx.real.test."],
        ("mx.real.test", "CNAME"): ["host.real.test."],
        ("host.real.test", "A"): ["127.0.0.2"],
    }

    (route,), _ = find_routes(zone, chases=chases)

    assert route.hosts == (MailHost("mx.real.test", ("127.0.0.2",)),)


@pytest.mark.parametrize("chases", [True, False])
@pytest.mark.parametrize("length", [1, 2, 3])
def test_aliases_without_end_are_a_failure_and_end(length: int, chases: bool) -> None:
    names = ["acme.test", *(f"alias{number}.test" for number in range(1, length))]
    zone: Zone = {(name, "CNAME"): [f"{names[(position + 1) % length]}."] for position, name in enumerate(names)}

    (route,), asked = find_routes(zone, chases=chases)

    assert (route.problem, route.detail) == (Reason.DNS_FAILURE, "aliases without end")
    assert len(asked[0].questions) < 10


def test_a_domain_that_is_an_alias_of_nothing_exists_and_has_no_mail_server() -> None:
    (route,), _ = find_routes({("acme.test", "CNAME"): ["gone.test."]})

    assert route.problem is Reason.NO_MAIL_SERVER


def test_an_empty_answer_without_any_authority_is_an_answer() -> None:
    (route,), _ = find_routes({("acme.test", "MX"): empty, ("acme.test", "A"): ["127.0.0.2"]}, broken(servfail))

    assert route.hosts == (MailHost("acme.test", ("127.0.0.2",)),)


def test_a_wildcard_answers_for_names_that_are_not_listed() -> None:
    zone: Zone = {("*.acme.test", "MX"): ["10 mx.acme.test."], ("mx.acme.test", "A"): ["127.0.0.2"]}

    (route,), _ = find_routes(zone, domains=["sales.acme.test"])

    assert route.hosts == ACME_HOSTS


def test_names_in_capitals_and_with_underscores_are_names() -> None:
    zone: Zone = {("acme.test", "MX"): ["10 MX_1.Acme.TEST."], ("mx_1.acme.test", "A"): ["127.0.0.2"]}

    (route,), _ = find_routes(zone)

    assert route.hosts == (MailHost("mx_1.acme.test", ("127.0.0.2",)),)


def test_an_international_domain_is_asked_for_by_its_a_label_whatever_its_case() -> None:
    address = parse_address("grace@MÜLLER.example")
    assert isinstance(address, Address)

    (route,), asked = find_routes({("xn--mller-kva.example", "A"): ["127.0.0.2"]}, domains=[address.domain])

    assert route.problem is None
    assert asked[0].names[0] == "xn--mller-kva.example"


def test_an_mx_that_names_an_address_is_contacted_there() -> None:
    zone: Zone = {("acme.test", "MX"): ["10 127.0.0.2.", "20 mx.acme.test."], ("mx.acme.test", "A"): ["127.0.0.3"]}

    (route,), asked = find_routes(zone)

    assert route.hosts[0] == MailHost("127.0.0.2", ("127.0.0.2",))
    assert "127.0.0.2" not in asked[0].names


@pytest.mark.parametrize("host", ["localhost.", "mail.localhost.", "127.0.0.1.", "10.0.0.1.", "192.168.1.1."])
def test_an_mx_that_leads_back_to_us_is_neither_contacted_nor_resolved(host: str) -> None:
    (route,), asked = find_routes({("acme.test", "MX"): [f"10 {host}"]}, allow_private=False)

    assert (route.hosts, route.problem) == ((), Reason.UNUSABLE_MAIL_HOST)
    assert asked[0].names == ["acme.test"]


def test_a_null_mx_beside_others_is_no_host() -> None:
    zone: Zone = {("acme.test", "MX"): ["0 .", "10 mx.acme.test."], ("mx.acme.test", "A"): ["127.0.0.2"]}

    (route,), _ = find_routes(zone)

    assert route.hosts == ACME_HOSTS


BOTH: Zone = {
    ("acme.test", "MX"): ["10 mx.acme.test."],
    ("mx.acme.test", "A"): ["127.0.0.2"],
    ("mx.acme.test", "AAAA"): ["::1"],
}


def test_where_this_machine_has_ipv6_a_host_is_contacted_at_both_kinds_of_address_ipv4_first() -> None:
    (route,), _ = find_routes(BOTH, ipv6=True)

    assert route.hosts == (MailHost("mx.acme.test", ("127.0.0.2", "::1")),)


def test_where_this_machine_has_no_ipv6_such_addresses_are_left_out_beside_ipv4() -> None:
    (route,), _ = find_routes(BOTH, ipv6=False)

    assert route.hosts == ACME_HOSTS


def test_a_failure_of_one_kind_of_address_does_not_hide_the_other() -> None:
    (route,), _ = find_routes({**BOTH, ("mx.acme.test", "AAAA"): servfail}, ipv6=True)

    assert route.hosts == ACME_HOSTS


@pytest.mark.parametrize("ipv6", [True, False])
def test_a_failure_that_may_hide_the_only_address_is_one(ipv6: bool) -> None:
    zone: Zone = {("acme.test", "MX"): ["10 mx.acme.test."], ("mx.acme.test", "AAAA"): servfail}

    (route,), _ = find_routes(zone, ipv6=ipv6)

    assert (route.problem, route.detail) == (Reason.DNS_FAILURE, "SERVFAIL")


@pytest.mark.parametrize(
    ("host", "provider"),
    [("aspmx.l.google.com.", "google"), ("mx1.acme.test.", ""), ("mx.google.com.acme.test.", "")],
)
def test_a_route_names_who_runs_the_preferred_host(host: str, provider: str) -> None:
    zone: Zone = {("acme.test", "MX"): [f"10 {host}"], (host.rstrip("."), "A"): ["127.0.0.2"]}

    (route,), _ = find_routes(zone)

    assert route.provider == provider


def answering(octets: bytes, with_question: bool) -> Oddity:
    def answer(query: dns.message.QueryMessage, over_tcp: bool) -> bytes:
        asked = query.to_wire()
        end_of_question = 12 + len(query.question[0].name.to_wire() or b"") + 4
        return asked[:2] + b"\x81\x80" + asked[4:end_of_question] + octets if with_question else asked[:2] + octets

    return answer


@settings(deadline=None, max_examples=5)
@given(st.lists(st.tuples(st.binary(max_size=60), st.booleans()), min_size=20, max_size=20))
def test_no_octets_of_a_name_server_break_anything(answers: list[tuple[bytes, bool]]) -> None:
    zone: Zone = {
        (f"d{number}.test", kind): answering(*answer)
        for number, answer in enumerate(answers)
        for kind in ("MX", "A", "AAAA")
    }

    async def scenario() -> list[MailRoute]:
        async with odd_name_servers(zone) as (addresses, _):
            resolver = Resolver(addresses, timeout=0.2, allow_private=True)
            found = await asyncio.gather(*(resolver.route(f"d{number}.test") for number in range(len(answers))))
            await resolver.close()
            return found

    assert all(route.problem in (Reason.DNS_FAILURE, Reason.NO_MAIL_SERVER) for route in asyncio.run(scenario()))
